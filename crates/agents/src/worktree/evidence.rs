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
    let git = Git::at(folder).await;
    let head = head(&git, folder).await?;
    // Two may look at one worktree at once.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let scratch = git
        .internal(&format!("maestria-evidence-{}-{number}", std::process::id()))
        .await
        .ok_or_else(|| failed(format!("{} is no git worktree", folder.display()), ""))?;
    let tree = gather(&git, &scratch).await?;
    Ok(Evidence {
        files: changes(&git, base.as_str(), &tree).await?,
        dirty: git.tree_of(&head).await? != tree,
        head: CommitId::new(head),
    })
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
    let git = Git::at(folder).await;
    let head = head(&git, folder).await?;
    git.unlock().await;
    git.bytes(&add_all(&git).await?).await?;
    let tree = git.text(&["write-tree"]).await?;
    let merging = git.resolve("MERGE_HEAD").await;
    if merging.is_none() && git.tree_of(&head).await? == tree {
        return Ok(None);
    }
    let parents: Vec<&str> = [Some(head.as_str()), merging.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let commit = git.commit(&tree, &parents, &worded(message, trailers)).await?;
    let mut update = vec!["update-ref", "-m", "maestria: commit"];
    if !is_ours(&git).await {
        update.push("--no-deref");
    }
    git.point(&[&update[..], &["HEAD", &commit, &head]].concat()).await?;
    end_operation(&git).await;
    Ok(Some(CommitId::new(commit)))
}

/// Commits as [`commit_all`] does, and names the newest commit if its files differ from those of `base`: a commit of the
/// agent's own counts.
///
/// # Errors
/// As [`commit_all`].
pub async fn commit_since(
    folder: &Path,
    base: &CommitId,
    message: &str,
    trailers: &[(&str, String)],
) -> Result<Option<CommitId>, RepositoryError> {
    let made = commit_all(folder, message, trailers).await?;
    let git = Git::bare(folder);
    let newest = match made {
        Some(commit) => commit.as_str().to_owned(),
        None => head(&git, folder).await?,
    };
    if newest == base.as_str() || git.tree_of(&newest).await? == git.tree_of(base.as_str()).await? {
        return Ok(None);
    }
    Ok(Some(CommitId::new(newest)))
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

async fn head(git: &Git, folder: &Path) -> Result<String, RepositoryError> {
    git.resolve("HEAD").await.ok_or_else(|| {
        let what = format!("{} is no git worktree with a commit", folder.display());
        failed(
            what,
            "was its `.git` removed? `maestria resume` makes the worktree anew",
        )
    })
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

/// What differs between two trees or commits.
async fn changes(git: &Git, from: &str, to: &str) -> Result<Vec<FileChange>, RepositoryError> {
    let args = [
        "diff-tree",
        "-r",
        "-z",
        "--numstat",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=none",
        from,
        to,
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
        let _ = std::fs::copy(index, scratch);
    }
    git.clone().with("GIT_INDEX_FILE", scratch)
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
    let staged = git.bytes(&["ls-files", "--stage", "-z"]).await?;
    let links = fields(&staged)
        .filter(|entry| entry.starts_with(b"160000 "))
        .filter_map(|entry| entry.iter().position(|b| *b == b'\t').map(|tab| &entry[tab + 1..]));
    let untracked = git
        .bytes(&["ls-files", "--others", "--exclude-standard", "-z", "--", ":/"])
        .await?;
    let nested = fields(&untracked).filter_map(|path| path.strip_suffix(b"/"));
    Ok(links.chain(nested).map(|path| path_of(path).to_owned()).collect())
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
