//! Read-only checkouts for reviewers, and the diffs that they and people read.

use super::{
    branch,
    evidence::snapshot,
    failed,
    git::Git,
    ground,
    open::fill,
    register::{register, unregister},
    repository, show, task_folder, workspace,
};
use maestria_kernel::{ReviewId, Run, TaskId, port::RepositoryError, state::TaskState};
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The most of a diff that a reviewer is given, in bytes.
const SHORT: usize = 200 * 1024;

/// The most of a diff that a person is shown, in bytes.
const LONG: usize = 32 << 20;

pub(super) async fn checkout(
    run: &Run,
    review: ReviewId,
    task: Option<TaskId>,
) -> Result<(PathBuf, String), RepositoryError> {
    release(run, review).await?;
    let (base, mut head) = range(run, task).await?;
    let folder = review_folder(run, review);
    std::fs::create_dir_all(&folder).map_err(|e| failed(format!("{}: {e}", show(&folder)), ""))?;
    if let Some(task) = task
        && !is_merged(run, task)
        && task_folder(run, task)?.is_dir()
    {
        // A worker may still be at it: what is judged is the tree as it lies there.
        let scratch = folder.join("snapshot.index");
        if let Some(taken) = snapshot(&task_folder(run, task)?, &scratch, "The change as it is reviewed").await? {
            head = taken;
        }
    }
    let git = Git::at(&repository(run)?).await;
    let checkout = folder.join("checkout");
    register(&git, run, &checkout, &head, true).await?;
    fill(&checkout).await?;
    let diff = between(&git, &base, &head, SHORT).await?;
    set_writable(&checkout, false);
    Ok((checkout, diff))
}

pub(super) async fn release(run: &Run, review: ReviewId) -> Result<(), RepositoryError> {
    let checkout = review_folder(run, review).join("checkout");
    if checkout.symlink_metadata().is_ok() {
        set_writable(&checkout, true);
        unregister(&Git::at(&repository(run)?).await, run, &checkout).await?;
    }
    Ok(())
}

pub(super) async fn diff(run: &Run, task: Option<TaskId>) -> Result<String, RepositoryError> {
    let (base, head) = range(run, task).await?;
    between(&Git::at(&repository(run)?).await, &base, &head, LONG).await
}

/// The unified diff of two commits without secrets, at most `most` bytes of it, with a note where it is cut.
async fn between(git: &Git, base: &str, head: &str, most: usize) -> Result<String, RepositoryError> {
    let args = [
        "diff",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--ignore-submodules=none",
        base,
        head,
        "--",
    ];
    let (bytes, cut) = git.capped(&args, most).await?;
    // It goes to people and to models.
    let bytes = maestria_secrets::funnel().clean_bytes(&bytes).into_owned();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if cut {
        let end = text.rfind('\n').map_or(text.len(), |end| end + 1);
        text.truncate(end);
        text.push_str(&format!(
            "[the diff is cut here, after {} KiB; see the rest in the checkout: git diff {base} {head}]\n",
            most / 1024
        ));
    }
    Ok(text)
}

fn is_merged(run: &Run, task: TaskId) -> bool {
    run.tasks
        .get(&task)
        .is_some_and(|t| t.state == TaskState::Done && t.merged.is_some())
}

/// The commits that a change lies between.
async fn range(run: &Run, task: Option<TaskId>) -> Result<(String, String), RepositoryError> {
    let ground = ground(run)?;
    let git = Git::at(&repository(run)?).await;
    let integration = format!("refs/heads/{}", ground.integration);
    let commit = |name: String, git: Git| async move {
        let found = git.resolve(&name).await;
        found.ok_or_else(|| {
            failed(
                format!("{name} is gone"),
                "the run was discarded, or it was removed by hand",
            )
        })
    };
    let Some(task) = task else {
        return Ok((ground.base.to_string(), commit(integration, git).await?));
    };
    // After the merge the branch lies inside the run's branch: the merge's first parent is where it began.
    let merge = run
        .tasks
        .get(&task)
        .filter(|_| is_merged(run, task))
        .and_then(|t| t.merged.clone());
    if let Some(merge) = merge {
        return Ok((format!("{merge}^1"), merge.to_string()));
    }
    let branch = format!("refs/heads/{}", branch(run, task)?);
    let Some(head) = git.resolve(&branch).await else {
        return Err(failed("the task has no change yet", ""));
    };
    Ok((git.text(&["merge-base", &integration, &head]).await?, head))
}

fn review_folder(run: &Run, review: ReviewId) -> PathBuf {
    workspace(run).join("reviews").join(review.to_string())
}

/// Takes the right to write from everything below a folder, or gives it back. Links are left alone.
pub(super) fn set_writable(folder: &Path, writable: bool) {
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
