//! Entering a new user and PID namespace with the caller's own ids.

use std::sync::OnceLock;

use libc::c_int;

use crate::control::{Failure, Stage};
use crate::raw::{self, Side};

/// The id maps to write, prepared before the fork.
#[derive(Clone, Copy)]
pub(crate) struct IdMaps {
    /// Maps of every id this process knows, for a caller who may map others (root): files of other users stay usable.
    all: Option<(Text, Text)>,
    /// Maps of the caller's own user and group id.
    own: (Text, Text),
}

impl IdMaps {
    pub(crate) fn of_caller() -> Self {
        // SAFETY: these calls have no preconditions.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let only = |id| Text::new(&format!("{id} {id} 1\n")).unwrap_or(Text::EMPTY);
        let all = (uid == 0)
            .then(|| identity("/proc/self/uid_map").zip(identity("/proc/self/gid_map")))
            .flatten();
        Self {
            all,
            own: (only(uid), only(gid)),
        }
    }
}

/// The ids mapped in the current namespace, each mapped to itself.
fn identity(path: &str) -> Option<Text> {
    let map = std::fs::read_to_string(path).ok()?;
    let mut identity = String::new();
    for line in map.lines() {
        let mut fields = line.split_whitespace();
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        identity.push_str(&format!("{first} {first} {count}\n"));
    }
    Text::new(&identity)
}

/// A short text without heap.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; 256],
    length: usize,
}

impl Text {
    const EMPTY: Self = Self {
        bytes: [0; 256],
        length: 0,
    };

    /// Nothing when it is empty or does not fit.
    fn new(text: &str) -> Option<Self> {
        let mut new = Self {
            length: text.len(),
            ..Self::EMPTY
        };
        new.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        (!text.is_empty()).then_some(new)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Moves this process into a new user namespace; its children will be in a new PID namespace.
pub(super) fn enter(maps: &IdMaps) -> Result<(), Failure> {
    match &maps.all {
        Some((users, groups)) => {
            if !enter_with_mapper(users.as_bytes(), groups.as_bytes())? {
                map_own(maps.own.0.as_bytes(), maps.own.1.as_bytes())?;
            }
        }
        None => {
            enter_alone(maps)?;
        }
    }
    Ok(())
}

/// As [`enter`], with no ids but the caller's own.
pub(super) fn enter_alone(maps: &IdMaps) -> Result<(), Failure> {
    enter_mapped(maps.own.0.as_bytes(), maps.own.1.as_bytes())
}

/// The same with other maps of the caller's own user and group.
pub(super) fn enter_mapped(users: &[u8], groups: &[u8]) -> Result<(), Failure> {
    unshare()?;
    map_own(users, groups)
}

fn unshare() -> Result<(), Failure> {
    // SAFETY: this process has one thread, as a fresh fork.
    raw::check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) })
        .map_err(Stage::Unshare.failed())
        .map(|_| ())
}

fn map_own(users: &[u8], groups: &[u8]) -> Result<(), Failure> {
    let proc =
        raw::open(libc::AT_FDCWD, c"/proc/self", libc::O_PATH | libc::O_DIRECTORY).map_err(Stage::Map.failed())?;
    // Without this an unprivileged caller may not map groups.
    put(proc, c"setgroups", b"deny").map_err(Stage::Map.failed())?;
    put(proc, c"uid_map", users).map_err(Stage::Map.failed())?;
    put(proc, c"gid_map", groups).map_err(Stage::Map.failed())?;
    raw::close(proc);
    Ok(())
}

/// Only a process outside the new namespace may map ids other than its own, so a short-lived sibling does.
/// Returns whether it could.
fn enter_with_mapper(users: &[u8], groups: &[u8]) -> Result<bool, Failure> {
    let proc =
        raw::open(libc::AT_FDCWD, c"/proc/self", libc::O_PATH | libc::O_DIRECTORY).map_err(Stage::Map.failed())?;
    let (go, start) = raw::pipe().map_err(Stage::Map.failed())?;
    let mapper = match raw::fork().map_err(Stage::Fork.failed())? {
        Side::Parent(mapper) => mapper,
        Side::Child => {
            raw::close(start);
            let told = raw::read(go, &mut [0]) == Ok(1);
            let done = told && put(proc, c"uid_map", users).is_ok() && put(proc, c"gid_map", groups).is_ok();
            raw::exit(c_int::from(!done))
        }
    };
    let entered = unshare();
    if entered.is_ok() {
        let _ = raw::write(start, b"g");
    }
    raw::close(start);
    raw::close(go);
    raw::close(proc);
    let status = raw::wait(mapper, 0).map_err(Stage::Map.failed())?;
    entered?;
    Ok(matches!(status, Some((_, 0))))
}

pub(super) fn put(dir: c_int, name: &std::ffi::CStr, content: &[u8]) -> Result<(), raw::Errno> {
    let file = raw::open(dir, name, libc::O_WRONLY)?;
    let written = raw::write(file, content);
    raw::close(file);
    written
}

/// Whether this kernel lets the caller make such a namespace: tried for real, once.
pub(crate) fn granted() -> Result<(), Failure> {
    static GRANTED: OnceLock<Result<(), Failure>> = OnceLock::new();
    *GRANTED.get_or_init(attempt)
}

fn attempt() -> Result<(), Failure> {
    let maps = IdMaps::of_caller();
    let (answer, tell) = raw::pipe().map_err(Stage::Fork.failed())?;
    let child = match raw::fork().map_err(Stage::Fork.failed())? {
        Side::Parent(child) => child,
        Side::Child => {
            raw::block_signals();
            raw::default_child_signal();
            let outcome = enter(&maps).and_then(|()| is_first_process());
            let (stage, errno) = outcome.map_or_else(|failure| (failure.stage as u8, failure.errno), |()| (0, 0));
            let errno = errno.to_ne_bytes();
            let _ = raw::write(tell, &[stage, errno[0], errno[1], errno[2], errno[3]]);
            raw::exit(0)
        }
    };
    raw::close(tell);
    let mut bytes = [0_u8; 5];
    let count = raw::read(answer, &mut bytes);
    raw::close(answer);
    let _ = raw::wait(child, 0);
    let failed_with = |errno| Failure {
        stage: Stage::of(bytes[0]).unwrap_or(Stage::Unshare),
        errno,
    };
    match count {
        Ok(5) if bytes[0] == 0 => Ok(()),
        Ok(5) => Err(failed_with(c_int::from_ne_bytes([
            bytes[1], bytes[2], bytes[3], bytes[4],
        ]))),
        _ => Err(failed_with(libc::EIO)),
    }
}

/// Proves that the next child really is PID 1 of a namespace of its own.
fn is_first_process() -> Result<(), Failure> {
    match raw::fork().map_err(Stage::Fork.failed())? {
        // SAFETY: getpid has no preconditions.
        Side::Child => raw::exit(c_int::from(unsafe { libc::getpid() } != 1)),
        Side::Parent(first) => match raw::wait(first, 0) {
            Ok(Some((_, 0))) => Ok(()),
            _ => Err(Failure {
                stage: Stage::Unshare,
                errno: libc::ENOSYS,
            }),
        },
    }
}
