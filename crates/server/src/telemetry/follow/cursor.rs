//! How far was told, on disk, and the lock of who tells.

use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

const FILE: &str = "traces.json";

/// A place in the feed and one in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) events: u64,
    pub(super) calls: u64,
}

impl Cursor {
    /// What was noted; `None` when nothing was yet, or nothing that can be read: then it begins with what is new.
    pub(super) fn read(data: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data.join(FILE)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes it, whole or not at all.
    pub(super) fn write(self, data: &Path) -> io::Result<()> {
        let draft = data.join("traces.json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec(&self)?)?;
        std::fs::rename(draft, data.join(FILE))
    }
}

/// The lock of who tells; `None` while another process has it. It ends with its file.
pub(super) fn lock(data: &Path) -> io::Result<Option<File>> {
    let locks = data.join("locks");
    std::fs::create_dir_all(&locks)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(locks.join("traces.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
