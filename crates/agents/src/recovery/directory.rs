//! Which directory may be added to what an agent may use: exactly one, and never one that gives away more than was asked.

use crate::policy::resolve;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What bounds a grant.
#[derive(Debug, Clone)]
pub struct Bounds<'a> {
    /// The person's home.
    pub person: Option<&'a Path>,
    /// The person's own checkout.
    pub target: &'a Path,
    /// The worktree.
    pub worktree: &'a Path,
    /// What the configuration allows without asking.
    pub allow_dirs: &'a [PathBuf],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// It may be added.
    Add(PathBuf),
    /// A person must say so.
    Ask(PathBuf),
    /// Never, whoever asks; the reason.
    Never(String),
}

/// Folders of the system. Nothing in them is a worker's business to write.
const SYSTEM: [&str; 14] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root/.ssh",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib",
];
/// Folders of a home that hold secrets or start programs.
const PRIVATE: [&str; 16] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".config",
    ".local",
    ".cargo",
    ".claude",
    ".codex",
    ".gemini",
    ".npm",
    ".mozilla",
    ".password-store",
    ".git",
];

/// Decides on the directory that an agent needs for `wanted`.
pub fn grant(wanted: &str, bounds: &Bounds<'_>) -> Grant {
    let full = resolve(bounds.worktree, Path::new(wanted.trim()));
    let folder = if full.is_dir() {
        full
    } else {
        full.parent().map(Path::to_owned).unwrap_or_default()
    };
    if !folder.is_dir() {
        return Grant::Never(format!("{} does not exist; create it first", folder.display()));
    }
    if let Some(why) = refused(&folder, bounds) {
        return Grant::Never(format!("{} is never added: {why}", folder.display()));
    }
    let allowed = bounds
        .allow_dirs
        .iter()
        .any(|allowed| folder.starts_with(resolve(Path::new("/"), allowed)));
    if allowed {
        Grant::Add(folder)
    } else {
        Grant::Ask(folder)
    }
}

/// The refusal list.
fn refused(folder: &Path, bounds: &Bounds<'_>) -> Option<&'static str> {
    let real = |path: &Path| resolve(Path::new("/"), path);
    let target = real(bounds.target);
    if folder.parent().is_none() {
        return Some("it is the root of the file system");
    }
    if target.starts_with(folder) {
        return Some("it holds the person's own checkout");
    }
    if folder.starts_with(&target) {
        return Some("it lies in the person's own checkout; the worktree is the place to work in");
    }
    if real(bounds.worktree).starts_with(folder) {
        return Some("it holds the worktrees of other tasks");
    }
    if SYSTEM.iter().any(|system| folder.starts_with(system)) {
        return Some("it belongs to the system");
    }
    if folder
        .components()
        .any(|part| PRIVATE.iter().any(|private| part.as_os_str() == *private))
    {
        return Some("it holds secrets or settings");
    }
    match bounds.person.map(real) {
        Some(home) if home.starts_with(folder) => return Some("it is a home directory or holds one"),
        Some(home) if !folder.starts_with(&home) && is_in_a_home(folder) => {
            return Some("it lies in somebody else's home");
        }
        Some(_) => {}
        None if is_in_a_home(folder) => return Some("it lies in somebody's home"),
        None => {}
    }
    shared(folder)
}

fn is_in_a_home(folder: &Path) -> bool {
    folder.starts_with("/home") || folder.starts_with("/root") || folder.starts_with("/Users")
}

/// Directories that everybody writes to, or that belong to somebody else.
fn shared(folder: &Path) -> Option<&'static str> {
    let Ok(facts) = fs::metadata(folder) else {
        return Some("it cannot be looked at");
    };
    if facts.mode() & 0o002 != 0 {
        return Some("everybody may write to it");
    }
    // What this process may own is known by what it creates: its own /proc entry.
    let own = fs::metadata("/proc/self")
        .map(|facts| facts.uid())
        .unwrap_or(facts.uid());
    (facts.uid() != own && own != 0).then_some("it belongs to somebody else")
}
