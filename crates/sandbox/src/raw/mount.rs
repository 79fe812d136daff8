//! Mounts by descriptor: a tree is taken from an opened place and put onto another; no path is followed twice.

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_uint};

use super::{Errno, check, check_long};

pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEVICES: u64 = 0x4;
pub(crate) const NO_EXEC: u64 = 0x8;
const ID_MAPPED: u64 = 0x0010_0000;

const OPEN_TREE_CLONE: c_uint = 1;
const RECURSIVE: c_uint = 0x8000;
const MOVE_FROM_DESCRIPTOR: c_uint = 0x4;
const MOVE_ONTO_DESCRIPTOR: c_uint = 0x40;
const FSMOUNT_CLOEXEC: c_uint = 1;
const FSOPEN_CLOEXEC: c_uint = 1;
const CONFIG_SET_STRING: c_uint = 1;
const CONFIG_CREATE: c_uint = 6;

#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Opens a place for use as a path, refusing any symbolic link on the way.
pub(crate) fn open_place(dir: c_int, path: &CStr) -> Result<c_int, Errno> {
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = How {
        flags: (libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64,
        mode: 0,
        resolve: libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS,
    };
    // SAFETY: the path is NUL-terminated, and the structure is as large as is said.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir as c_long,
            path.as_ptr(),
            &raw const how,
            size_of::<How>(),
        )
    })
    .map(|fd| fd as c_int)
}

/// Device and inode of an open place.
pub(crate) fn identity(fd: c_int) -> Result<(u64, u64), Errno> {
    // SAFETY: all-zero bytes are a valid stat, and it is a valid place for the result.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        check(libc::fstat(fd, &raw mut found))?;
        Ok((found.st_dev, found.st_ino))
    }
}

/// A detached copy of the tree at an open place, with what is mounted below it if `whole`.
pub(crate) fn copy_tree(place: c_int, whole: bool) -> Result<c_int, Errno> {
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC as c_uint | libc::AT_EMPTY_PATH as c_uint | if whole { RECURSIVE } else { 0 };
    // SAFETY: an empty static path, and a descriptor.
    check_long(unsafe { libc::syscall(libc::SYS_open_tree, place as c_long, c"".as_ptr(), flags as c_long) })
        .map(|fd| fd as c_int)
}

/// Adds attributes to a tree, or to its topmost mount; with a user namespace, owners are those that the namespace maps.
pub(crate) fn restrict(tree: c_int, attributes: u64, owners: Option<c_int>, whole: bool) -> Result<(), Errno> {
    let attributes = Attributes {
        set: attributes | owners.map_or(0, |_| ID_MAPPED),
        clear: 0,
        propagation: 0,
        user_namespace: owners.map_or(0, |fd| fd as u64),
    };
    // SAFETY: an empty static path, and a structure as large as is said.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree as c_long,
            c"".as_ptr(),
            (libc::AT_EMPTY_PATH as c_uint | if whole { RECURSIVE } else { 0 }) as c_long,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(|_| ())
}

/// Puts a detached tree onto an open place.
pub(crate) fn put(tree: c_int, onto: c_int) -> Result<(), Errno> {
    // SAFETY: empty static paths, and descriptors.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree as c_long,
            c"".as_ptr(),
            onto as c_long,
            c"".as_ptr(),
            (MOVE_FROM_DESCRIPTOR | MOVE_ONTO_DESCRIPTOR) as c_long,
        )
    })
    .map(|_| ())
}

/// A fresh, detached file system of a kind, with one option.
pub(crate) fn fresh(kind: &CStr, option: Option<(&CStr, &CStr)>, attributes: u64) -> Result<c_int, Errno> {
    // SAFETY: static NUL-terminated strings and plain numbers.
    let context = check_long(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC as c_long) })?;
    let configure = |command: c_uint, key: *const c_char, value: *const c_char| {
        // SAFETY: strings as above, or null where the command takes none.
        check_long(unsafe { libc::syscall(libc::SYS_fsconfig, context, command as c_long, key, value, 0 as c_long) })
    };
    let made = option
        .map_or(Ok(0), |(key, value)| {
            configure(CONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
        })
        .and_then(|_| configure(CONFIG_CREATE, std::ptr::null(), std::ptr::null()))
        .and_then(|_| {
            // SAFETY: plain numbers.
            check_long(unsafe {
                libc::syscall(
                    libc::SYS_fsmount,
                    context,
                    FSMOUNT_CLOEXEC as c_long,
                    attributes as c_long,
                )
            })
        });
    super::close(context as c_int);
    made.map(|fd| fd as c_int)
}

/// No mount event leaves or enters this namespace any more.
pub(crate) fn make_private() -> Result<(), Errno> {
    let none: *const libc::c_void = std::ptr::null();
    // SAFETY: a static path; no other string is read for this kind of call.
    check(unsafe {
        libc::mount(
            none.cast(),
            c"/".as_ptr(),
            none.cast(),
            libc::MS_REC | libc::MS_PRIVATE,
            none,
        )
    })
    .map(|_| ())
}

/// Makes an attached tree the root of this process, and lets go of the old one.
pub(crate) fn become_root(tree: c_int) -> Result<(), Errno> {
    // SAFETY: static paths only.
    unsafe {
        check(libc::fchdir(tree))?;
        check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}
