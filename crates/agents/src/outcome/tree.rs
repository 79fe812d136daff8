//! What git says about an attempt's worktree, as facts to judge by.

use crate::worktree::{Look, evidence};
use maestria_kernel::{id::CommitId, outcome::FileChange, port::RepositoryError};
use std::path::{Path, PathBuf};

/// What a tree shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeFacts {
    /// The files that differ from the base, committed or not, new ones included.
    pub files: Vec<FileChange>,
    /// The folder it is in; agents name files absolutely.
    pub root: PathBuf,
}

impl TreeFacts {
    /// `3 files changed (+10 −2)`.
    pub fn summary(&self) -> String {
        let (added, removed) = self.files.iter().fold((0_u64, 0_u64), |(added, removed), file| {
            (added + u64::from(file.added), removed + u64::from(file.removed))
        });
        match self.files.as_slice() {
            [] => "no file changed".to_owned(),
            [only] => format!("{} changed (+{added} −{removed})", only.path),
            files => format!("{} files changed (+{added} −{removed})", files.len()),
        }
    }

    /// Whether a file that an agent named, absolutely or relative to the tree, differs from the base.
    pub fn has(&self, path: &str) -> bool {
        let path = Path::new(path);
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        self.files.iter().any(|file| Path::new(&file.path) == relative)
    }
}

/// How the tree at `root`, committed or not, differs from `base`; and the look itself, by which it can be committed.
///
/// # Errors
/// When git says no.
pub async fn look(root: &Path, base: &CommitId) -> Result<(TreeFacts, Look), RepositoryError> {
    let look = Look::at(root, base.as_str()).await?;
    let facts = TreeFacts {
        files: look.evidence().files,
        root: root.to_owned(),
    };
    Ok((facts, look))
}

/// The state of a checkout that must not change: its commit, and whether anything lies beside it.
///
/// # Errors
/// When git says no.
pub async fn fingerprint(root: &Path) -> Result<(CommitId, Vec<FileChange>), RepositoryError> {
    let found = evidence(root, &CommitId::new("HEAD")).await?;
    Ok((found.head, found.files))
}
