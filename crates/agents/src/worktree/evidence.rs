//! What the tree says about an attempt, and the commit that keeps it.

use super::{
    failed,
    git::{Git, fields, path_of},
};
use maestria_kernel::{id::CommitId, outcome::FileChange, port::RepositoryError};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// What an attempt has done to its worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Files that differ from the base, whether committed or not.
    pub files: Vec<FileChange>,
    /// The newest commit.
    pub head: CommitId,
    /// Something is not committed.
    pub dirty: bool,
}

/// Compares a worktree with the commit it started from: committed, uncommitted and untracked (not ignored) changes
/// together. The index and the files stay as they are.
///
/// # Errors
/// When the folder is no worktree, or git says no.
pub async fn evidence(folder: &Path, base: &CommitId) -> Result<Evidence, RepositoryError> {
    Ok(Look::at(folder, base.as_str()).await?.evidence())
}

/// Commits everything that git does not ignore. `None` when there is nothing to commit.
///
/// A merge that an agent left unfinished is finished with what lies in the files. Repositories inside the worktree are
/// left out: git could only keep a reference to them.
///
/// # Errors
/// When the folder is no worktree, or git says no; then no branch has moved.
pub async fn commit_all(
    folder: &Path,
    message: &str,
    trailers: &[(&str, String)],
) -> Result<Option<CommitId>, RepositoryError> {
    Look::at(folder, "HEAD").await?.commit(message, trailers).await
}

/// A worktree as it lay there at one moment. What is judged by a look can be committed by it, without another one: the
/// commit then holds exactly what was judged.
#[derive(Debug)]
pub struct Look {
    git: Git,
    head: String,
    head_tree: String,
    base_tree: String,
    tree: String,
    files: Vec<FileChange>,
    index: Scratch,
}

impl Look {
    /// Looks at a worktree, beside the commit it started from. Its index and files stay as they are.
    ///
    /// # Errors
    /// When the folder is no worktree, or git says no.
    pub async fn at(folder: &Path, base: &str) -> Result<Self, RepositoryError> {
        let names = [
            "HEAD^{commit}".to_owned(),
            "HEAD^{tree}".to_owned(),
            format!("{base}^{{tree}}"),
        ];
        let bare = Git::bare(folder);
        let (git, ids) = tokio::join!(Git::at(folder), bare.ids(&names));
        let [head, head_tree, base_tree] = ids?
            .and_then(|ids| <[String; 3]>::try_from(ids).ok())
            .ok_or_else(|| no_worktree(folder))?;
        let index = Scratch::beside_index(&git).await.ok_or_else(|| no_worktree(folder))?;
        let aside = aside(&git, &index.0).await;
        aside.bytes(&add_all(&git).await?).await?;
        let (tree, files) = tokio::join!(aside.text(&["write-tree"]), staged(&aside, &base_tree));
        Ok(Self {
            tree: tree?,
            files: files?,
            git,
            head,
            head_tree,
            base_tree,
            index,
        })
    }

    /// What is seen.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            files: self.files.clone(),
            head: CommitId::new(&self.head),
            dirty: self.head_tree != self.tree,
        }
    }

    /// Commits what was seen. `None` when HEAD has it already.
    ///
    /// # Errors
    /// When git says no; then no branch has moved.
    pub async fn commit(self, message: &str, trailers: &[(&str, String)]) -> Result<Option<CommitId>, RepositoryError> {
        let git = &self.git;
        let merging = match git.internal("MERGE_HEAD").await {
            Some(file) if file.exists() => git.resolve("MERGE_HEAD").await,
            _ => None,
        };
        if merging.is_none() && self.head_tree == self.tree {
            return Ok(None);
        }
        git.unlock().await;
        self.index.become_index(git).await?;
        let parents: Vec<&str> = [Some(self.head.as_str()), merging.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let message = worded(message, trailers);
        let (commit, ours) = tokio::join!(git.commit(&self.tree, &parents, &message), is_ours(git));
        let commit = commit?;
        let mut update = vec!["update-ref", "-m", "maestria: commit"];
        if !ours {
            update.push("--no-deref");
        }
        git.point(&[&update[..], &["HEAD", &commit, &self.head]].concat())
            .await?;
        end_operation(git).await;
        Ok(Some(CommitId::new(commit)))
    }

    /// Commits as [`Look::commit`] does, and names the newest commit if its files differ from those of the base: a
    /// commit of the agent's own counts.
    ///
    /// # Errors
    /// As [`Look::commit`].
    pub async fn commit_since(
        self,
        message: &str,
        trailers: &[(&str, String)],
    ) -> Result<Option<CommitId>, RepositoryError> {
        let differs = self.tree != self.base_tree;
        let head = CommitId::new(&self.head);
        let made = self.commit(message, trailers).await?;
        Ok(differs.then(|| made.unwrap_or(head)))
    }
}

