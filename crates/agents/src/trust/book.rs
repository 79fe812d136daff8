//! The person's book of what they trust: for each repository the fingerprints of files as they were when they looked.

use super::brought::{Brought, Content};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A book that cannot be used. It must not pass for an empty one, nor for one that trusts.
#[derive(Debug, thiserror::Error)]
#[error("the book of trusted repositories {}: {why}; mend or remove that file", path.display())]
pub struct BadBook {
    path: PathBuf,
    why: String,
}

/// What is trusted of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Fingerprints (SHA-256, hexadecimal) of files, by their paths from the top of the repository.
    pub files: BTreeMap<PathBuf, String>,
}

/// Everything that is trusted, by the top folders of repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// The repositories.
    #[serde(default)]
    pub repositories: BTreeMap<PathBuf, Trusted>,
}

impl Book {
    /// Reads a book; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(file: &Path) -> Result<Self, BadBook> {
        let bad = |why: String| BadBook {
            path: file.to_owned(),
            why,
        };
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// Reads it, changes it and writes it, whole or not at all, with nobody else in between; what `change` returns.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn update<T>(file: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, BadBook> {
        let bad = |error: io::Error| BadBook {
            path: file.to_owned(),
            why: error.to_string(),
        };
        let _lock = lock(file).map_err(bad)?;
        let mut book = Self::load(file)?;
        let result = change(&mut book);
        book.write(file).map_err(bad)?;
        Ok(result)
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let draft = file.with_extension("draft");
        let mut new = private().create(true).truncate(true).write(true).open(&draft)?;
        serde_json::to_writer_pretty(&mut new, self)?;
        new.write_all(b"\n")?;
        new.sync_all()?;
        fs::rename(&draft, file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Trusts all of it as it is; what was trusted of this repository before is forgotten. What has no fingerprint is left
    /// out.
    pub fn trust(&mut self, top: &Path, brought: &[Brought], at: i64) {
        let files = brought.iter().flat_map(|thing| &thing.files);
        let known = files.filter_map(|(path, content)| match content {
            Content::Sha256(hex) => Some((path.clone(), hex.clone())),
            Content::Unknown(_) => None,
        });
        let files = known.collect();
        self.repositories.insert(top.to_owned(), Trusted { at, files });
    }

    /// Trusts nothing of a repository any more; whether anything was.
    pub fn forget(&mut self, top: &Path) -> bool {
        self.repositories.remove(top).is_some()
    }

    /// What is trusted of the repository that a folder lies in: the innermost that is known.
    pub fn of(&self, folder: &Path) -> Option<&Trusted> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        folder.ancestors().find_map(|top| self.repositories.get(top))
    }

    /// Whether every file of a thing is trusted as it is.
    pub fn trusts(&self, folder: &Path, thing: &Brought) -> bool {
        let Some(trusted) = self.of(folder) else { return false };
        !thing.files.is_empty()
            && thing
                .files
                .iter()
                .all(|(path, content)| matches!(content, Content::Sha256(hex) if trusted.files.get(path) == Some(hex)))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// One writer at a time, whichever process it is in; closing it lets go.
fn lock(file: &Path) -> io::Result<File> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let lock = private()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file.with_extension("lock"))?;
    lock.lock()?;
    Ok(lock)
}
