//! Finding and ending processes of a worker whose supervision itself was killed.
//!
//! The namespace tier needs this never; the subreaper tier only when product and guard were both killed.

use std::path::Path;

use libc::c_int;
use serde::Serialize;

use crate::kin::{self, Process, Table};
use crate::raw::Errno;

/// The environment variable which carries a worker's marker, see [`crate::Spec::marker`].
pub const MARKER: &str = "MAESTRIA_WORKER";

/// A live process that carries a worker's marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot: with the pid, an exact identity.
    pub start: u64,
    /// Its command line, arguments separated by blanks.
    pub command: String,
}

impl Stray {
    /// Kills exactly this process; a process that got its number later is left alone.
    ///
    /// # Errors
    /// The system's refusal. That it is already gone is no error.
    pub fn kill(&self) -> std::io::Result<()> {
        match kin::read_process(self.pid) {
            Some(process) if process.start == self.start => ended(process.signal(libc::SIGKILL)),
            _ => Ok(()),
        }
    }
}

fn ended(result: Result<(), Errno>) -> std::io::Result<()> {
    match result {
        Ok(()) | Err(libc::ESRCH) => Ok(()),
        Err(errno) => Err(std::io::Error::from_raw_os_error(errno)),
    }
}

/// Lists live processes whose environment at their start had this marker. Processes of other users cannot be seen into.
pub fn find_marked(marker: &str) -> Vec<Stray> {
    let wanted = format!("{MARKER}={marker}");
    let Ok(mut table) = Table::new() else { return Vec::new() };
    let live = table.snapshot().iter().filter(|process| process.alive());
    live.filter(|process| carries(process.pid, wanted.as_bytes()))
        .map(describe)
        .collect()
}

fn carries(pid: c_int, wanted: &[u8]) -> bool {
    let environment = std::fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

fn describe(process: &Process) -> Stray {
    let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    let command = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
    Stray {
        pid: process.pid,
        start: process.start,
        command,
    }
}
