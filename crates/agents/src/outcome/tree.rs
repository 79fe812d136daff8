//! What git says about an attempt's worktree. Nothing the repository brings along is executed: no hooks, no fsmonitor, no
//! external diff, no text conversion, no system or personal configuration.

use maestria_kernel::{id::CommitId, outcome::FileChange, port::Boxed};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::process::Command;

/// The longest a git command may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Options that keep git from executing anything of the repository's.
const HARMLESS: [&str; 12] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "gc.auto=0",
    "-c",
    "core.quotePath=false",
];

/// What a tree shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeFacts {
    /// The files that differ from the base, new ones included.
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

/// A git command that failed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It could not be run.
    #[error("git cannot be run in {folder} ({source}); is it installed and the folder there?")]
    Run {
        /// Where.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("git {command} in {folder} took longer than {} s", PATIENCE.as_secs())]
    Slow {
        /// What.
        command: String,
        /// Where.
        folder: PathBuf,
    },
    /// It refused.
    #[error("git {command} in {folder}: {said}")]
    Refused {
        /// What.
        command: String,
        /// Where.
        folder: PathBuf,
        /// What it said.
        said: String,
    },
}

/// The tree an agent works on, as evidence.
pub trait Tree: Send + Sync {
    /// How the tree, committed or not, differs from `base`.
    fn evidence<'a>(&'a self, base: &'a CommitId) -> Boxed<'a, Result<TreeFacts, TreeError>>;

    /// Commits all that lies in the tree; `None` when it is as it was at `base`. A commit of the agent's own counts.
    fn commit<'a>(&'a self, base: &'a CommitId, message: &'a str) -> Boxed<'a, Result<Option<CommitId>, TreeError>>;

    /// The tree's state in a form that can be compared: HEAD and everything that differs from it.
    fn fingerprint(&self) -> Boxed<'_, Result<String, TreeError>>;
}

/// A tree by the `git` program.
#[derive(Debug, Clone)]
pub struct GitTree {
    root: PathBuf,
}

impl GitTree {
    /// The worktree at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    async fn git<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String, TreeError> {
        let name = args
            .first()
            .map(|arg| arg.as_ref().to_string_lossy().into_owned())
            .unwrap_or_default();
        let output = self.run(args, &name).await?;
        if !output.status.success() {
            return Err(TreeError::Refused {
                command: name,
                folder: self.root.clone(),
                said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn run<S: AsRef<OsStr>>(&self, args: &[S], name: &str) -> Result<Output, TreeError> {
        let mut command = Command::new("git");
        command
            .args(HARMLESS)
            .args(args)
            .current_dir(&self.root)
            .env_clear()
            .envs(environment());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let slow = || TreeError::Slow {
            command: name.to_owned(),
            folder: self.root.clone(),
        };
        let output = tokio::time::timeout(PATIENCE, command.output())
            .await
            .map_err(|_| slow())?;
        output.map_err(|source| TreeError::Run {
            folder: self.root.clone(),
            source,
        })
    }
}

fn environment() -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let author = ("Maestria".to_owned(), "maestria@localhost".to_owned());
    vec![
        ("PATH", path),
        ("HOME", "/nonexistent".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
        ("GIT_OPTIONAL_LOCKS", "0".to_owned()),
        ("GIT_AUTHOR_NAME", author.0.clone()),
        ("GIT_AUTHOR_EMAIL", author.1.clone()),
        ("GIT_COMMITTER_NAME", author.0),
        ("GIT_COMMITTER_EMAIL", author.1),
    ]
}

impl Tree for GitTree {
    fn evidence<'a>(&'a self, base: &'a CommitId) -> Boxed<'a, Result<TreeFacts, TreeError>> {
        Box::pin(async move {
            // Staging makes new files visible to the diff; the commit at the end stages everything anyway.
            self.git(&["add", "--all", "--", "."]).await?;
            let diff = [
                "diff",
                "--cached",
                "--numstat",
                "-z",
                "--no-renames",
                "--no-ext-diff",
                "--no-textconv",
            ];
            let table = self.git(&[&diff[..], &[base.as_str(), "--"]].concat()).await?;
            Ok(TreeFacts {
                files: table.split('\0').filter_map(row).collect(),
                root: self.root.clone(),
            })
        })
    }

    fn commit<'a>(&'a self, base: &'a CommitId, message: &'a str) -> Boxed<'a, Result<Option<CommitId>, TreeError>> {
        Box::pin(async move {
            self.git(&["add", "--all", "--", "."]).await?;
            let staged = self
                .git(&[
                    "diff",
                    "--cached",
                    "--name-only",
                    "--no-ext-diff",
                    "--no-textconv",
                    "HEAD",
                    "--",
                ])
                .await?;
            if !staged.is_empty() {
                self.git(&["commit", "--quiet", "--no-verify", "--no-gpg-sign", "-m", message])
                    .await?;
            }
            let head = CommitId::new(self.git(&["rev-parse", "HEAD"]).await?.trim());
            let same = [
                "diff",
                "--quiet",
                "--no-ext-diff",
                "--no-textconv",
                base.as_str(),
                head.as_str(),
                "--",
            ];
            let unchanged = head == *base || self.run(&same, "diff").await?.status.success();
            Ok((!unchanged).then_some(head))
        })
    }

    fn fingerprint(&self) -> Boxed<'_, Result<String, TreeError>> {
        Box::pin(async move {
            let head = self.git(&["rev-parse", "HEAD"]).await?;
            let state = self
                .git(&["status", "--porcelain=v1", "-z", "--untracked-files=all"])
                .await?;
            let diff = self
                .git(&["diff", "HEAD", "--no-ext-diff", "--no-textconv", "--"])
                .await?;
            Ok([head, state, diff].join("\0"))
        })
    }
}

/// A row of `--numstat -z`: added, removed and the path between tabs; `-` counts of binary files are 0.
fn row(line: &str) -> Option<FileChange> {
    let mut columns = line.splitn(3, '\t');
    let (added, removed, path) = (columns.next()?, columns.next()?, columns.next()?);
    Some(FileChange {
        path: path.to_owned(),
        added: added.parse().unwrap_or(0),
        removed: removed.parse().unwrap_or(0),
    })
}
