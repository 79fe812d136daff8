//! The file tree of a worker, as steps to build it in an empty one: granted places at their own paths, and what leads there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use crate::profile::Profile;

/// Devices that every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Fresh, private places that anybody in the tree may write to.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// The same, for the forked side.
pub(crate) const TEMPORARY_PATHS: [&std::ffi::CStr; 3] = [c"/tmp", c"/var/tmp", c"/dev/shm"];
/// Places that are made for the worker and cannot be granted, nor anything that holds them.
const OURS: [&str; 6] = ["/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run"];

/// What a worker may do with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Read,
    Write,
    Device,
}

/// A place of the machine that appears in the tree.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
    pub(crate) folder: bool,
    /// Granted by name, so that its owner's files become the worker's own; places of the system stay the system's.
    pub(crate) granted: bool,
    /// Device and inode when it was looked at.
    pub(crate) identity: (u64, u64),
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Folder(PathBuf),
    /// A link: where it is, and what it says.
    Link(PathBuf, PathBuf),
    /// An empty file to mount something on.
    File(PathBuf),
    Bind(Place),
    /// Something empty over what is not to be seen.
    Cover(PathBuf, Cover),
    /// A fresh place for temporary files.
    Temporary(PathBuf),
    Proc,
    Terminals,
}

/// What stands where something is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    Folder,
    File,
    /// An empty object: many readers take an empty file for a broken one.
    Json,
}

/// A grant that cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadGrant {
    #[error("{0:?} is not there")]
    Missing(PathBuf, #[source] io::Error),
    #[error("{0:?} is not an absolute path")]
    Relative(PathBuf),
    #[error("{0:?} cannot be granted: it is, or holds, a place that every worker has for itself")]
    TooMuch(PathBuf),
    #[error("{0:?} is neither a file nor a folder")]
    Special(PathBuf),
    #[error("{0:?} is a link to a folder, which cannot be hidden without hiding that folder")]
    HiddenLink(PathBuf),
}

