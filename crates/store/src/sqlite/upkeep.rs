//! What the writer does for the log's file (SQLite's WAL) when nobody asks for anything.
//!
//! Overwriting blocks that a file has already is several times faster to flush than appending, because the file system
//! need not record new blocks. So the file is grown once with zeros, which SQLite takes for the end of its log, and is
//! never cut. And what lies in it is brought into the database while there is time, so that no commit has to.

use super::location::{CHECKPOINT_PAGES, Location};
use maestria_kernel::port::StoreError;
use rusqlite::Connection;
use std::{
    fs, io,
    io::{ErrorKind, Write as _},
    path::Path,
};

/// As long as the log gets before it starts over: pages with their headers.
const LOG_BYTES: u64 = CHECKPOINT_PAGES as u64 * (4096 + 24) + 32;

/// How much it is grown at once; small, because requests wait meanwhile.
const STEP_BYTES: u64 = 2 << 20;

/// Work put off until the writer has time.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    grown: bool,
    written: bool,
}

impl Upkeep {
    pub(super) const fn is_due(&self) -> bool {
        self.written
    }

    pub(super) const fn note_writes(&mut self) {
        self.written = true;
    }

    /// Does a part of what is due.
    ///
    /// # Errors
    /// A disk that fails. Being refused room or the lock is none: the log works without, only slower.
    pub(super) fn step(&mut self, connection: &Connection, location: &Location) -> Result<(), StoreError> {
        if !self.grown {
            self.grown = grow(connection, location)?;
            return Ok(());
        }
        self.written = false;
        write_back(connection, location)
    }
}

/// Brings the log into the database, as far as readers allow. What cannot be brought over stays in the log, where it is
/// just as safe.
pub(super) fn write_back(connection: &Connection, location: &Location) -> Result<(), StoreError> {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    unless_locked((), done.map_err(|e| location.fault(&e)))
}

/// Grows the log's file by a step; returns whether it is as long as it will get.
fn grow(connection: &Connection, location: &Location) -> Result<bool, StoreError> {
    let sql = |ended: rusqlite::Result<()>| ended.map_err(|e| location.fault(&e));
    // Under SQLite's own write lock, so that nobody else appends at the same time.
    if let Err(refused) = sql(connection.execute_batch("BEGIN IMMEDIATE")) {
        return unless_locked(true, Err(refused));
    }
    let grown = append_zeros(&location.log_path());
    sql(connection.execute_batch("ROLLBACK"))?;
    match grown {
        Err(e)
            if !matches!(
                e.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            ) =>
        {
            Err(location.unwritable(format!("the log cannot be flushed: {e}")))
        }
        grown => Ok(grown.unwrap_or(true)),
    }
}

fn unless_locked<T>(otherwise: T, ended: Result<T, StoreError>) -> Result<T, StoreError> {
    match ended {
        Err(StoreError::Locked { .. }) => Ok(otherwise),
        ended => ended,
    }
}

fn append_zeros(log: &Path) -> io::Result<bool> {
    let mut file = fs::OpenOptions::new().append(true).open(log)?;
    let length = file.metadata()?.len();
    let step = STEP_BYTES.min(LOG_BYTES.saturating_sub(length));
    let written = io::copy(&mut io::Read::take(io::repeat(0), step), &mut file)
        .and_then(|_| file.flush())
        .and_then(|()| file.sync_data());
    if let Err(error) = written {
        file.set_len(length)?; // a full disk gets its space back
        return Err(error);
    }
    Ok(length + step >= LOG_BYTES)
}
