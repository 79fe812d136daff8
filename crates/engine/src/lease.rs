//! The lease on a run: one process drives it at a time. A lock that the kernel drops with its holder, so that a killed
//! process never leaves a stale one.

use maestria_kernel::RunId;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
    time::Duration,
};

/// The right to drive a run, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    _file: File,
}

/// Why a lease was not given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process drives the run.
    #[error("{run} is being driven by another maestria (process {holder})")]
    Held {
        /// The run.
        run: RunId,
        /// The process that holds it, as it said itself.
        holder: String,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How long a lock of a process that is dead is waited for. What it had just forked holds a copy of the lock until the
/// kernel has ended that, too.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// How long whoever holds the lock may take to write down who it is; until then the file names the holder before.
const WRITING: Duration = Duration::from_millis(100);

/// What stands in the file while somebody holds the lease only to enter one command.
pub const PASSING: &str = "passing";

impl Lease {
    /// Takes the lease to drive the run. Who only passes, and a dead holder's last children, are waited for.
    pub(crate) async fn take(folder: &Path, run: RunId) -> Result<Self, LeaseError> {
        let begun = tokio::time::Instant::now();
        loop {
            match Self::try_take(folder, run, &std::process::id().to_string()) {
                Err(LeaseError::Held { holder, .. }) if begun.elapsed() < patience_with(&holder).max(WRITING) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                taken => return taken,
            }
        }
    }

    /// Takes the lease for a moment, to enter a command that no driver is there to take.
    pub(crate) async fn pass(folder: &Path, run: RunId) -> Result<Self, LeaseError> {
        let begun = tokio::time::Instant::now();
        loop {
            match Self::try_take(folder, run, PASSING) {
                Err(LeaseError::Held { holder, .. }) if begun.elapsed() < patience_with(&holder) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                taken => return taken,
            }
        }
    }

    fn try_take(folder: &Path, run: RunId, who: &str) -> Result<Self, LeaseError> {
        let path = folder.join(format!("{run}.lock"));
        let io = |source| LeaseError::Io {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(io)?;
                file.rewind().map_err(io)?;
                file.write_all(who.as_bytes()).map_err(io)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; an unreadable holder is still a holder.
                let _ = file.read_to_string(&mut holder);
                Err(LeaseError::Held { run, holder })
            }
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// How long a holder is waited for.
fn patience_with(holder: &str) -> Duration {
    if holder == PASSING || is_dead(holder) {
        LAST_BREATH
    } else {
        Duration::ZERO
    }
}

/// Whether the process that a lock names is gone, as far as can be told from here.
fn is_dead(holder: &str) -> bool {
    let Ok(process) = holder.trim().parse::<u32>() else {
        return false;
    };
    match std::fs::read_to_string(format!("/proc/{process}/stat")) {
        // Ended, and nobody has asked how.
        Ok(stat) => stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')),
        Err(_) => Path::new("/proc/self").exists(),
    }
}

#[cfg(test)]
mod tests;
