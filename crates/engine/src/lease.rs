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

impl Lease {
    /// Takes the lease, from a dead holder's last children if need be.
    pub(crate) async fn take(folder: &Path, run: RunId) -> Result<Self, LeaseError> {
        let deadline = tokio::time::Instant::now() + LAST_BREATH;
        loop {
            match Self::try_take(folder, run) {
                Err(LeaseError::Held { holder, .. }) if is_dead(&holder) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                taken => return taken,
            }
        }
    }

    fn try_take(folder: &Path, run: RunId) -> Result<Self, LeaseError> {
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
                write!(file, "{}", std::process::id()).map_err(io)?;
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
