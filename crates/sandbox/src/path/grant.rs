//! A place below an open root, and the work on it: everything goes through the root's descriptor, never through a path
//! that could mean something else a moment later.

use super::{Refused, unreachable};
use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs::File,
    io::Write as _,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// No way out, no link, no foreign mount.
const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A place that may be touched.
#[derive(Debug, Clone)]
pub struct Grant {
    root: Arc<OwnedFd>,
    relative: PathBuf,
    path: PathBuf,
}

impl Grant {
    pub(super) const fn new(root: Arc<OwnedFd>, relative: PathBuf, path: PathBuf) -> Self {
        Self { root, relative, path }
    }

    /// Where it really lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    /// As the system says; a place that has become a link since is an error, too.
    pub fn open(&self) -> std::io::Result<File> {
        // Without NONBLOCK, a pipe that took the file's place would hold the caller for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(self.at(&self.relative, flags, Mode::empty())?))
    }

    /// Replaces the file as a whole, keeping its mode, and makes its folders: a kill leaves the old file or the new one.
    ///
    /// # Errors
    /// As the system says.
    pub fn replace(&self, content: &[u8]) -> std::io::Result<()> {
        let folder = self.folder()?;
        let name = self.relative.file_name().ok_or(Errno::ISDIR)?;
        let mode = match self.look() {
            Ok(old) => Mode::from_raw_mode(old.st_mode & 0o777),
            Err(_) => Mode::from_raw_mode(0o644),
        };
        let draft = format!(".{}.maestria-draft", name.to_string_lossy());
        let _ = rustix::fs::unlinkat(&folder, draft.as_str(), AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&folder, draft.as_str(), flags, mode)?);
        let written = file.write_all(content).and_then(|()| match self.look() {
            Ok(_) => Ok(rustix::fs::fchmod(&file, mode)?),
            Err(_) => Ok(()),
        });
        let renamed = written.and_then(|()| Ok(rustix::fs::renameat(&folder, draft.as_str(), &folder, name)?));
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&folder, draft.as_str(), AtFlags::empty());
        }
        renamed
    }

    /// The folder of the place; what is missing of it is made.
    fn folder(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = self.at(Path::new("."), flags, Mode::empty())?;
        for name in self.parents() {
            let next = rustix::fs::openat2(&folder, name, flags, Mode::empty(), STRICT);
            folder = match next {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                    rustix::fs::openat2(&folder, name, flags, Mode::empty(), STRICT)?
                }
                other => other?,
            };
        }
        Ok(folder)
    }

    fn parents(&self) -> impl Iterator<Item = &OsStr> {
        let folder = self.relative.parent().unwrap_or(Path::new(""));
        folder.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
    }

    /// What is there, as the kernel finds it: a link counts as itself.
    pub(super) fn look(&self) -> Result<Stat, Errno> {
        let relative = if self.relative.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.relative
        };
        // With PATH and NOFOLLOW, a link at the end is opened itself; NO_SYMLINKS still forbids them on the way.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::fstat(self.at(relative, flags, Mode::empty())?)
    }

    /// Where the place does not exist yet: the part of its folders that does must be folders below the root.
    pub(super) fn parents_hold(&self) -> Result<(), Refused> {
        let mut known = PathBuf::new();
        for name in self.parents() {
            known.push(name);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match self.at(&known, flags, Mode::empty()) {
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(unreachable(&self.path, errno)),
            }
        }
        Ok(())
    }

    fn at(&self, relative: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&*self.root, relative, flags, mode, STRICT)
    }
}
