//! Builds the file tree of a worker in an empty one, and moves in.

use std::ffi::CStr;

use libc::c_int;

use super::nobody::Trees;
use crate::raw::{self, Errno, mount};
use crate::walls::{Bind, Blueprint, Cover, Move, UNNAMED};

/// Nothing, to stand in the place of a file that is hidden; and nothing for readers of JSON.
const NO_FILE: &CStr = c".nothing.txt";
const NO_OBJECT: &CStr = c".nothing.json";

/// A copy of the tree at a place, with the attributes that it is to have. The place must still be what it was.
pub(super) fn take(bind: &Bind, owners: Option<c_int>) -> Result<c_int, Errno> {
    let place = mount::open_place(libc::AT_FDCWD, bind.source.as_c_str())?;
    let taken = take_opened(place, bind, owners);
    raw::close(place);
    taken
}

fn take_opened(place: c_int, bind: &Bind, owners: Option<c_int>) -> Result<c_int, Errno> {
    if mount::identity(place)? != bind.identity {
        return Err(libc::ESTALE);
    }
    // What somebody mounted below a granted place was not granted; but a kernel that would have to uncover it refuses.
    let tree = if bind.granted {
        mount::copy_tree(place, false).or_else(|_| mount::copy_tree(place, true))
    } else {
        mount::copy_tree(place, true)
    }?;
    let mut attributes = mount::NO_SUID;
    if !bind.device {
        attributes |= mount::NO_DEVICES;
    }
    if !bind.writable {
        attributes |= mount::READ_ONLY;
    }
    let restricted = mount::restrict(tree, attributes, owners, true);
    if restricted.is_err() {
        raw::close(tree);
    }
    restricted.map(|()| tree)
}

/// Builds the tree and makes it the root of this process, in a mount namespace that is already its own.
pub(super) fn move_in(blueprint: &Blueprint, trees: &mut Trees) -> Result<(), Errno> {
    mount::make_private()?;
    for (step, tree) in blueprint.moves.items().iter().zip(trees.iter_mut()) {
        if let Move::Bind(bind) = step
            && *tree < 0
        {
            *tree = take(bind, None)?;
        }
    }
    let root = mount::fresh(c"tmpfs", Some((c"mode", c"0755")), mount::NO_SUID | mount::NO_DEVICES)?;
    // Trees can only be put into one that is attached; any folder will do for the moment.
    let somewhere = raw::open(libc::AT_FDCWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY)?;
    mount::put(root, somewhere)?;
    raw::close(somewhere);
    make_file(root, UNNAMED)?;
    make_covers(root)?;
    for (step, tree) in blueprint.moves.items().iter().zip(trees.iter()) {
        perform(root, step, *tree)?;
    }
    mount::become_root(root)?;
    mount::restrict(root, mount::READ_ONLY, None, false)?;
    raw::close(root);
    // SAFETY: a NUL-terminated path.
    raw::check(unsafe { libc::chdir(blueprint.cwd.as_c_str().as_ptr()) }).map(|_| ())
}

fn perform(root: c_int, step: &Move, tree: c_int) -> Result<(), Errno> {
    let plain = mount::NO_SUID | mount::NO_DEVICES;
    match step {
        Move::Folder(path) => make_folder(root, path.as_c_str()),
        Move::File(path) => make_file(root, path.as_c_str()),
        Move::Link { at, to } => make_link(root, at.as_c_str(), to.as_c_str()),
        Move::Bind(bind) => put(root, bind.at.as_c_str(), tree),
        Move::Cover { at, with, .. } => match with {
            Cover::Folder => put_temporary(root, at.as_c_str()),
            Cover::File => cover(root, at.as_c_str(), NO_FILE),
            Cover::Json => cover(root, at.as_c_str(), NO_OBJECT),
        },
        Move::Temporary(path) => put_temporary(root, path.as_c_str()),
        Move::Proc(path) => {
            let fresh = mount::fresh(c"proc", None, plain | mount::NO_EXEC)?;
            put(root, path.as_c_str(), fresh)
        }
        Move::Terminals(path) => {
            // Its devices are the point of it.
            let fresh = mount::fresh(c"devpts", Some((c"ptmxmode", c"0666")), mount::NO_SUID | mount::NO_EXEC)?;
            put(root, path.as_c_str(), fresh)
        }
    }
}

fn make_covers(root: c_int) -> Result<(), Errno> {
    make_file(root, NO_FILE)?;
    make_file(root, NO_OBJECT)?;
    let object = raw::open(root, NO_OBJECT, libc::O_WRONLY | libc::O_NOFOLLOW)?;
    // SAFETY: a static buffer, as long as is said.
    let written = raw::check_long(unsafe { libc::write(object, c"{}\n".as_ptr().cast(), 3) } as libc::c_long);
    raw::close(object);
    written.map(|_| ())
}

fn put_temporary(root: c_int, at: &CStr) -> Result<(), Errno> {
    let fresh = mount::fresh(c"tmpfs", Some((c"mode", c"1777")), mount::NO_SUID | mount::NO_DEVICES)?;
    put(root, at, fresh)
}

/// Puts nothing onto a file, so that it cannot be seen, changed or moved away.
fn cover(root: c_int, at: &CStr, nothing: &CStr) -> Result<(), Errno> {
    let place = mount::open_place(root, nothing)?;
    let tree = mount::copy_tree(place, false);
    raw::close(place);
    let tree = tree?;
    let attributes = mount::READ_ONLY | mount::NO_SUID | mount::NO_DEVICES | mount::NO_EXEC;
    if let Err(errno) = mount::restrict(tree, attributes, None, false) {
        raw::close(tree);
        return Err(errno);
    }
    put(root, at, tree)
}

/// Puts a tree onto a place below the root; no link is followed, whoever may have made it.
fn put(root: c_int, path: &CStr, tree: c_int) -> Result<(), Errno> {
    let place = mount::open_place(root, path)?;
    let done = mount::put(tree, place);
    raw::close(place);
    raw::close(tree);
    done
}

fn make_folder(root: c_int, path: &CStr) -> Result<(), Errno> {
    // SAFETY: a NUL-terminated path.
    existing(raw::check(unsafe { libc::mkdirat(root, path.as_ptr(), 0o755) }))
}

fn make_link(root: c_int, at: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: NUL-terminated paths.
    existing(raw::check(unsafe { libc::symlinkat(to.as_ptr(), root, at.as_ptr()) }))
}

fn make_file(root: c_int, path: &CStr) -> Result<(), Errno> {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a NUL-terminated path, and the mode that goes with this flag.
    let made = raw::check(unsafe { libc::openat(root, path.as_ptr(), flags, 0o644) });
    if let Ok(file) = made {
        raw::close(file);
    }
    existing(made)
}

/// What is there already is as good as made: all of it is made here, in an order of ours.
fn existing(made: Result<c_int, Errno>) -> Result<(), Errno> {
    match made {
        Ok(_) | Err(libc::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}
