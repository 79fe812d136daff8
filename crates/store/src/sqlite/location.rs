//! Where the database is, how it is opened, and what its errors mean.

use super::schema;
use maestria_kernel::port::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, ffi};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The log is written back into the database when it has this many pages (32 MiB), so that its file is reused.
pub(super) const CHECKPOINT_PAGES: u32 = 8_192;

/// The bytes of the smallest page: no database is smaller.
const SMALLEST: u64 = 512;

#[derive(Debug)]
pub(super) struct Location {
    path: PathBuf,
    patience: Duration,
}

impl Location {
    pub(super) fn new(path: &Path, patience: Duration) -> Self {
        Self {
            path: path.to_owned(),
            patience,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what is missing, checks what is there, and opens a connection that may write.
    pub(super) fn prepare(&self) -> Result<Connection, StoreError> {
        self.guard_remains()?;
        self.make_file().map_err(|e| self.unwritable(e))?;
        self.patiently(|| {
            let mut connection = self.connect()?;
            // Read before anything is changed: a database of somebody else or of a newer Maestria is left as it is.
            self.recognise(&connection)?;
            let sql = |e| self.fault(&e);
            if connection.is_readonly("main").map_err(sql)? {
                return Err(self.unwritable("the file is read-only"));
            }
            self.keep_log_beside(&connection)?;
            schema::migrate(&mut connection).map_err(sql)?;
            self.recognise(&connection)?;
            tune(&connection, 4).map_err(sql)?;
            Ok(connection)
        })
    }

    /// Opens a connection that cannot write.
    pub(super) fn reading(&self) -> Result<Connection, StoreError> {
        self.patiently(|| {
            let connection = self.connect()?;
            tune(&connection, 2)
                .and_then(|()| connection.pragma_update(None, "query_only", true))
                .map_err(|e| self.fault(&e))?;
            Ok(connection)
        })
    }

    /// What SQLite takes for an empty database, and would write over, although something was there: a file too short
    /// to be one, and a missing or empty file whose log may hold all that was acknowledged last.
    fn guard_remains(&self) -> Result<(), StoreError> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        match length(&self.path) {
            0 if length(&self.log_path()) > 0 => {
                Err(self.damaged("the file is missing or empty, but its log is there"))
            }
            1..SMALLEST => Err(self.damaged("file is not a database")),
            _ => Ok(()),
        }
    }

    fn make_file(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // An existing file must not even be opened: closing it would drop the locks that other connections of this
        // process hold on it. The log beside it gets the same mode from SQLite.
        if self.path.exists() {
            return Ok(());
        }
        match fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)
        {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        // No SQLITE_OPEN_URI: a path is a path. No mutex: a connection never leaves its thread.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(self.patience)?;
            // The last connection would delete the log; kept, its blocks are overwritten instead of allocated anew.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // Otherwise a statement is compiled anew whenever its parameters change, in case another plan fits better.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            Ok(connection)
        };
        open().map_err(|e| self.fault(&e))
    }

    /// Switches to the write-ahead log, which SQLite silently leaves alone where memory cannot be shared.
    fn keep_log_beside(&self, connection: &Connection) -> Result<(), StoreError> {
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|e| self.fault(&e))?;
        if mode == "wal" {
            Ok(())
        } else {
            Err(self.unwritable("this file system cannot share memory between programs; a local disk can"))
        }
    }

    fn recognise(&self, connection: &Connection) -> Result<(), StoreError> {
        let identity = schema::identity(connection).map_err(|e| self.fault(&e))?;
        if !identity.is_ours() {
            return Err(StoreError::Foreign { path: self.name() });
        }
        if identity.version > schema::KNOWN {
            return Err(StoreError::Newer {
                path: self.name(),
                found: identity.version,
                known: schema::KNOWN,
            });
        }
        Ok(())
    }

    /// Repeats what meets a lock: SQLite's own waiting does not cover every step of opening.
    fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match attempt() {
                Err(StoreError::Locked { .. }) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                ended => return ended,
            }
        }
    }

    /// What an error of SQLite means to the caller.
    pub(super) fn fault(&self, error: &rusqlite::Error) -> StoreError {
        let rusqlite::Error::SqliteFailure(code, _) = error else {
            return self.damaged(error);
        };
        let detail = || format!("{error} (SQLite code {})", code.extended_code);
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked { path: self.name() },
            // The file ends too early.
            _ if code.extended_code == ffi::SQLITE_IOERR_SHORT_READ => self.damaged(detail()),
            ErrorCode::CannotOpen => self.unwritable(format!(
                "{}; the folder must be there and writable too, for the files beside it",
                detail()
            )),
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OutOfMemory
            | ErrorCode::TooBig => self.unwritable(detail()),
            _ => self.damaged(detail()),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every caller has a value to give away")]
    pub(super) fn damaged(&self, detail: impl ToString) -> StoreError {
        StoreError::Damaged {
            path: self.name(),
            detail: detail.to_string(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every caller has a value to give away")]
    pub(super) fn unwritable(&self, detail: impl ToString) -> StoreError {
        StoreError::Unwritable {
            path: self.name(),
            detail: detail.to_string(),
        }
    }

    /// The write-ahead log.
    pub(super) fn log_path(&self) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push("-wal");
        path.into()
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn tune(connection: &Connection, cache_mib: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", -1)?;
    connection.pragma_update(None, "cache_size", -1024 * cache_mib)
}
