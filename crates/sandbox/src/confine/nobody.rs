//! For a product that runs as root: a worker which is root to itself and owns nothing outside.
//!
//! Its user namespace maps user 0 to one who owns nothing. Granted places are mounted with their owners mapped the same way, so
//! that root's files there are the worker's own, and what it writes there belongs to root. Only real root can make such
//! mounts, so the trees are taken before the namespace is entered. Not every file system can do it (overlays cannot).

use libc::{c_int, c_long, c_uint};

use crate::control::{Failure, Stage};
use crate::raw::{self, Errno, Side, mount};
use crate::walls::{Blueprint, Move, STEPS};

/// The user and group that a worker of a root product is outside: the one who owns nothing.
const NOBODY: c_uint = 65534;
/// Inside 0, outside [`NOBODY`], one id.
const MAP: &[u8] = b"0 65534 1\n";

/// Trees of places taken in advance, by the number of their step; -1 where there is none.
pub(super) type Trees = [c_int; STEPS];
pub(super) const NO_TREES: Trees = [-1; STEPS];

/// Enters such a user namespace; false, and nothing is changed, where this machine or a file system does not support it.
pub(super) fn become_nobody(blueprint: &Blueprint, trees: &mut Trees) -> Result<bool, Failure> {
    let Ok(namespace) = user_namespace() else {
        return Ok(false);
    };
    if take_trees(blueprint, namespace, trees).is_err() {
        for tree in trees.iter_mut().filter(|tree| **tree >= 0) {
            raw::close(*tree);
            *tree = -1;
        }
        raw::close(namespace);
        return Ok(false);
    }
    own_streams();
    let entered = enter(namespace);
    raw::close(namespace);
    entered.map_err(Stage::Map.failed()).map(|()| true)
}

/// A user namespace made by a child that ends at once; the descriptor keeps it.
fn user_namespace() -> Result<c_int, Errno> {
    let (made, tell) = raw::pipe()?;
    let (stay, leave) = raw::pipe()?;
    let holder = match raw::fork()? {
        Side::Parent(holder) => holder,
        Side::Child => {
            raw::close(leave);
            raw::close(made);
            // SAFETY: this process has one thread, as a fresh fork.
            let unshared = raw::check(unsafe { libc::unshare(libc::CLONE_NEWUSER) });
            let _ = raw::write(tell, &[u8::from(unshared.is_ok())]);
            let _ = raw::read(stay, &mut [0]);
            raw::exit(0)
        }
    };
    raw::close(tell);
    raw::close(stay);
    let mut answer = [0];
    let told = raw::read(made, &mut answer);
    raw::close(made);
    let namespace = match (told, answer) {
        (Ok(1), [1]) => map(holder),
        _ => Err(libc::EPERM),
    };
    raw::close(leave);
    let _ = raw::wait(holder, 0);
    namespace
}

fn map(holder: c_int) -> Result<c_int, Errno> {
    let mut path = [0_u8; 32];
    let process = raw::open(
        libc::AT_FDCWD,
        raw::numbered(&mut path, b"/proc/", holder),
        libc::O_PATH | libc::O_DIRECTORY,
    )?;
    let mapped = super::namespace::put(process, c"uid_map", MAP)
        .and_then(|()| super::namespace::put(process, c"gid_map", MAP))
        .and_then(|()| raw::open(process, c"ns/user", libc::O_RDONLY));
    raw::close(process);
    mapped
}

fn take_trees(blueprint: &Blueprint, namespace: c_int, trees: &mut Trees) -> Result<(), Errno> {
    // SAFETY: this process has one thread. Trees can only be taken from mounts of one's own namespace, and in the shared
    // one they would carry on what is mounted meanwhile.
    raw::check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount::make_private()?;
    for (step, tree) in blueprint.moves.items().iter().zip(trees.iter_mut()) {
        if let Move::Bind(bind) = step {
            *tree = super::tree::take(bind, bind.granted.then_some(namespace))?;
        }
    }
    Ok(())
}

/// `/dev/stderr` and its like open a stream anew, which only its owner may.
fn own_streams() {
    for stream in 0..3 {
        // SAFETY: all-zero bytes are a valid stat, and it is a valid place for the result.
        unsafe {
            let mut found: libc::stat = std::mem::zeroed();
            if libc::fstat(stream, &raw mut found) == 0 && found.st_mode & libc::S_IFMT == libc::S_IFIFO {
                libc::fchown(stream, NOBODY, NOBODY);
            }
        }
    }
}

fn enter(namespace: c_int) -> Result<(), Errno> {
    // Raw calls: libc's would make other threads follow, of which this process has none.
    // SAFETY: no memory is involved.
    unsafe {
        raw::check(libc::setns(namespace, libc::CLONE_NEWUSER))?;
        raw::check_long(libc::syscall(libc::SYS_setgroups, 0 as c_long, std::ptr::null::<u32>()))?;
        raw::check_long(libc::syscall(
            libc::SYS_setresgid,
            0 as c_long,
            0 as c_long,
            0 as c_long,
        ))?;
        raw::check_long(libc::syscall(
            libc::SYS_setresuid,
            0 as c_long,
            0 as c_long,
            0 as c_long,
        ))?;
        raw::check(libc::unshare(libc::CLONE_NEWPID))?;
    }
    Ok(())
}
