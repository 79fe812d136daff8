//! The path policy: whether a file may be touched, decided by where the kernel finds it.
//!
//! A path is resolved link by link to the place that it means; the place must lie below an allowed root; and then the
//! kernel must find exactly that place below the open root without a single link or mount on the way (`openat2`). What it
//! returns is what is worked on: between the check and the use nothing can be swapped, and a lost race is a refusal.
//!
//! Child processes do not come through here; the walls around them are their own.

mod grant;
mod resolve;
#[cfg(test)]
mod tests;

pub use grant::Grant;
pub use resolve::resolve;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::{
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is to be done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Read a file.
    Read,
    /// Change a file, or make it.
    Write,
    /// Make a file or a folder.
    Create,
    /// Delete it; a link itself, not what it means.
    Delete,
    /// List a folder.
    List,
    /// Run it.
    Exec,
    /// Give it another name, or give its name to another.
    Rename,
    /// Make a link of that name.
    Link,
}

impl Op {
    /// All of them, as they are spelled.
    pub const ALL: [(&'static str, Self); 8] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("create", Self::Create),
        ("delete", Self::Delete),
        ("list", Self::List),
        ("exec", Self::Exec),
        ("rename", Self::Rename),
        ("link", Self::Link),
    ];

    const fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::List | Self::Exec)
    }

    /// Whether a link at the end is followed.
    const fn follows(self) -> bool {
        !matches!(self, Self::Delete | Self::Rename | Self::Link)
    }
}

/// Why a path may not be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The rule, such as `path.outside`.
    pub rule: &'static str,
    /// Why, in one sentence.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.reason)
    }
}

impl std::error::Error for Refused {}

/// A root that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the root {path:?} cannot be used: {why}; name an existing folder other than /")]
pub struct BadRoot {
    path: PathBuf,
    why: String,
}

#[derive(Debug, Clone)]
struct Root {
    /// Where it really is.
    path: PathBuf,
    open: Arc<OwnedFd>,
    writable: bool,
}

/// Which folders may be touched, and what in them may not.
#[derive(Debug, Clone)]
pub struct PathPolicy {
    roots: Vec<Root>,
    protected: Vec<String>,
}

impl PathPolicy {
    /// Opens the roots: `writable` ones, and others that may only be read. `protected` names are changed nowhere.
    ///
    /// # Errors
    /// [`BadRoot`] when one is empty, `/`, missing, or no folder.
    pub fn new(writable: &[PathBuf], readable: &[PathBuf], protected: &[String]) -> Result<Self, BadRoot> {
        let writable = writable.iter().map(|path| Root::open(path, true));
        let readable = readable.iter().map(|path| Root::open(path, false));
        Ok(Self {
            roots: writable.chain(readable).collect::<Result<_, _>>()?,
            protected: protected.iter().map(|name| folded(name)).collect(),
        })
    }

