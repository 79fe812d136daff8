//! Worktrees become known to git here, and torn entries in git's list of them are cleared away first: one alone, left by
//! a git that was killed while it wrote it, makes every call fail that reads the list.

use super::{
    failed,
    git::{Git, LOCK_LIFE, path_of},
    show, workspace,
};
use maestria_kernel::{Run, port::RepositoryError};
use std::path::{Path, PathBuf};

/// Registers a worktree without files, on a branch or, with `detached`, at a commit. Twice `--force`: a registration
/// whose folder is gone, even a locked one, is ours.
pub(super) async fn register(
    git: &Git,
    run: &Run,
    folder: &Path,
    at: &str,
    detached: bool,
) -> Result<(), RepositoryError> {
    clear_torn(git, &workspace(run)).await;
    let mut args = vec!["worktree", "add", "--quiet", "--force", "--force", "--no-checkout"];
    if detached {
        args.push("--detach");
    }
    let place = show(folder);
    args.extend(["--", place.as_str(), at]);
    git.text(&args).await.map(|_| ())
}

/// Removes a worktree's folder and its registration.
pub(super) async fn unregister(git: &Git, run: &Run, folder: &Path) -> Result<(), RepositoryError> {
    clear_torn(git, &workspace(run)).await;
    let place = show(folder);
    let removed = git
        .run(&["worktree", "remove", "--force", "--force", "--", &place])
        .await?;
    if !removed.status.success() && folder.symlink_metadata().is_ok() {
        std::fs::remove_dir_all(folder)
            .map_err(|e| failed(format!("{} cannot be removed: {e}", show(folder)), "remove it by hand"))?;
        git.run(&["worktree", "prune"]).await?;
    }
    Ok(())
}

/// Clears the torn entries of worktrees below a folder, and no others: those are somebody else's.
async fn clear_torn(git: &Git, below: &Path) {
    let Some(common) = git.common() else { return };
    let list = common.join("worktrees");
    for entry in std::fs::read_dir(list).into_iter().flatten().flatten() {
        let entry = entry.path();
        if !is_torn(&entry, below) {
            continue;
        }
        // Another maestria may be writing it just now.
        let deadline = std::time::Instant::now() + LOCK_LIFE;
        while is_torn(&entry, below) && std::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        if is_torn(&entry, below) {
            // When it cannot be removed, git's own error says where it is.
            let _ = std::fs::remove_dir_all(&entry);
        }
    }
}

/// Git writes `gitdir`, which names the worktree, before the files without which an entry cannot be read.
fn is_torn(entry: &Path, below: &Path) -> bool {
    let holds = |name: &str| std::fs::read(entry.join(name)).is_ok_and(|bytes| !bytes.trim_ascii().is_empty());
    let worktree = |bytes: Vec<u8>| -> PathBuf { path_of(bytes.trim_ascii_end()).to_owned() };
    let ours = std::fs::read(entry.join("gitdir")).is_ok_and(|bytes| worktree(bytes).starts_with(below));
    ours && !(holds("commondir") && holds("HEAD"))
}
