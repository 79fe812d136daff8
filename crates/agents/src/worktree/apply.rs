//! The end of a run: its work onto the person's branch, or away. Nothing is changed unless all of it can be.

use super::{copy, failed, git::Git, git::refused, ground, repository, show, workspace};
use maestria_kernel::{Run, id::CommitId, port::RepositoryError, request::Ground};
use std::path::{Path, PathBuf};

pub(super) async fn apply(run: &Run) -> Result<(CommitId, String), RepositoryError> {
    let ground = ground(run)?;
    let git = Git::at(&repository(run)?).await;
    let gone = || {
        failed(
            format!("the run's branch {} is gone", ground.integration),
            "it was removed by hand",
        )
    };
    let head = git.resolve(&ground.integration).await.ok_or_else(gone)?;
    let how = if let Some(original) = copied_from(run) {
        let files = copy::bring_back(Path::new(&ground.repository), &original, ground.base.as_str(), &head).await?;
        format!("{files} files were written to {}", show(&original))
    } else if ground.branch.is_none() {
        onto_new_branch(&git, ground, &head).await?
    } else if git
        .resolve(&format!("refs/maestria/{}/snapshot", run.id))
        .await
        .is_some()
    {
        onto_dirty_tree(&git, run, ground, &head).await?
    } else {
        onto_branch(&git, ground, &head).await?
    };
    Ok((CommitId::new(head), how))
}

/// The original of a target that was copied for want of git.
fn copied_from(run: &Run) -> Option<PathBuf> {
    let copied = workspace(run).join("target");
    let repository = run.ground.as_ref().map(|g| PathBuf::from(&g.repository))?;
    (repository.canonicalize().ok()? == copied.canonicalize().ok()?)
        .then(|| run.request.as_ref().map(|r| PathBuf::from(&r.target)))?
}

async fn onto_new_branch(git: &Git, ground: &Ground, head: &str) -> Result<String, RepositoryError> {
    let name = format!("{}-result", ground.integration);
    git.text(&["branch", "--no-track", "--force", "--", &name, head])
        .await?;
    Ok(format!("HEAD is detached, so the work is on the new branch {name}"))
}

/// The run began on uncommitted changes: what it did on top of them goes into the tree, uncommitted as they are.
async fn onto_dirty_tree(git: &Git, run: &Run, ground: &Ground, head: &str) -> Result<String, RepositoryError> {
    let patch = workspace(run).join("apply.patch");
    let base = ground.base.as_str();
    let text = git
        .bytes(&[
            "diff",
            "--binary",
            "--full-index",
            "--no-ext-diff",
            "--no-textconv",
            base,
            head,
        ])
        .await?;
    std::fs::write(&patch, text).map_err(|e| failed(format!("{}: {e}", show(&patch)), ""))?;
    let place = show(&patch);
    let done = "the changes are in your work tree, uncommitted, beside those you had".to_owned();
    if git.asks(&["apply", "--check", "--reverse", "--", &place]).await {
        return Ok(done);
    }
    let check = ["apply", "--check", "--", &place];
    let output = git.run(&check).await?;
    if !output.status.success() {
        let mut error = refused(&check, &output);
        error.hint = format!(
            "your files have changed since the run began; `git merge {}` by hand",
            ground.integration
        );
        return Err(error);
    }
    git.text(&["apply", "--", &place]).await?;
    Ok(done)
}

async fn onto_branch(git: &Git, ground: &Ground, head: &str) -> Result<String, RepositoryError> {
    let began = ground.branch.as_deref().unwrap_or_default();
    let now = git
        .text(&["symbolic-ref", "--quiet", "--short", "HEAD"])
        .await
        .unwrap_or_default();
    if now != began {
        let what = format!(
            "the run began on the branch {began}, but now {} is checked out",
            if now.is_empty() { "none" } else { &now }
        );
        return Err(failed(what, format!("`git switch {began}` first")));
    }
    if git.asks(&["merge-base", "--is-ancestor", head, "HEAD"]).await {
        return Ok(format!("{began} has the work already"));
    }
    if git.asks(&["merge-base", "--is-ancestor", "HEAD", head]).await {
        git.text(&["merge", "--quiet", "--ff-only", "--no-verify", head])
            .await
            .map_err(hint_clean)?;
        return Ok(format!("{began} was moved forward to the run's result"));
    }
    // `merge-tree` tries without touching anything.
    let trial = git
        .run(&["merge-tree", "--write-tree", "--name-only", "-z", "HEAD", head])
        .await?;
    if !trial.status.success() {
        let names: Vec<String> = trial
            .stdout
            .split(|b| *b == 0)
            .skip(1)
            .take_while(|n| !n.is_empty())
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect();
        let what = format!(
            "{began} has moved on and conflicts with the work in {}",
            names.join(", ")
        );
        return Err(failed(
            what,
            format!("nothing was changed; `git merge {}` by hand", ground.integration),
        ));
    }
    let message = format!("Merge {}", ground.integration);
    git.text(&[
        "merge",
        "--quiet",
        "--no-ff",
        "--no-edit",
        "--no-verify",
        "-m",
        &message,
        head,
    ])
    .await
    .map_err(hint_clean)?;
    Ok(format!("{began} had moved on; the work was merged into it"))
}

fn hint_clean(mut error: RepositoryError) -> RepositoryError {
    if error.hint.is_empty() {
        error.hint = "nothing was changed; commit or stash what git names, then apply again".to_owned();
    }
    error
}

/// Removes the run's worktrees, branches and references. The person's branches and the session's documents stay.
pub(super) async fn discard(run: &Run) -> Result<(), RepositoryError> {
    let Some(ground) = &run.ground else { return Ok(()) };
    let git = Git::at(&repository(run)?).await;
    let folder = workspace(run).join("worktrees");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| failed(format!("{}: {e}", show(&folder)), ""))?;
    }
    git.text(&["worktree", "prune"]).await?;
    let kept = format!("refs/maestria/{}/", run.id);
    let mine = |name: &str| {
        let tail = name
            .strip_prefix("refs/heads/")
            .and_then(|b| b.strip_prefix(ground.integration.as_str()));
        name.starts_with(&kept) || tail.is_some_and(|t| t.is_empty() || (t.starts_with("-E") && !t.contains('/')))
    };
    let names = git
        .text(&["for-each-ref", "--format=%(refname)", "refs/heads/maestria/", &kept])
        .await?;
    for name in names.lines().filter(|n| mine(n)) {
        // `--no-deref`: the name reference is symbolic and would take its target along.
        git.text(&["update-ref", "--no-deref", "-d", name]).await?;
    }
    Ok(())
}