/// The steps for a profile, and the places that they bind.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) steps: Vec<Step>,
    /// Canonical path of every place, in the order in which one may lie in another.
    places: BTreeMap<PathBuf, Place>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Tree {
    pub(crate) fn of(profile: &Profile) -> Result<Self, BadGrant> {
        let mut tree = Self::default();
        for path in Profile::system().filter(|path| path.exists()) {
            tree.grant(&path, Access::Read, false)?;
        }
        for path in &profile.read {
            tree.grant(path, Access::Read, true)?;
        }
        for path in &profile.write {
            tree.grant(path, Access::Write, true)?;
        }
        for (root, name) in profile
            .write
            .iter()
            .flat_map(|root| profile.kept.iter().map(move |name| (root, name)))
        {
            let path = root.join(name);
            // Not through a link: what it leads to is not this project's.
            if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
                tree.keep_unchanged(&path)?;
            }
        }
        tree.lay_out();
        for path in &profile.hidden {
            tree.hide(path, &profile.hidden)?;
        }
        Ok(tree)
    }

    /// Covers a place, if it is there and can be seen at all.
    fn hide(&mut self, path: &Path, hidden: &[PathBuf]) -> Result<(), BadGrant> {
        let Ok(found) = path.symlink_metadata() else {
            return Ok(());
        };
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            // It leads nowhere, and shows nothing.
            Err(_) if found.is_symlink() => return Ok(()),
            Err(error) => return Err(BadGrant::Missing(path.to_owned(), error)),
        };
        // What a link leads to is hidden in its stead, as far as it is the project's: what is the machine's the project did not
        // bring.
        if !self
            .places()
            .any(|place| real.starts_with(&place.path) && (place.granted || !found.is_symlink()))
        {
            return Ok(());
        }
        if found.is_symlink() && real.is_dir() {
            let is_hidden_itself = |place: &PathBuf| place.as_path() != path && real.starts_with(place);
            return match hidden.iter().any(is_hidden_itself) {
                true => Ok(()),
                false => Err(BadGrant::HiddenLink(path.to_owned())),
            };
        }
        let is_json = |path: &Path| path.extension().is_some_and(|kind| kind == "json" || kind == "jsonc");
        let cover = if real.is_dir() {
            Cover::Folder
        } else if is_json(path) || is_json(&real) {
            Cover::Json
        } else {
            Cover::File
        };
        self.steps.push(Step::Cover(real, cover));
        Ok(())
    }

    /// Every place that is bound.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.steps.iter().filter_map(|step| match step {
            Step::Bind(place) => Some(place),
            _ => None,
        })
    }

    fn grant(&mut self, path: &Path, access: Access, granted: bool) -> Result<(), BadGrant> {
        if !path.is_absolute() {
            return Err(BadGrant::Relative(path.to_owned()));
        }
        let missing = |error| BadGrant::Missing(path.to_owned(), error);
        let real = self.follow(path).map_err(missing)?;
        let found = fs::metadata(&real).map_err(missing)?;
        if OURS.iter().any(|ours| Path::new(ours).starts_with(&real))
            || ["/dev", "/proc", "/sys"].iter().any(|ours| real.starts_with(ours))
        {
            return Err(BadGrant::TooMuch(path.to_owned()));
        }
        if !found.is_dir() && !found.is_file() {
            return Err(BadGrant::Special(path.to_owned()));
        }
        let place = Place {
            path: real.clone(),
            access,
            folder: found.is_dir(),
            granted,
            identity: (found.dev(), found.ino()),
        };
        match self.places.get_mut(&real) {
            Some(known) if known.access >= access => {}
            _ => {
                self.places.insert(real, place);
            }
        }
        Ok(())
    }

    fn keep_unchanged(&mut self, path: &Path) -> Result<(), BadGrant> {
        self.grant(path, Access::Read, true)
    }

    /// Where a path really leads; notes every link on the way.
    fn follow(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut ahead: Vec<std::ffi::OsString> = path.components().rev().map(own).collect();
        let mut followed = 0;
        while let Some(name) = ahead.pop() {
            if name == OsStr::new("/") {
                real = PathBuf::from("/");
                continue;
            }
            if name == OsStr::new("..") {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            let Ok(target) = fs::read_link(&next) else {
                real = next;
                continue;
            };
            followed += 1;
            if followed > 40 {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            ahead.extend(target.components().rev().map(own));
            self.links.insert(next, target);
        }
        fs::symlink_metadata(&real).map(|_| real)
    }

    fn lay_out(&mut self) {
        for folder in ["/proc", "/dev", "/dev/pts", "/var", "/run", "/sys"]
            .into_iter()
            .chain(TEMPORARY)
        {
            self.steps.push(Step::Folder(folder.into()));
        }
        self.steps.push(Step::Proc);
        self.steps.push(Step::Terminals);
        for (path, target) in [
            ("/dev/ptmx", "pts/ptmx"),
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
        ] {
            self.steps.push(Step::Link(path.into(), target.into()));
        }
        for place in DEVICES.iter().filter_map(|name| device(name)) {
            self.steps.push(Step::File(place.path.clone()));
            self.steps.push(Step::Bind(place));
        }
        for place in TEMPORARY {
            self.steps.push(Step::Temporary(place.into()));
        }
        let mut bound: Vec<Place> = Vec::new();
        let mut made: Vec<PathBuf> = Vec::new();
        for (path, target) in std::mem::take(&mut self.links) {
            if !self.places.keys().any(|place| path.starts_with(place)) {
                self.make_folders(path.parent(), &mut made, &[]);
                self.steps.push(Step::Link(path, target));
            }
        }
        for (path, place) in std::mem::take(&mut self.places) {
            let outer = bound.iter().rev().find(|outer| path.starts_with(&outer.path));
            if outer.is_some_and(|outer| outer.access == place.access && (outer.granted || !place.granted)) {
                continue;
            }
            if outer.is_none() {
                self.make_folders(path.parent(), &mut made, &bound);
                self.steps.push(if place.folder {
                    Step::Folder(path.clone())
                } else {
                    Step::File(path.clone())
                });
            }
            bound.push(place.clone());
            self.steps.push(Step::Bind(place));
        }
    }

    fn make_folders(&mut self, path: Option<&Path>, made: &mut Vec<PathBuf>, bound: &[Place]) {
        let Some(path) = path.filter(|path| *path != Path::new("/")) else {
            return;
        };
        if made.iter().any(|known| known == path) || bound.iter().any(|outer| path.starts_with(&outer.path)) {
            return;
        }
        self.make_folders(path.parent(), made, bound);
        made.push(path.to_owned());
        self.steps.push(Step::Folder(path.to_owned()));
    }
}

fn own(component: Component<'_>) -> std::ffi::OsString {
    component.as_os_str().to_owned()
}

fn device(name: &str) -> Option<Place> {
    let path = Path::new("/dev").join(name);
    let found = fs::symlink_metadata(&path).ok()?;
    found.file_type().is_char_device().then(|| Place {
        path,
        access: Access::Device,
        folder: false,
        granted: false,
        identity: (found.dev(), found.ino()),
    })
}

/// What rules are made for: a place, or of `/etc` each entry, and whether only if everybody may read it. A worker of a root
/// product might own what only root may read there.
pub(crate) fn parts(place: &Place) -> Vec<(PathBuf, bool)> {
    let whole = || vec![(place.path.clone(), false)];
    if place.path != Path::new("/etc") {
        return whole();
    }
    let Ok(entries) = fs::read_dir(&place.path) else {
        return whole();
    };
    entries.flatten().map(|entry| (entry.path(), true)).collect()
}

/// Whether everybody may read what an entry leads to.
pub(crate) fn is_everybodys(found: &fs::Metadata) -> bool {
    let needed = if found.is_dir() { 0o005 } else { 0o004 };
    found.permissions().mode() & needed == needed
}

#[cfg(test)]
mod tests;
