//! The keys to the API, and what was revoked: a file beside the token, which the command line writes and the server looks at
//! before it believes anybody. A key itself is nowhere; what is kept is a code over it, made with the server's token.

use super::{AccessError, random};
use crate::app::AppError;
use maestria_api::meta::{KeyLine, Role};
use maestria_kernel::At;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// What keys begin with.
const PREFIX: &str = "mak_";

/// Digits of the checksum at a key's end: a key that was mistyped or cut is told from a wrong one without a look at any.
const CHECK: usize = 8;

/// Digits of a key that lists show.
const SHOWN: usize = PREFIX.len() + 8;

/// How long it is remembered that a credential was revoked whose end is not known; none lives longer.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// Names that the server has for others.
const RESERVED: [&str; 4] = ["token", "dashboard", "terminal", "maestria"];

/// What is in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Register {
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    /// Ids of credentials that are good no more, and when they would have ended.
    #[serde(default)]
    pub(super) revoked: BTreeMap<String, At>,
}

/// A key, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) line: KeyLine,
    /// The code over it.
    pub(super) code: String,
}

/// Which state of the file was read: another one has another stamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    written: (i64, i64),
}

impl Stamp {
    /// Of the file as it is; the same for all that are not there.
    pub(super) fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(
            |_| Self::default(),
            |found| Self {
                inode: found.ino(),
                length: found.len(),
                written: (found.mtime(), found.mtime_nsec()),
            },
        )
    }
}

impl Register {
    /// What is in the file; nothing when it is not there.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Changes the file, whole or not at all; one process at a time.
    pub(super) fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, AccessError> {
        let failed = |source: io::Error| AppError::Folder {
            path: path.to_owned(),
            source,
        };
        let private = || {
            let mut options = OpenOptions::new();
            options.create(true).write(true).mode(0o600);
            options
        };
        let lock = private().truncate(false).open(beside(path, "lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut register = Self::read(path).map_err(failed)?;
        let changed = change(&mut register);
        let fresh = beside(path, "new");
        let mut file = private().truncate(true).open(&fresh).map_err(failed)?;
        let text = serde_json::to_vec_pretty(&register).map_err(|e| failed(e.into()))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        Ok(changed)
    }

    /// Whether a name can be given to a new key.
    pub(super) fn check_name(&self, name: &str) -> Result<(), AccessError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) || RESERVED.contains(&name) {
            let what =
                format!("`{name}` is no name for a key; use letters, digits, `-`, `_`, `.`, and none of {RESERVED:?}");
            return Err(AppError::Config(what));
        }
        if self.keys.iter().any(|key| key.line.name == name) {
            let what = format!("there is or was a key `{name}`; choose another name, so that the log stays clear");
            return Err(AppError::Config(what));
        }
        Ok(())
    }

    /// Revokes a key by name; `None` when there is none in force.
    pub(super) fn revoke(&mut self, name: &str, now: At) -> Option<KeyLine> {
        let fits = |key: &&mut Key| key.line.name == name && key.line.revoked_at.is_none();
        let key = self.keys.iter_mut().find(fits)?;
        key.line.revoked_at = Some(now);
        Some(key.line.clone())
    }
}

impl Key {
    /// A new key and what is kept of it.
    pub(super) fn make(
        name: &str,
        role: Role,
        now: At,
        life: Option<Duration>,
        code: impl FnOnce(&str) -> String,
    ) -> Result<(String, Self), AccessError> {
        let body = format!("{PREFIX}{}", random()?);
        let key = format!("{body}{}", checksum(&body));
        let line = KeyLine {
            name: name.to_owned(),
            prefix: key.chars().take(SHOWN).collect(),
            role,
            created_at: now,
            expires_at: life.map(|life| now.after(life)),
            used_at: None,
            revoked_at: None,
        };
        let kept = Self { line, code: code(&key) };
        Ok((key, kept))
    }

    /// Whether it opens anything at a moment.
    pub(super) fn is_good(&self, now: At) -> bool {
        self.line.revoked_at.is_none() && self.line.expires_at.is_none_or(|end| now < end)
    }
}

/// Whether a text is a key as far as can be told from itself.
pub(super) fn is_key(given: &str) -> bool {
    given.starts_with(PREFIX)
        && given.len() == PREFIX.len() + 64 + CHECK
        && given.is_ascii()
        && given
            .split_at_checked(given.len() - CHECK)
            .is_some_and(|(body, check)| checksum(body) == check)
}

fn checksum(body: &str) -> String {
    let hash = digest(&SHA256, body.as_bytes());
    hash.as_ref()
        .iter()
        .take(CHECK / 2)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(ending)
}
