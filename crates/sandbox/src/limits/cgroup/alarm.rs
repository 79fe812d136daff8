//! The alarm of version 1: there the kernel ends one process for want of memory, not the worker, but tells who asked.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use libc::c_int;

use crate::raw;

/// What the kernel sets off when a group is out of memory, and where it counts whom it ended.
#[derive(Debug)]
pub(crate) struct Alarm {
    event: OwnedFd,
    count: File,
}

impl Alarm {
    /// Asks for it (kernel documentation, `cgroup-v1/memory.rst`, "OOM Control").
    pub(super) fn of(group: &Path) -> io::Result<Self> {
        let event = raw::event().map_err(io::Error::from_raw_os_error)?;
        // SAFETY: a fresh descriptor nobody else owns.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        let count = File::open(group.join("memory.oom_control"))?;
        let asked = format!("{} {}", event.as_raw_fd(), count.as_raw_fd());
        fs::write(group.join("cgroup.event_control"), asked)?;
        Ok(Self { event, count })
    }

    /// The descriptors, for the process that holds the worker.
    pub(crate) fn wires(&self) -> Wires {
        Wires {
            event: self.event.as_raw_fd(),
            count: self.count.as_raw_fd(),
        }
    }
}

/// An alarm as it goes through a fork.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wires {
    pub(crate) event: c_int,
    pub(crate) count: c_int,
}

impl Wires {
    /// Lets it go off again.
    pub(crate) fn silence(&self) {
        let mut times = [0; 8];
        // Nothing is lost with what cannot be read: the descriptor then stays readable.
        let _ = raw::read(self.event, &mut times);
    }

    /// Whether the kernel ended a process. It sounds the alarm just before.
    pub(crate) fn has_ended_one(&self) -> bool {
        let mut text = [0; 256];
        let read = raw::read_at(self.count, &mut text, 0).unwrap_or(0);
        let mut lines = text[..read].split(|byte| *byte == b'\n');
        lines.any(|line| line.strip_prefix(b"oom_kill ").is_some_and(|count| count != b"0"))
    }
}
