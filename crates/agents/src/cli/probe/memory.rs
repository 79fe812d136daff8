//! What probes have found out, kept for as long as the program's file stays the same, also from one run to the next.

use super::About;
use crate::{
    cli::config::{AgentConfig, Kind, Transport},
    outcome::report::replace,
};
use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The file's name in the cache folder.
const NAME: &str = "probes.json";

/// See the module.
#[derive(Debug)]
pub struct Probes {
    folder: Option<PathBuf>,
    known: Mutex<BTreeMap<String, About>>,
    chosen: Mutex<Option<Transport>>,
}

impl Probes {
    /// What is remembered in `folder`.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            known: Mutex::new(load(folder.as_deref())),
            folder,
            chosen: Mutex::default(),
        }
    }

    pub(super) fn recall(&self, program: &Path, config: &AgentConfig, kind: Kind) -> Option<About> {
        let key = key(program, config, kind)?;
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned()
    }

    pub(super) fn remember(&self, program: &Path, config: &AgentConfig, kind: Kind, about: &About) {
        let Some(key) = key(program, config, kind) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.clone(), about.clone());
        let Some(folder) = &self.folder else { return };
        // Another process may have remembered something meanwhile.
        let mut all = load(Some(folder));
        all.insert(key, about.clone());
        if let Err(error) = replace(folder, NAME, &all) {
            tracing::debug!(folder = %folder.display(), %error, "a probe could not be remembered");
        }
    }

    /// The transport that the last probe chose.
    pub fn transport(&self) -> Option<Transport> {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn choose(&self, transport: Transport) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(transport);
    }
}

fn load(folder: Option<&Path>) -> BTreeMap<String, About> {
    let text = folder.and_then(|folder| fs::read_to_string(folder.join(NAME)).ok());
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// A program as it is configured, for as long as nobody installs another version in its place. What it is given is kept
/// as a number only: it may hold keys.
fn key(program: &Path, config: &AgentConfig, kind: Kind) -> Option<String> {
    let real = fs::canonicalize(program).ok()?;
    let facts = fs::metadata(&real).ok()?;
    let mut given = DefaultHasher::new();
    (&config.args, &config.env, config.transport == Some(Transport::OneShot)).hash(&mut given);
    let stamp = format!("{}.{:09}", facts.mtime(), facts.mtime_nsec());
    let file = format!("{}|{stamp}|{}|{}", real.display(), facts.len(), facts.ino());
    Some(format!("{}|{file}|{:016x}", kind.as_str(), given.finish()))
}