    /// Decides on a path, relative ones from `cwd`, and returns what was found.
    ///
    /// # Errors
    /// [`Refused`] with the rule and the reason.
    pub fn permit(&self, op: Op, cwd: &Path, given: &Path) -> Result<Grant, Refused> {
        if given.as_os_str().is_empty() || given.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(refused(
                "path.invalid",
                "an empty path, or one with a NUL byte, names nothing",
            ));
        }
        let Some(place) = resolve::place(cwd, given, op.follows()) else {
            return Err(refused(
                "path.loop",
                format!("{} follows more links than any honest path has", shown(given)),
            ));
        };
        let root = self.root_of(&place).ok_or_else(|| {
            refused(
                "path.outside",
                format!(
                    "{} leads to {}, outside of every allowed folder",
                    shown(given),
                    shown(&place)
                ),
            )
        })?;
        if op.changes() {
            self.may_change(op, root, &place)?;
        }
        let relative = place.strip_prefix(&root.path).unwrap_or(Path::new("")).to_path_buf();
        let grant = Grant::new(Arc::clone(&root.open), relative, place);
        self.found(op, &grant)?;
        Ok(grant)
    }

    /// The innermost root; of two alike the one that may only be read.
    fn root_of(&self, place: &Path) -> Option<&Root> {
        let holding = self.roots.iter().filter(|root| place.starts_with(&root.path));
        holding.max_by_key(|root| (root.path.components().count(), !root.writable))
    }

    fn may_change(&self, op: Op, root: &Root, place: &Path) -> Result<(), Refused> {
        if !root.writable {
            return Err(refused(
                "path.read_only",
                format!("{} may only be read", shown(&root.path)),
            ));
        }
        let holds_root = self.roots.iter().any(|root| root.path.starts_with(place));
        if holds_root && matches!(op, Op::Delete | Op::Rename | Op::Link | Op::Write) {
            return Err(refused(
                "path.root",
                format!("{} is an allowed folder itself, or holds one", shown(place)),
            ));
        }
        let relative = place.strip_prefix(&root.path).unwrap_or(place);
        let protected = relative
            .components()
            .map(|part| folded(&part.as_os_str().to_string_lossy()));
        if let Some(name) = protected.into_iter().find(|name| self.protected.contains(name)) {
            return Err(refused(
                "path.protected",
                format!("{name} decides what other programs run; no worker changes it"),
            ));
        }
        Ok(())
    }

    /// Asks the kernel for the place itself, and looks at what is there.
    fn found(&self, op: Op, grant: &Grant) -> Result<(), Refused> {
        let there = match grant.look() {
            Ok(there) => there,
            Err(rustix::io::Errno::NOENT) if op.changes() && !matches!(op, Op::Delete) => return grant.parents_hold(),
            Err(errno) => return Err(unreachable(grant.path(), errno)),
        };
        let kind = FileType::from_raw_mode(there.st_mode);
        let special = matches!(
            kind,
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice
        );
        match op {
            Op::Write | Op::Create | Op::Rename | Op::Link if special => Err(refused(
                "path.special",
                format!("{} is a device, a pipe or a socket", shown(grant.path())),
            )),
            Op::Write | Op::Create | Op::Rename | Op::Link if kind == FileType::RegularFile && there.st_nlink > 1 => {
                Err(refused(
                    "path.hard_link",
                    format!("{} has another name, which may lie outside", shown(grant.path())),
                ))
            }
            Op::Write | Op::Read | Op::Exec if kind == FileType::Directory => {
                Err(refused("path.folder", format!("{} is a folder", shown(grant.path()))))
            }
            Op::List if kind != FileType::Directory => Err(refused(
                "path.no_folder",
                format!("{} is no folder", shown(grant.path())),
            )),
            Op::Exec if there.st_mode & 0o111 == 0 => Err(refused(
                "path.no_program",
                format!("{} is not executable", shown(grant.path())),
            )),
            _ => Ok(()),
        }
    }
}

impl Root {
    fn open(path: &Path, writable: bool) -> Result<Self, BadRoot> {
        let bad = |why: String| BadRoot {
            path: path.to_owned(),
            why,
        };
        let real = path.canonicalize().map_err(|error| bad(error.to_string()))?;
        if real == Path::new("/") {
            return Err(bad("it is the whole file system".to_owned()));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat2(
            rustix::fs::CWD,
            &real,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        );
        let open = Arc::new(open.map_err(|errno| bad(errno.to_string()))?);
        Ok(Self {
            path: real,
            open,
            writable,
        })
    }
}

fn unreachable(place: &Path, errno: rustix::io::Errno) -> Refused {
    use rustix::io::Errno;
    match errno {
        Errno::NOENT | Errno::NOTDIR => refused("path.missing", format!("{} does not exist", shown(place))),
        Errno::XDEV => refused("path.mount", format!("{} lies on another mount", shown(place))),
        Errno::LOOP => refused("path.raced", format!("{} changed while it was looked at", shown(place))),
        errno => refused("path.unreachable", format!("{}: {errno}", shown(place))),
    }
}

fn refused(rule: &'static str, reason: impl Into<String>) -> Refused {
    Refused {
        rule,
        reason: reason.into(),
    }
}

fn shown(path: &Path) -> String {
    crate::policy::shown(&path.to_string_lossy())
}

/// Whether a name is one of `names` to a careless file system: without case, and without characters that cannot be seen.
pub fn is_named(names: &[String], name: &std::ffi::OsStr) -> bool {
    let name = folded(&name.to_string_lossy());
    names.iter().any(|other| folded(other) == name)
}

/// A name as careless file systems compare it: without case, and without characters that cannot be seen.
fn folded(name: &str) -> String {
    let seen = name.chars().filter(
        |c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'),
    );
    seen.flat_map(char::to_lowercase).collect()
}