/// An index of our own beside the worktree's, gone with this value.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    async fn beside_index(git: &Git) -> Option<Self> {
        // Two may look at one worktree at once.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("maestria-evidence-{}-{number}", std::process::id());
        git.internal(&name).await.map(Self)
    }

    /// Puts it in the place of the worktree's index, the way git itself does: by its lock.
    async fn become_index(&self, git: &Git) -> Result<(), RepositoryError> {
        let place = git.internal("index").await.unwrap_or_default();
        let mut lock = place.clone().into_os_string();
        lock.push(".lock");
        std::fs::hard_link(&self.0, &lock)
            .and_then(|()| std::fs::rename(&lock, &place))
            .map_err(|error| {
                let what = format!("the index {} cannot be written: {error}", place.display());
                failed(what, "is another git at work there, or the disk full?")
            })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover of a crash goes with the worktree.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn no_worktree(folder: &Path) -> RepositoryError {
    failed(
        format!("{} is no git worktree with a commit", folder.display()),
        "was its `.git` removed? `maestria resume` makes the worktree anew",
    )
}

/// Whether a commit may move the branch that HEAD is on. An agent may have checked out a branch of the person's in its
/// worktree; HEAD then leaves it and goes on alone.
async fn is_ours(git: &Git) -> bool {
    let branch = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await.unwrap_or_default();
    let linked = git.internal("HEAD").await.is_some_and(|head| {
        head.ancestors()
            .nth(2)
            .is_some_and(|p| p.file_name() == Some("worktrees".as_ref()))
    });
    !linked || branch.starts_with("refs/heads/maestria")
}

/// A message with trailers at its end. Written here and not with `--trailer`, which runs configured commands.
pub(super) fn worded(message: &str, trailers: &[(&str, String)]) -> String {
    let mut text = message.trim().to_owned();
    text.push_str("\n\n");
    for (name, value) in trailers {
        text.push_str(&format!("{name}: {}\n", value.replace(['\n', '\r'], " ")));
    }
    text
}

/// What an index holds that a tree does not, and the other way round.
async fn staged(git: &Git, tree: &str) -> Result<Vec<FileChange>, RepositoryError> {
    let args = [
        "diff-index",
        "--cached",
        "-z",
        "--numstat",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=none",
        tree,
        "--",
    ];
    Ok(fields(&git.bytes(&args).await?).filter_map(parse).collect())
}

/// `added TAB removed TAB path`; a dash for binary files.
fn parse(record: &[u8]) -> Option<FileChange> {
    let record = String::from_utf8_lossy(record);
    let mut fields = record.splitn(3, '\t');
    let (added, removed, path) = (fields.next()?, fields.next()?, fields.next()?);
    let count = |field: &str| field.parse().unwrap_or(0);
    Some(FileChange {
        path: path.to_owned(),
        added: count(added),
        removed: count(removed),
    })
}

/// The paths that differ between two trees or commits.
pub(super) async fn changed_paths(git: &Git, from: &str, to: &str) -> Result<Vec<PathBuf>, RepositoryError> {
    let args = [
        "diff-tree",
        "-r",
        "-z",
        "--name-only",
        "--no-renames",
        "--ignore-submodules=none",
        from,
        to,
    ];
    let names = git.bytes(&args).await?;
    Ok(fields(&names).map(|name| path_of(name).to_owned()).collect())
}

/// The tree as it lies there, gathered in an index of its own (`scratch`).
async fn gather(git: &Git, scratch: &Path) -> Result<String, RepositoryError> {
    let aside = aside(git, scratch).await;
    let tree = async {
        aside.bytes(&add_all(git).await?).await?;
        aside.text(&["write-tree"]).await
    }
    .await;
    // Gone with the call; a leftover is overwritten by the next one.
    let _ = std::fs::remove_file(scratch);
    tree
}

/// Git on a copy of the index. The copy keeps git's knowledge of unchanged files; without it all are read again.
pub(super) async fn aside(git: &Git, scratch: &Path) -> Git {
    let mut lock = scratch.as_os_str().to_owned();
    lock.push(".lock");
    for leftover in [Path::new(&lock), scratch] {
        let _ = std::fs::remove_file(leftover);
    }
    if let Some(index) = git.internal("index").await {
        let _ = copy_with_time(&index, scratch);
    }
    git.clone().with("GIT_INDEX_FILE", scratch)
}

/// Git trusts what an index says of a file only if the file is older than the index: the copy must not seem newer.
fn copy_with_time(from: &Path, to: &Path) -> std::io::Result<()> {
    let written = from.metadata()?.modified()?;
    std::fs::copy(from, to)?;
    std::fs::File::options().write(true).open(to)?.set_modified(written)
}

/// The arguments that stage everything but the repositories inside the work tree. Git would start itself in those,
/// under their own settings, and refuses the ones without a commit.
pub(super) async fn add_all(git: &Git) -> Result<Vec<OsString>, RepositoryError> {
    let mut args: Vec<OsString> = ["add", "--all", "--", ":/"].into_iter().map(Into::into).collect();
    for inner in inner_repositories(git).await? {
        let mut pathspec = OsString::from(":(exclude,top,literal)");
        pathspec.push(inner);
        args.push(pathspec);
    }
    Ok(args)
}

/// Submodules, and repositories that were made inside the work tree.
pub(super) async fn inner_repositories(git: &Git) -> Result<Vec<PathBuf>, RepositoryError> {
    let listed = git
        .bytes(&[
            "ls-files",
            "-t",
            "--stage",
            "--others",
            "--exclude-standard",
            "-z",
            "--",
            ":/",
        ])
        .await?;
    Ok(fields(&listed).filter_map(inner_repository).collect())
}

/// The path of an entry that is a repository. `? PATH/` is one that nobody tracks, `H 160000 …\tPATH` a submodule.
fn inner_repository(entry: &[u8]) -> Option<PathBuf> {
    let path = match entry.strip_prefix(b"? ") {
        Some(untracked) => untracked.strip_suffix(b"/")?,
        None => {
            let (_tag, entry) = entry.split_at_checked(2)?;
            let tab = entry.iter().position(|b| *b == b'\t')?;
            entry.starts_with(b"160000 ").then(|| &entry[tab + 1..])?
        }
    };
    Some(path_of(path).to_owned())
}

/// A commit of the tree as it lies there, made beside the index and the branch, which stay as they are. `None` when
/// there is nothing that HEAD does not have.
pub(super) async fn snapshot(folder: &Path, scratch: &Path, message: &str) -> Result<Option<String>, RepositoryError> {
    let git = Git::at(folder).await;
    let head = git.resolve("HEAD").await;
    let tree = gather(&git, scratch).await?;
    if let Some(head) = &head
        && git.tree_of(head).await? == tree
    {
        return Ok(None);
    }
    let parents: Vec<&str> = head.as_deref().into_iter().collect();
    git.commit(&tree, &parents, message).await.map(Some)
}

/// Ends whatever merge, pick or rebase an agent had begun; what it had come to is committed.
async fn end_operation(git: &Git) {
    for name in [
        "MERGE_HEAD",
        "MERGE_MODE",
        "MERGE_MSG",
        "AUTO_MERGE",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
    ] {
        if let Some(file) = git.internal(name).await {
            let _ = std::fs::remove_file(file);
        }
    }
    for name in ["rebase-merge", "rebase-apply", "sequencer"] {
        if let Some(state) = git.internal(name).await {
            let _ = std::fs::remove_dir_all(state);
        }
    }
}
