//! What locks a vault: a file of its owner's, or a passphrase.

use super::{VaultError, file, sealed::Key};
use crate::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The cost of a guess at a passphrase: memory in KiB, and passes over it.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// A vault that asks for more was not written by us.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 32;

/// How a vault is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// By a file that only its owner can read.
    File,
    /// By a passphrase.
    Passphrase,
}

/// How a vault is locked, as it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Lock {
    /// The name of the file beside the vault.
    File { name: String },
    /// Argon2id, with this salt and cost.
    Passphrase { salt: String, memory: u32, passes: u32 },
}

/// What is tried on the wrapped key, and what people call it.
pub(super) struct Unlocking {
    pub(super) key: Key,
    pub(super) what: String,
}

impl Lock {
    pub(super) const fn kind(&self) -> LockKind {
        match self {
            Self::File { .. } => LockKind::File,
            Self::Passphrase { .. } => LockKind::Passphrase,
        }
    }

    /// A new key in a new file. The name is new as well: until the vault is written, the old file opens the old vault.
    pub(super) fn by_file(folder: &Path) -> Result<(Self, Key), VaultError> {
        let key = Key::random()?;
        let mut mark = [0; 6];
        getrandom::fill(&mut mark).map_err(|_| VaultError::Random)?;
        let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("key-{mark}");
        let text = Zeroizing::new(STANDARD.encode(key.bytes()));
        file::replace(&folder.join(&name), text.as_bytes())?;
        Ok((Self::File { name }, key))
    }

    pub(super) fn by_passphrase(passphrase: &Secret) -> Result<(Self, Key), VaultError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| VaultError::Random)?;
        let key = derived(passphrase, &salt, MEMORY, PASSES).ok_or(VaultError::Random)?;
        let lock = Self::Passphrase {
            salt: STANDARD.encode(salt),
            memory: MEMORY,
            passes: PASSES,
        };
        Ok((lock, key))
    }

    /// The file that the lock is.
    pub(super) fn file(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::File { name } => Some(folder.join(name)),
            Self::Passphrase { .. } => None,
        }
    }

    pub(super) fn unlock(
        &self,
        folder: &Path,
        passphrase: Option<&Secret>,
        vault: &Path,
    ) -> Result<Unlocking, VaultError> {
        let damaged = |what: &str| VaultError::Damaged {
            path: vault.to_owned(),
            what: what.to_owned(),
        };
        match self {
            Self::File { name } => {
                if !name.starts_with("key-") || name.contains('/') {
                    return Err(damaged("its lock is no file of ours"));
                }
                let path = folder.join(name);
                let text = file::read(&path)?.ok_or_else(|| VaultError::KeyGone(path.clone()))?;
                let bytes = STANDARD.decode(text.trim_ascii()).ok().map(Zeroizing::new);
                let what = path.display().to_string();
                let key = bytes.and_then(|bytes| Key::of(&bytes));
                let key = key.ok_or_else(|| VaultError::WrongKey {
                    what: what.clone(),
                    path: vault.to_owned(),
                })?;
                Ok(Unlocking { key, what })
            }
            Self::Passphrase { salt, memory, passes } => {
                let passphrase = passphrase.ok_or(VaultError::NoPassphrase)?;
                if *memory > MOST_MEMORY || *passes > MOST_PASSES {
                    return Err(damaged("its passphrase costs more than any of ours"));
                }
                let salt = STANDARD.decode(salt).map_err(|_| damaged("its salt is none"))?;
                let key = derived(passphrase, &salt, *memory, *passes).ok_or_else(|| damaged("its costs are none"))?;
                let what = "the passphrase".to_owned();
                Ok(Unlocking { key, what })
            }
        }
    }
}

/// The key of a passphrase, by Argon2id.
fn derived(passphrase: &Secret, salt: &[u8], memory: u32, passes: u32) -> Option<Key> {
    let params = Params::new(memory, passes, 1, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon
        .hash_password_into(passphrase.reveal().as_bytes(), salt, &mut *key)
        .ok()?;
    Key::of(&*key)
}
