//! Moving the person's branch and files forward, so that a crash in the middle can be taken back and tried again.
//!
//! A reference says where it was going, from before the first file is touched until the branch has moved.

use super::{
    evidence::changed_paths,
    failed,
    git::{Git, expire, fields, path_of},
    show,
};
use maestria_kernel::{Run, port::RepositoryError};
use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

fn marker(run: &Run) -> String {
    format!("refs/maestria/{}/applying", run.id)
}

/// Where an apply was going that has not come to its end.
pub(super) async fn pending(git: &Git, run: &Run) -> Option<String> {
    git.resolve(&marker(run)).await
}

/// The branch has moved; when a crash came after that, what the killed git has left is tidied away.
pub(super) async fn arrived(git: &Git, run: &Run) {
    if pending(git, run).await.is_some() {
        release_locks(git).await;
        settled(git, run).await;
    }
}

/// No apply is under way any more.
async fn settled(git: &Git, run: &Run) {
    // What stays of the mark is looked at, and found settled, by the next apply.
    let _ = git.point(&["update-ref", "-d", &marker(run)]).await;
}

/// Moves files, index and branch from one commit to another; git refuses before the first file if a change of the
/// person's is in the way.
pub(super) async fn advance(git: &Git, run: &Run, from: &str, to: &str) -> Result<(), RepositoryError> {
    // First of all the mark: from here on a lock in the person's repository may be one of ours.
    git.point(&["update-ref", &marker(run), to]).await?;
    // Says "needs update" for every changed file; it is here to look again at files that were only touched.
    git.run(&["update-index", "-q", "--refresh"]).await?;
    let moved = git.text(&["read-tree", "-m", "-u", from, to]).await;
    if moved.is_ok() {
        git.point(&["update-ref", "-m", "maestria: apply", "HEAD", to, from])
            .await?;
    }
    settled(git, run).await;
    moved.map(|_| ())
}

/// Brings the files that a torn apply has touched back to what they were. A file that holds something else than what
/// apply found, wrote or was writing is the person's: then nothing is done.
pub(super) async fn take_back(git: &Git, from: &str, to: &str) -> Result<(), RepositoryError> {
    release_locks(git).await;
    let top = git.folder();
    let paths = changed_paths(git, from, to).await?;
    let (before, after) = (blobs(git, from).await?, blobs(git, to).await?);
    for path in &paths {
        let (before, after) = (before.get(path), after.get(path));
        if !is_ours(git, &top.join(path), before, after).await? {
            let what = format!(
                "{} was changed after an apply that a crash has torn",
                show(&top.join(path))
            );
            return Err(failed(
                what,
                "save it elsewhere, `git checkout` that file, then apply again",
            ));
        }
    }
    let (old, new): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(|p| before.contains_key(*p));
    let literal = git.clone().with("GIT_LITERAL_PATHSPECS", "1");
    if !old.is_empty() {
        let args = [
            "checkout",
            "--force",
            from,
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
        ];
        literal.fed(&args, &joined(&old)).await?;
    }
    if !new.is_empty() {
        literal
            .fed(&["update-index", "--force-remove", "-z", "--stdin"], &joined(&new))
            .await?;
        for path in new {
            let _ = std::fs::remove_file(top.join(path));
        }
    }
    Ok(())
}

/// Locks of the person's that our own killed git has left; the mark says that it was ours.
async fn release_locks(git: &Git) {
    let branch = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await.unwrap_or_default();
    for name in ["index", "HEAD", &branch] {
        if let Some(lock) = git.internal(&format!("{name}.lock")).await {
            expire(&lock).await;
        }
    }
}

fn joined(paths: &[&PathBuf]) -> Vec<u8> {
    paths
        .iter()
        .flat_map(|p| [p.as_os_str().as_bytes(), b"\0"].concat())
        .collect()
}

/// The blob of every path of a commit.
async fn blobs(git: &Git, commit: &str) -> Result<HashMap<PathBuf, String>, RepositoryError> {
    let listed = git.bytes(&["ls-tree", "-r", "-z", "--full-tree", commit]).await?;
    let entry = |entry: &[u8]| {
        let tab = entry.iter().position(|b| *b == b'\t')?;
        let blob = String::from_utf8_lossy(&entry[..tab]).rsplit(' ').next()?.to_owned();
        Some((path_of(&entry[tab + 1..]).to_owned(), blob))
    };
    Ok(fields(&listed).filter_map(entry).collect())
}

/// Whether what lies at a path is what apply found, what it wrote, or the beginning of that.
async fn is_ours(
    git: &Git,
    path: &Path,
    before: Option<&String>,
    after: Option<&String>,
) -> Result<bool, RepositoryError> {
    let Ok(meta) = path.symlink_metadata() else {
        // Git removes a file before it writes it anew.
        return Ok(true);
    };
    let hash = if meta.is_symlink() {
        let link = std::fs::read_link(path).unwrap_or_default();
        git.fed(&["hash-object", "--stdin"], link.as_os_str().as_bytes())
            .await?
    } else if meta.is_file() {
        let args: [OsString; 3] = ["hash-object".into(), "--".into(), path.into()];
        git.bytes(&args).await?
    } else {
        return Ok(false);
    };
    let hash = String::from_utf8_lossy(&hash).trim().to_owned();
    if [before, after].contains(&Some(&hash)) {
        return Ok(true);
    }
    let Some(after) = after else { return Ok(false) };
    let whole = git.bytes(&["cat-file", "blob", after]).await?;
    Ok(std::fs::read(path).is_ok_and(|part| whole.starts_with(&part)))
}
