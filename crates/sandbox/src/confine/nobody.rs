//! For a product that runs as root: a worker which is root to itself and owns nothing outside.
//!
//! Its user namespace maps user 0 to one who owns nothing. Granted places are mounted with their owners mapped the same way, so
//! that root's files there are the worker's own, and what it writes there belongs to root. Only real root can make such
//! mounts, so the trees are taken before the namespace is entered. Not every file system can do it (overlays cannot).

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::Mutex;

use libc::{c_int, c_long, c_uint};

use super::namespace;
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

/// The user namespace by which the owners of granted places are mapped; nobody enters it. Made once, for all workers: to make one
/// takes a process of its own.
pub(crate) fn owners() -> Option<c_int> {
    static OWNERS: Mutex<Option<OwnedFd>> = Mutex::new(None);
    let mut owners = OWNERS.lock().ok()?;
    if owners.is_none() {
        let made = user_namespace().ok()?;
        // SAFETY: a fresh descriptor nobody else owns.
        *owners = Some(unsafe { OwnedFd::from_raw_fd(made) });
    }
    owners.as_ref().map(|owners| owners.as_raw_fd())
}

/// Enters a user namespace in which this process is root, and outside one who owns nothing; false, and nothing is changed, where
/// this machine or a file system does not support it.
pub(super) fn become_nobody(blueprint: &Blueprint, trees: &mut Trees) -> Result<bool, Failure> {
    let Some(owners) = blueprint.owners else {
        return Ok(false);
    };
    if take_trees(blueprint, owners, trees).is_err() {
        for tree in trees.iter_mut().filter(|tree| **tree >= 0) {
            raw::close(*tree);
            *tree = -1;
        }
        return Ok(false);
    }
    own_streams();
    leave_root().map_err(Stage::Map.failed())?;
    namespace::enter_mapped(MAP, MAP)?;
    let_be_seen(false);
    Ok(true)
}

/// A user namespace made by a child that ends at once; the descriptor keeps it.
fn user_namespace() -> Result<c_int, Errno> {
    let (made, tell) = raw::pipe()?;
    let (stay, leave) = raw::pipe()?;
    let holder = match raw::fork()? {
        Side::Parent(holder) => holder,
        Side::Child => {
            raw::block_signals();
            raw::default_child_signal();
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

/// Becomes the one who owns nothing, with the one capability that making a namespace may take.
fn leave_root() -> Result<(), Errno> {
    const ADMINISTRATE: u32 = 1 << 21;
    let header = raw::CAPABILITIES;
    let sets = [ADMINISTRATE, ADMINISTRATE, 0, 0, 0, 0];
    let nobody = c_long::from(NOBODY);
    // Raw calls: libc's would make other threads follow, of which this process has none.
    // SAFETY: plain settings of this process; the structures are those of the version that is named.
    unsafe {
        raw::check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        raw::check_long(libc::syscall(libc::SYS_setgroups, 0 as c_long, std::ptr::null::<u32>()))?;
        raw::check_long(libc::syscall(libc::SYS_setresgid, nobody, nobody, nobody))?;
        raw::check_long(libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody))?;
        raw::check_long(libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()))?;
    }
    // Only who could be looked into may write its own maps.
    let_be_seen(true);
    Ok(())
}

/// Says whether others of the same user may look into this process.
fn let_be_seen(may: bool) {
    // SAFETY: plain setting of this process.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, c_long::from(may), 0, 0, 0) };
}
