//! The keys of providers that lie in the vault.

use crate::{app::AppError, config::Config};
pub use maestria_secrets::{Entry, LockKind, Secret, Vault, VaultError};
use std::{collections::BTreeMap, path::Path};

/// The variable that holds the vault's passphrase.
pub const PASSPHRASE: &str = "MAESTRIA_PASSPHRASE";

/// The vault beside the store.
pub fn vault(config: &Config) -> Vault {
    Vault::at(maestria_secrets::vault_folder(
        config.store.parent().unwrap_or(Path::new(".")),
    ))
}

/// The passphrase that the person has given to this process.
pub fn passphrase() -> Option<Secret> {
    let given = std::env::var(PASSPHRASE).ok().filter(|text| !text.is_empty())?;
    Some(Secret::known("passphrase", given))
}

/// The secrets that providers name. The vault is not touched when none does.
///
/// # Errors
/// [`AppError::Config`] with the provider, when the vault does not open or has no such secret.
pub(super) fn keys(config: &Config) -> Result<BTreeMap<String, Secret>, AppError> {
    let named = config
        .providers
        .iter()
        .flat_map(|(name, table)| table.key_secret.iter().map(move |key| (name, key)));
    let mut keys = BTreeMap::new();
    let mut open: Option<BTreeMap<String, Entry>> = None;
    for (provider, key) in named {
        let wrong = |error: VaultError| AppError::Config(format!("[providers.{provider}]: {error}"));
        let entries = match &open {
            Some(entries) => entries,
            None => open.insert(vault(config).read(passphrase().as_ref()).map_err(wrong)?),
        };
        let entry = entries
            .get(key)
            .ok_or_else(|| wrong(VaultError::Unknown(key.clone())))?;
        keys.insert(key.clone(), entry.value.clone());
    }
    Ok(keys)
}
