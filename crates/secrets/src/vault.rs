//! The vault: provider keys, encrypted at rest.
//!
//! One file holds all of them, sealed as a whole by XChaCha20-Poly1305 under a data key, so that an entry that is changed, dropped
//! or swapped is found. The data key is wrapped by what locks the vault: a file that only its owner can read, or a passphrase
//! (Argon2id). Every change writes a whole new file beside the old one and renames it; a crash leaves the one or the other.

mod file;
mod lock;
mod sealed;

use crate::Secret;
pub use lock::LockKind;
use lock::{Lock, Unlocking};
use sealed::{Key, Sealed};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The shape of the file that is written here.
const FORMAT: u32 = 1;

/// The longest value, in bytes.
const LONGEST: usize = 16 << 10;

/// What can go wrong with the vault. Nothing that lay in it is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The system refuses.
    #[error("{}: {source}; see to the disk and the rights of that folder", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read or replace the file.
    #[error("{} {why}; make it yours alone (chmod 600), and replace the keys that lay in the vault", path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// Who can.
        why: String,
    },
    /// No vault yet.
    #[error("there is no vault yet; `maestria secrets set NAME` makes one")]
    None,
    /// Nothing of that name.
    #[error("there is no secret `{0}`; `maestria secrets list` shows those there are")]
    Unknown(String),
    /// The file that locks it is gone.
    #[error("{} is gone, which opens the vault; put it back, or remove the folder and set the secrets again", .0.display())]
    KeyGone(PathBuf),
    /// It is locked by a passphrase, and none is given.
    #[error("the vault is locked by a passphrase; put it into MAESTRIA_PASSPHRASE")]
    NoPassphrase,
    /// What was given does not open it.
    #[error("{what} does not open {}; it is another one, or the vault was changed by somebody else", path.display())]
    WrongKey {
        /// The passphrase, or which file.
        what: String,
        /// The vault.
        path: PathBuf,
    },
    /// The file is not what was written.
    #[error("{} is damaged ({what}); nothing in it is believed: put back a copy, or remove it and set the secrets again", path.display())]
    Damaged {
        /// The vault.
        path: PathBuf,
        /// Where it shows.
        what: String,
    },
    /// Written by a newer Maestria.
    #[error("{} was written by a newer maestria (format {found}); upgrade maestria", path.display())]
    Newer {
        /// The vault.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A name that is none.
    #[error("`{0}` is no name for a secret; use letters, digits, `-`, `_`, `.`, 64 at the most")]
    Name(String),
    /// A value that is none.
    #[error("{0}; give the value alone, on stdin")]
    Value(&'static str),
    /// A passphrase that anybody guesses.
    #[error("a passphrase has {LEAST_PASSPHRASE} characters at the least; several words are best")]
    Passphrase,
    /// No randomness.
    #[error("this system has no randomness to make a key of")]
    Random,
}

/// The shortest passphrase that is taken.
const LEAST_PASSPHRASE: usize = 12;

/// Where keys lie encrypted. See the module.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
}

/// A secret as the vault keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The secret.
    pub value: Secret,
    /// When it was set, in milliseconds since 1970.
    pub set_at: i64,
}

/// An open vault: what it holds, and what it takes to write it again.
struct Opened {
    lock: Lock,
    key: Key,
    wrapped: Sealed,
    entries: BTreeMap<String, Entry>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    lock: Lock,
    /// The data key, under what locks the vault.
    key: Sealed,
    /// The entries, under the data key.
    secrets: Sealed,
}

/// An entry within the sealed part; only ever in memory that is wiped.
#[derive(Serialize, Deserialize)]
struct Plain<T> {
    value: T,
    set_at: i64,
}

