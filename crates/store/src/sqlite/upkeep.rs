//! What the writer does for the log's file (SQLite's WAL) when nobody asks for anything.
//!
//! Overwriting blocks that a file has already is several times faster to flush than appending, because the file system
//! need not record new blocks. So the file is grown once with zeros, which SQLite takes for the end of its log, and is
//! never cut. And what lies in it is brought into the database while there is time, so that no commit has to.

use super::location::{CHECKPOINT_PAGES, Location};
use rusqlite::Connection;
use std::{fs, io, io::Write as _, path::PathBuf};

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
    pub(super) fn step(&mut self, connection: &Connection, location: &Location) {
        if !self.grown {
            // Being refused room or the lock is no failure: the log works without, only slower.
            self.grown = grow(connection, location).unwrap_or(true);
            return;
        }
        Self::finish(connection);
        self.written = false;
    }

    /// Brings the log into the database, as far as readers allow.
    pub(super) fn finish(connection: &Connection) {
        // What cannot be brought over now stays in the log, where it is just as safe.
        let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}

/// Grows the log's file by a step; returns whether it is long enough.
fn grow(connection: &Connection, location: &Location) -> Result<bool, Box<dyn std::error::Error>> {
    // Under SQLite's own write lock, so that nobody else appends at the same time.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let grown = append_zeros(&log_path(location));
    connection.execute_batch("ROLLBACK")?;
    Ok(grown?)
}

fn append_zeros(log: &PathBuf) -> io::Result<bool> {
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

fn log_path(location: &Location) -> PathBuf {
    let mut path = location.path().as_os_str().to_owned();
    path.push("-wal");
    path.into()
}
