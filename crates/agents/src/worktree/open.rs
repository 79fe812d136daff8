//! Worktrees of tasks, and read-only checkouts for reviewers.

use super::{
    Settings, bounded, branch,
    evidence::{commit_all, snapshot},
    failed,
    git::Git,
    ground, repository, show, task_folder, workspace,
};
use maestria_kernel::{ReviewId, Run, TaskId, id::CommitId, port::RepositoryError, state::TaskState};
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The most of a diff that a reviewer is given, in bytes.
const DIFF: usize = 200 * 1024;

pub(super) async fn open(
    settings: &Settings,
    run: &Run,
    task: TaskId,
    onto: bool,
) -> Result<(PathBuf, CommitId), RepositoryError> {
    let (folder, branch) = (task_folder(run, task)?, branch(run, task)?);
    let integration = &ground(run)?.integration;
    ensure(run, &folder, &branch, integration).await?;
    let git = Git::at(&folder).await;
    git.unlock().await;
    let trailers = [
        ("Maestria-Task", task.to_string()),
        ("Maestria-Snapshot", "true".to_owned()),
    ];
    commit_all(&folder, "Keep what lay in the worktree", &trailers).await?;
    if onto {
        // A conflict is no failure here: its markers are what the author is to resolve.
        git.run(&["merge", "--quiet", "--no-edit", "--no-verify", integration])
            .await?;
    }
    copy_env_files(settings, Path::new(&ground(run)?.repository), &folder).await;
    let base = git.text(&["merge-base", integration, &branch]).await?;
    Ok((folder, CommitId::new(base)))
}

/// Makes a worktree, or mends one that a crash or a person has broken. Whatever lies in the way is put aside.
async fn ensure(run: &Run, folder: &Path, branch: &str, start: &str) -> Result<(), RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    let known = Git::bare(folder)
        .text(&["symbolic-ref", "--quiet", "--short", "HEAD"])
        .await;
    if folder.is_dir() && known.as_deref() == Ok(branch) {
        return Ok(());
    }
    if folder.exists() {
        put_aside(folder)?;
    }
    git.text(&["worktree", "prune"]).await?;
    let place = show(folder);
    if git.resolve(&format!("refs/heads/{branch}")).await.is_some() {
        git.text(&["worktree", "add", "--quiet", "--force", "--", &place, branch])
            .await?;
    } else {
        git.text(&[
            "worktree",
            "add",
            "--quiet",
            "--force",
            "--no-track",
            "-b",
            branch,
            "--",
            &place,
            start,
        ])
        .await?;
    }
    Ok(())
}

pub(super) async fn ensure_worktree(run: &Run, folder: &Path, branch: &str) -> Result<(), RepositoryError> {
    ensure(run, folder, branch, branch).await
}

fn put_aside(folder: &Path) -> Result<(), RepositoryError> {
    let aside = (1..)
        .map(|n| folder.with_extension(format!("broken-{n}")))
        .find(|p| !p.exists());
    let Some(aside) = aside else { return Ok(()) };
    std::fs::rename(folder, &aside).map_err(|e| failed(format!("{} is in the way: {e}", show(folder)), ""))
}

/// Files that git ignores but a build may need.
async fn copy_env_files(settings: &Settings, from: &Path, to: &Path) {
    let git = Git::bare(from);
    for name in &settings.env_files {
        let (source, destination) = (from.join(name), to.join(name));
        let plain = source.symlink_metadata().is_ok_and(|m| m.is_file());
        if plain
            && !destination.exists()
            && git.asks(&["check-ignore", "-q", "--", name]).await
            && let Err(error) = std::fs::copy(&source, &destination)
        {
            tracing::warn!(%error, file = name, "an env file could not be copied");
        }
    }
}

/// The commits that a change lies between.
pub(super) async fn range(run: &Run, task: Option<TaskId>) -> Result<(String, String), RepositoryError> {
    let ground = ground(run)?;
    let git = Git::at(&repository(run)?).await;
    let Some(task) = task else {
        return Ok((ground.base.to_string(), ground.integration.clone()));
    };
    let branch = branch(run, task)?;
    if git.resolve(&branch).await.is_none() {
        return Err(failed("the task has no change yet", ""));
    }
    // After the merge the branch lies inside the run's branch: the merge's first parent is where it began.
    let merged = run
        .tasks
        .get(&task)
        .filter(|t| t.state == TaskState::Done)
        .and_then(|t| t.merged.clone());
    let base = match merged {
        Some(merge) => format!("{merge}^1"),
        None => git.text(&["merge-base", &ground.integration, &branch]).await?,
    };
    let head = run
        .tasks
        .get(&task)
        .and_then(|t| t.merged.clone())
        .map_or(branch, |m| m.to_string());
    Ok((base, head))
}

fn review_folder(run: &Run, review: ReviewId) -> PathBuf {
    workspace(run).join("reviews").join(review.to_string())
}

pub(super) async fn checkout(
    run: &Run,
    review: ReviewId,
    task: Option<TaskId>,
) -> Result<(PathBuf, String), RepositoryError> {
    release(run, review).await?;
    let (base, mut head) = range(run, task).await?;
    let folder = review_folder(run, review);
    std::fs::create_dir_all(&folder).map_err(|e| failed(format!("{}: {e}", show(&folder)), ""))?;
    if let Some(task) = task {
        // A worker may still be at it: what is judged is the tree as it lies there.
        let scratch = folder.join("snapshot.index");
        if let Some(taken) = snapshot(&task_folder(run, task)?, &scratch, "The change as it is reviewed").await? {
            head = taken;
        }
    }
    let git = Git::at(&repository(run)?).await;
    let checkout = folder.join("checkout");
    git.text(&[
        "worktree",
        "add",
        "--quiet",
        "--force",
        "--detach",
        "--",
        &show(&checkout),
        &head,
    ])
    .await?;
    let diff = git
        .text(&["diff", "--no-ext-diff", "--no-textconv", &base, &head])
        .await?;
    set_writable(&checkout, false);
    Ok((checkout, bounded(diff, DIFF)))
}

pub(super) async fn release(run: &Run, review: ReviewId) -> Result<(), RepositoryError> {
    let checkout = review_folder(run, review).join("checkout");
    if checkout.exists() {
        set_writable(&checkout, true);
        std::fs::remove_dir_all(&checkout).map_err(|e| failed(format!("{}: {e}", show(&checkout)), ""))?;
        Git::bare(&repository(run)?).text(&["worktree", "prune"]).await?;
    }
    Ok(())
}

/// Takes the right to write from everything below a folder, or gives it back. Links are left alone.
fn set_writable(folder: &Path, writable: bool) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let change = |path: &Path| {
        if let Ok(meta) = path.symlink_metadata()
            && !meta.is_symlink()
        {
            let mode = meta.permissions().mode();
            let mode = if writable { mode | 0o200 } else { mode & !0o222 };
            // Best effort: the reviewer's own read-only mode and the check afterwards are the real guards.
            let _ = std::fs::set_permissions(path, Permissions::from_mode(mode));
        }
    };
    if writable {
        change(folder);
    }
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        if path.is_dir() && !path.is_symlink() {
            set_writable(&path, writable);
        } else {
            change(&path);
        }
    }
    if !writable {
        change(folder);
    }
}