impl Vault {
    /// The vault of a folder, which need not be there.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// How it is locked; `None` when there is none yet.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn lock_kind(&self) -> Result<Option<LockKind>, VaultError> {
        Ok(self.written()?.map(|written| written.lock.kind()))
    }

    /// All secrets by name. They are known to the funnel from then on.
    ///
    /// # Errors
    /// [`VaultError::None`] when there is no vault yet.
    pub fn read(&self, passphrase: Option<&Secret>) -> Result<BTreeMap<String, Entry>, VaultError> {
        Ok(self.open(passphrase)?.ok_or(VaultError::None)?.entries)
    }

    /// Keeps a secret; what had its name is replaced. The first one makes the vault, locked by the passphrase if there is one,
    /// by a file otherwise.
    ///
    /// # Errors
    /// [`VaultError`]; the vault is then as it was.
    pub fn set(&self, name: &str, entry: Entry, passphrase: Option<&Secret>) -> Result<(), VaultError> {
        check_name(name)?;
        check_value(entry.value.reveal())?;
        let _alone = file::Alone::take(&self.folder)?;
        let mut opened = match self.open(passphrase)? {
            Some(opened) => opened,
            None => self.begin(passphrase)?,
        };
        crate::know(name, entry.value.reveal());
        opened.entries.insert(name.to_owned(), entry);
        self.write(&opened)
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`VaultError::Unknown`] when there is none of that name.
    pub fn remove(&self, name: &str, passphrase: Option<&Secret>) -> Result<(), VaultError> {
        let _alone = file::Alone::take(&self.folder)?;
        let mut opened = self.open(passphrase)?.ok_or(VaultError::None)?;
        if opened.entries.remove(name).is_none() {
            return Err(VaultError::Unknown(name.to_owned()));
        }
        self.write(&opened)
    }

    /// Makes a new data key and a new lock, and seals everything again. `passphrase` opens the vault as it is; `new` locks it
    /// from then on, a new file where there is none.
    ///
    /// # Errors
    /// [`VaultError`]; the vault is then as it was, and opens as before.
    pub fn rotate(&self, passphrase: Option<&Secret>, new: Option<&Secret>) -> Result<(), VaultError> {
        let _alone = file::Alone::take(&self.folder)?;
        let old = self.open(passphrase)?.ok_or(VaultError::None)?;
        let mut opened = self.begin(new)?;
        opened.entries = old.entries;
        self.write(&opened)?;
        // The old file opens nothing any more.
        if let Some(key) = old.lock.file(&self.folder) {
            file::remove(&key)?;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.join("vault.json")
    }

    /// A vault with nothing in it, locked anew.
    fn begin(&self, passphrase: Option<&Secret>) -> Result<Opened, VaultError> {
        let (lock, wrapping) = match passphrase {
            Some(passphrase) => Lock::by_passphrase(check_passphrase(passphrase)?)?,
            None => Lock::by_file(&self.folder)?,
        };
        let key = Key::random()?;
        let wrapped = Sealed::seal(&wrapping, key.bytes(), &bound("key", &lock))?;
        Ok(Opened {
            lock,
            key,
            wrapped,
            entries: BTreeMap::new(),
        })
    }

    fn written(&self) -> Result<Option<Written>, VaultError> {
        let path = self.path();
        let Some(text) = file::read(&path)? else {
            return Ok(None);
        };
        let damaged = |what: String| VaultError::Damaged {
            path: path.clone(),
            what,
        };
        let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        match json["format"].as_u64().and_then(|format| u32::try_from(format).ok()) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(VaultError::Newer { path, found }),
            _ => return Err(damaged("it has no format".to_owned())),
        }
        serde_json::from_value(json)
            .map(Some)
            .map_err(|error| damaged(error.to_string()))
    }

    fn open(&self, passphrase: Option<&Secret>) -> Result<Option<Opened>, VaultError> {
        let Some(written) = self.written()? else {
            return Ok(None);
        };
        let path = self.path();
        let Unlocking { key: wrapping, what } = written.lock.unlock(&self.folder, passphrase, &path)?;
        let key = written.key.open(&wrapping, &bound("key", &written.lock));
        let key = key
            .and_then(|bytes| Key::of(&bytes))
            .ok_or_else(|| VaultError::WrongKey {
                what,
                path: path.clone(),
            })?;
        let damaged = |what: &str| VaultError::Damaged {
            path: path.clone(),
            what: what.to_owned(),
        };
        let plain = written.secrets.open(&key, &bound("secrets", &written.lock));
        let plain = plain.ok_or_else(|| damaged("its seal is broken"))?;
        let entries: BTreeMap<String, Plain<String>> =
            serde_json::from_slice(&plain).map_err(|_| damaged("it is sealed and no list of secrets"))?;
        let entries = entries.into_iter().map(|(name, plain)| {
            let value = Secret::known(&name, plain.value);
            let set_at = plain.set_at;
            (name, Entry { value, set_at })
        });
        Ok(Some(Opened {
            entries: entries.collect(),
            lock: written.lock,
            key,
            wrapped: written.key,
        }))
    }

    fn write(&self, opened: &Opened) -> Result<(), VaultError> {
        let plain: BTreeMap<&str, Plain<&str>> = opened
            .entries
            .iter()
            .map(|(name, entry)| {
                let (value, set_at) = (entry.value.reveal(), entry.set_at);
                (name.as_str(), Plain { value, set_at })
            })
            .collect();
        // Large enough from the start: a vector that grows leaves copies behind.
        let room = opened
            .entries
            .values()
            .map(|entry| 256 + entry.value.reveal().len() * 6)
            .sum::<usize>()
            + 16;
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        let failed = |error: serde_json::Error| file::failed(&self.path(), error.into());
        serde_json::to_writer(&mut *text, &plain).map_err(failed)?;
        let written = Written {
            format: FORMAT,
            secrets: Sealed::seal(&opened.key, &text, &bound("secrets", &opened.lock))?,
            key: opened.wrapped.clone(),
            lock: opened.lock.clone(),
        };
        let text = serde_json::to_vec_pretty(&written).map_err(failed)?;
        file::replace(&self.path(), &text)
    }
}

/// What a seal is bound to, so that no part of one vault passes for another part, or for one that is locked in another way.
fn bound(part: &str, lock: &Lock) -> Vec<u8> {
    let lock = serde_json::to_string(lock).unwrap_or_default();
    format!("maestria vault {FORMAT} {part} {lock}").into_bytes()
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(VaultError::Name(name.to_owned()));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), VaultError> {
    if value.trim().is_empty() {
        return Err(VaultError::Value("the value is empty"));
    }
    if value.len() > LONGEST {
        return Err(VaultError::Value("the value is longer than 16 KiB"));
    }
    if value.contains('\0') {
        return Err(VaultError::Value("the value holds a NUL byte"));
    }
    Ok(())
}

fn check_passphrase(passphrase: &Secret) -> Result<&Secret, VaultError> {
    if passphrase.reveal().chars().count() < LEAST_PASSPHRASE {
        return Err(VaultError::Passphrase);
    }
    Ok(passphrase)
}

/// The folder of a vault beside a store.
pub fn folder(data: &Path) -> PathBuf {
    data.join("secrets")
}

#[cfg(test)]
mod tests;
