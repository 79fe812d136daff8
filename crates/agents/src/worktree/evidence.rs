//! What the tree says about an attempt, and the commit that keeps it.

use super::{failed, git::Git};
use maestria_kernel::{id::CommitId, outcome::FileChange, port::RepositoryError};
use std::path::Path;

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

/// Compares a worktree with the commit it started from.
///
/// # Errors
/// When git says no.
pub async fn evidence(folder: &Path, base: &CommitId) -> Result<Evidence, RepositoryError> {
    let git = Git::at(folder).await;
    git.bytes(&["add", "--all"]).await?;
    let range = [
        "diff",
        "--cached",
        "--numstat",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
    ];
    let numbers = git.bytes(&[&range[..], &[base.as_str(), "--"]].concat()).await?;
    let head = git
        .resolve("HEAD")
        .await
        .ok_or_else(|| failed("the worktree has no commit", ""))?;
    let dirty = !git
        .asks(&["diff", "--cached", "--quiet", "--no-ext-diff", "HEAD", "--"])
        .await;
    Ok(Evidence {
        files: parse(&numbers),
        head: CommitId::new(head),
        dirty,
    })
}

/// `added TAB removed TAB path NUL`; a dash for binary files.
fn parse(numbers: &[u8]) -> Vec<FileChange> {
    numbers
        .split(|b| *b == 0)
        .filter_map(|record| {
            let record = String::from_utf8_lossy(record);
            let mut fields = record.splitn(3, '\t');
            let (added, removed, path) = (fields.next()?, fields.next()?, fields.next()?);
            let count = |field: &str| field.parse().unwrap_or(0);
            Some(FileChange {
                path: path.to_owned(),
                added: count(added),
                removed: count(removed),
            })
        })
        .collect()
}

/// Commits everything that git does not ignore. `None` when there is nothing to commit.
///
/// # Errors
/// When git says no.
pub async fn commit_all(
    folder: &Path,
    message: &str,
    trailers: &[(&str, String)],
) -> Result<Option<CommitId>, RepositoryError> {
    let git = Git::at(folder).await;
    git.bytes(&["add", "--all"]).await?;
    let merging = git.resolve("MERGE_HEAD").await.is_some();
    if !merging
        && git
            .asks(&["diff", "--cached", "--quiet", "--no-ext-diff", "HEAD", "--"])
            .await
    {
        return Ok(None);
    }
    let mut text = message.trim().replace('\0', " ");
    text.push_str("\n\n");
    for (name, value) in trailers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    git.bytes(&[
        "commit",
        "--quiet",
        "--no-verify",
        "--allow-empty",
        "--cleanup=whitespace",
        "-m",
        &text,
    ])
    .await?;
    Ok(git.resolve("HEAD").await.map(CommitId::new))
}

/// A commit of the tree as it lies there, made beside the index and the branch, which stay as they are.
pub(super) async fn snapshot(folder: &Path, scratch: &Path, message: &str) -> Result<Option<String>, RepositoryError> {
    let git = Git::at(folder).await;
    let head = git.resolve("HEAD").await;
    if let Some(index) = git.internal("index").await {
        // The copy keeps git's knowledge of unchanged files; without it everything is read again.
        let _ = std::fs::copy(index, scratch);
    }
    let aside = git.clone().with("GIT_INDEX_FILE", scratch);
    let tree = async {
        aside.bytes(&["add", "--all", "--", ":/"]).await?;
        aside.text(&["write-tree"]).await
    }
    .await;
    // Gone with the call; a leftover is overwritten by the next one.
    let _ = std::fs::remove_file(scratch);
    let tree = tree?;
    if let Some(head) = &head
        && git.text(&["rev-parse", &format!("{head}^{{tree}}")]).await? == tree
    {
        return Ok(None);
    }
    let mut args = vec!["commit-tree", &tree, "-m", message];
    if let Some(head) = &head {
        args.extend(["-p", head]);
    }
    git.text(&args).await.map(Some)
}
