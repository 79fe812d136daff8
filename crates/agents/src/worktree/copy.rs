//! A target without git: worked on in a copy, brought back file by file.

use super::{failed, git::Git, show};
use maestria_kernel::port::RepositoryError;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The largest folder that is copied, in bytes.
const MOST: u64 = 2 << 30;

/// Copies a folder into the workspace and puts the copy under git. An earlier copy is kept.
pub(super) async fn into(target: &Path, workspace: &Path) -> Result<PathBuf, RepositoryError> {
    let copied = workspace.join("target");
    let git = Git::bare(&copied);
    if copied.is_dir() && git.resolve("HEAD").await.is_some() {
        return Ok(copied);
    }
    let (from, to) = (target.to_owned(), copied.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let mut room = MOST;
        copy(&from, &to, &mut room)
    });
    let copying = copying.await.map_err(|e| failed(e.to_string(), ""))?;
    copying.map_err(|e| {
        failed(
            format!("{} cannot be copied: {e}", show(target)),
            "run `git init` there instead",
        )
    })?;
    git.text(&["init", "--quiet"]).await?;
    git.text(&["add", "--all"]).await?;
    git.text(&["commit", "--quiet", "--allow-empty", "-m", "The target as it was"])
        .await?;
    Ok(copied)
}

fn copy(from: &Path, to: &Path, room: &mut u64) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, destination) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            let _ = std::fs::remove_file(&destination);
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &destination)?;
        } else if kind.is_dir() {
            copy(&source, &destination, room)?;
        } else if kind.is_file() {
            let size = entry.metadata()?.len();
            *room = room
                .checked_sub(size)
                .ok_or_else(|| io::Error::other("it is larger than 2 GiB"))?;
            std::fs::copy(&source, &destination)?;
        }
    }
    Ok(())
}

/// Writes what the run changed back to the original folder: all of it, or nothing when the original has changed
/// meanwhile in a file that the run changed too.
pub(super) async fn bring_back(
    copied: &Path,
    original: &Path,
    base: &str,
    head: &str,
) -> Result<usize, RepositoryError> {
    let git = Git::at(copied).await;
    let names = git
        .bytes(&[
            "diff",
            "--name-only",
            "-z",
            "--no-renames",
            "--no-ext-diff",
            base,
            head,
            "--",
        ])
        .await?;
    let mut plan = Vec::new();
    for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let before = git.bytes(&["show", &format!("{base}:{name}")]).await.ok();
        let after = git.bytes(&["show", &format!("{head}:{name}")]).await.ok();
        let path = original.join(&name);
        let now = std::fs::read(&path).ok();
        if now != before && now != after {
            let hint = "bring it to its former state, or copy what you want from the run's branch by hand";
            return Err(failed(format!("{} has changed since the run began", show(&path)), hint));
        }
        plan.push((path, after));
    }
    for (path, after) in &plan {
        let written = match after {
            Some(bytes) => path
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(path, bytes)),
            None => std::fs::remove_file(path).or_else(|e| {
                if e.kind() == io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(e)
                }
            }),
        };
        written.map_err(|e| {
            failed(
                format!("{}: {e}", show(path)),
                "mend it and apply again; what is written stays",
            )
        })?;
    }
    Ok(plan.len())
}
