//! The vault's files: read only when nobody else can, replaced as a whole.

use super::VaultError;
use rustix::fs::OFlags;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 8 << 20;

pub(super) fn failed(path: &Path, source: io::Error) -> VaultError {
    VaultError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The only one who writes, until it is dropped.
pub(super) struct Alone(#[expect(dead_code, reason = "holds the lock")] File);

impl Alone {
    /// Waits for its turn; makes the folder when it is not there.
    pub(super) fn take(folder: &Path) -> Result<Self, VaultError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed(folder, error))?;
        let path = folder.join("lock");
        let file = private().create(true).truncate(false).open(&path);
        let file = file.map_err(|error| failed(&path, error))?;
        file.lock().map_err(|error| failed(&path, error))?;
        Ok(Self(file))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    options.write(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

/// The content of a file that is its owner's alone; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(loose(path, "is a link".to_owned()));
        }
        Err(error) => return Err(failed(path, error)),
    };
    check(path, &file)?;
    let mut content = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut content)
        .map_err(|error| failed(path, error))?;
    Ok(Some(content))
}

fn loose(path: &Path, why: String) -> VaultError {
    VaultError::Loose {
        path: path.to_owned(),
        why,
    }
}

fn check(path: &Path, file: &File) -> Result<(), VaultError> {
    let found = file.metadata().map_err(|error| failed(path, error))?;
    if !found.is_file() {
        return Err(loose(path, "is no file".to_owned()));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(loose(path, format!("belongs to user {}", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        return Err(loose(
            path,
            format!("is open to others (mode {:03o})", found.mode() & 0o777),
        ));
    }
    Ok(())
}

/// Writes a file beside its place and renames it there; it and its name are on the disk when this returns.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let draft = draft(path);
    remove(&draft)?;
    let written = || -> io::Result<()> {
        let mut file = private().create_new(true).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|error| failed(path, error))
}

fn draft(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), VaultError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}
