//! Short-lived processes which try to break a limit.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use libc::c_int;

use crate::limits::cgroup::Groups;
use crate::raw::{self, Side};

/// The limit for the memory trial, bytes.
pub(super) const LITTLE_MEMORY: u64 = 16 << 20;
/// What the trial then tries to use, bytes.
const MUCH_MEMORY: usize = 64 << 20;
/// Wall time of the processor trial, and the most processor time a tenth of it may be, milliseconds.
const BUSY: i64 = 150;
const SLOW: c_int = 75;

/// Whether a process in these groups, which have [`LITTLE_MEMORY`], is killed for using more.
pub(super) fn killed_for_memory(groups: &Groups) -> bool {
    outcome(groups, || {
        let memory = map(MUCH_MEMORY);
        for offset in (0..MUCH_MEMORY).step_by(4096) {
            // SAFETY: the offset lies in the mapping, whose success was checked; volatile, so that it really happens.
            unsafe { memory.add(offset).write_volatile(1) };
        }
        0
    })
    .is_some_and(|status| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL)
}

/// Whether a resource limit refuses memory.
pub(super) fn refused_memory() -> bool {
    outcome(&Groups::default(), || {
        let limit = libc::rlimit {
            rlim_cur: LITTLE_MEMORY,
            rlim_max: LITTLE_MEMORY,
        };
        // SAFETY: the value outlives the call.
        unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) };
        map(MUCH_MEMORY);
        0
    })
    .is_some_and(|status| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == NO_MEMORY)
}

/// Whether a busy loop in these groups, which have a tenth of a processor, gets little processor time.
pub(super) fn slowed_down(groups: &Groups) -> bool {
    let status = outcome(groups, || {
        let began = millis(libc::CLOCK_MONOTONIC);
        while millis(libc::CLOCK_MONOTONIC) - began < BUSY {}
        millis(libc::CLOCK_PROCESS_CPUTIME_ID).min(255) as c_int
    });
    status.is_some_and(|status| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) <= SLOW)
}

/// Whether a process in these groups, which have room for one, cannot fork.
pub(super) fn refused_fork(groups: &Groups) -> bool {
    let status = outcome(groups, || match raw::fork() {
        Ok(Side::Child) => 0,
        Ok(Side::Parent(child)) => {
            let _ = raw::wait(child, 0);
            0
        }
        Err(errno) => errno,
    });
    status.is_some_and(|status| libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == libc::EAGAIN)
}

/// Whether a process can be stopped and continued.
pub(super) fn stops_and_continues() -> bool {
    let Ok(child) = fork_child(|| {
        loop {
            raw::sleep_micros(500_000);
        }
    }) else {
        return false;
    };
    let reached = |signal, flags, check: fn(c_int) -> bool| {
        raw::kill(child, signal).is_ok() && matches!(raw::wait(child, flags), Ok(Some((_, status))) if check(status))
    };
    let stopped = reached(libc::SIGSTOP, libc::WUNTRACED, |status| libc::WIFSTOPPED(status));
    let continued = stopped && reached(libc::SIGCONT, libc::WCONTINUED, |status| libc::WIFCONTINUED(status));
    let ended = reached(libc::SIGKILL, 0, |status| libc::WIFSIGNALED(status));
    stopped && continued && ended
}

/// Runs `body` in a new process within `groups`; its raw wait status.
fn outcome(groups: &Groups, body: impl FnOnce() -> c_int) -> Option<c_int> {
    let doors = groups.open_doors().ok()?;
    let child = fork_child(|| if doors.iter().all(join) { body() } else { NOT_JOINED });
    raw::wait(child.ok()?, 0).ok()?.map(|(_, status)| status)
}

/// Exit code of a trial which could not enter its groups; 0 means that it broke the limit.
const NOT_JOINED: c_int = 254;

/// Exit code of a trial which was refused memory.
const NO_MEMORY: c_int = 253;

fn join(door: &File) -> bool {
    raw::write(door.as_raw_fd(), b"0").is_ok()
}

/// The body makes system calls only, as after every fork of a many-threaded process.
fn fork_child(body: impl FnOnce() -> c_int) -> Result<c_int, raw::Errno> {
    match raw::fork()? {
        Side::Parent(child) => Ok(child),
        Side::Child => {
            raw::default_signals();
            raw::exit(body())
        }
    }
}

fn map(length: usize) -> *mut u8 {
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a fresh anonymous mapping.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        raw::exit(NO_MEMORY)
    } else {
        memory.cast()
    }
}

fn millis(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
