//! The end of a run: its work onto the person's branch. Nothing is changed unless all of it can be.

use super::{
    copy,
    evidence::{add_all, aside},
    failed,
    git::Git,
    ground,
    merge::{Joined, integration_head, join},
    repository, show, torn, workspace,
};
use maestria_kernel::{Run, id::CommitId, port::RepositoryError, request::Ground};
use std::path::{Path, PathBuf};

pub(super) async fn apply(run: &Run) -> Result<(CommitId, String), RepositoryError> {
    let ground = ground(run)?;
    let git = Git::at(&repository(run)?).await;
    let head = integration_head(run, &git).await?;
    if let Some(original) = copied_from(run) {
        let files = copy::bring_back(Path::new(&ground.repository), &original, ground.base.as_str(), &head).await?;
        let how = format!("{files} changed files are now in {}", show(&original));
        return Ok((CommitId::new(head), how));
    }
    if git
        .resolve(&format!("refs/maestria/{}/snapshot", run.id))
        .await
        .is_some()
    {
        let how = onto_dirty_tree(&git, run, &head).await?;
        return Ok((CommitId::new(head), how));
    }
    let (commit, how) = match &ground.branch {
        None => (head.clone(), onto_new_branch(&git, ground, &head).await?),
        Some(began) => onto_branch(&git, run, began, &head).await?,
    };
    Ok((CommitId::new(commit), how))
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
    let full = format!("refs/heads/{name}");
    if let Some(there) = git.resolve(&full).await
        && !git.contains(head, &there).await
    {
        let hint = "rename or delete that branch, then apply again";
        return Err(failed(format!("the branch {name} holds other work"), hint));
    }
    git.point(&["update-ref", "-m", "maestria: apply", &full, head]).await?;
    Ok(format!("HEAD was detached, so the work is on the new branch {name}"))
}

/// The run began on uncommitted changes: what it did on top of them is merged into the work tree, uncommitted as they
/// are. The tree as it lies there is one side of that merge; an index of its own keeps the person's index as it is.
async fn onto_dirty_tree(git: &Git, run: &Run, head: &str) -> Result<String, RepositoryError> {
    let ground = ground(run)?;
    let scratch = git.internal(&format!("maestria-apply-{}", run.id)).await;
    let scratch = scratch.ok_or_else(|| failed(format!("{} is no git repository", ground.repository), ""))?;
    let merged = merge_into_tree(git, ground, head, &scratch).await;
    let _ = std::fs::remove_file(&scratch);
    merged
}

async fn merge_into_tree(git: &Git, ground: &Ground, head: &str, scratch: &Path) -> Result<String, RepositoryError> {
    let index = aside(git, scratch).await;
    index.bytes(&add_all(git).await?).await?;
    let now = index.text(&["write-tree"]).await?;
    let here = git
        .commit(&now, &[ground.base.as_str()], "The work tree before apply")
        .await?;
    match join(git, &here, head).await? {
        Joined::Clean(tree) if tree == now => Ok("your work tree has the work already, uncommitted".to_owned()),
        Joined::Clean(tree) => {
            index
                .text(&["read-tree", "-m", "-u", &now, &tree])
                .await
                .map_err(hint_clean)?;
            let how = "the changes are in your work tree, uncommitted, beside those you had when the run began";
            Ok(how.to_owned())
        }
        Joined::Conflicts { files, .. } => {
            let what = format!(
                "your files have changed since the run began; they conflict in {}",
                files.join(", ")
            );
            let hint = format!(
                "nothing was changed; commit yours, then `git merge {}` by hand",
                ground.integration
            );
            Err(failed(what, hint))
        }
    }
}

async fn onto_branch(git: &Git, run: &Run, began: &str, head: &str) -> Result<(String, String), RepositoryError> {
    let now = git
        .text(&["symbolic-ref", "--quiet", "--short", "HEAD"])
        .await
        .unwrap_or_default();
    if now != began {
        let here = if now.is_empty() { "none" } else { &now };
        let what = format!("the run began on the branch {began}, but now {here} is checked out");
        return Err(failed(what, format!("`git switch {began}` first")));
    }
    let gone = || failed(format!("the branch {began} has no commit any more"), "");
    let tip = git.resolve("HEAD").await.ok_or_else(gone)?;
    if git.contains(&tip, head).await {
        torn::arrived(git, run).await;
        return Ok((tip, format!("{began} has the work already")));
    }
    if let Some(pending) = torn::pending(git, run).await
        && git.contains(&pending, &tip).await
        && git.contains(&pending, head).await
    {
        torn::take_back(git, &tip, &pending).await?;
    }
    if git.contains(head, &tip).await {
        torn::advance(git, run, &tip, head).await.map_err(hint_clean)?;
        return Ok((
            head.to_owned(),
            format!("{began} was moved forward to the run's result"),
        ));
    }
    let integration = &ground(run)?.integration;
    match join(git, &tip, head).await? {
        Joined::Clean(tree) => {
            let commit = git
                .commit(&tree, &[&tip, head], &format!("Merge {integration}\n"))
                .await?;
            torn::advance(git, run, &tip, &commit).await.map_err(hint_clean)?;
            let how = format!(
                "{began} had moved on; the work was merged into it (the checks have not seen the two together)"
            );
            Ok((commit, how))
        }
        Joined::Conflicts { files, .. } => {
            let what = format!(
                "{began} has moved on and conflicts with the work in {}",
                files.join(", ")
            );
            Err(failed(
                what,
                format!("nothing was changed; `git merge {integration}` by hand"),
            ))
        }
    }
}

fn hint_clean(mut error: RepositoryError) -> RepositoryError {
    if error.hint.is_empty() {
        error.hint = "nothing was changed; commit or stash what git names, then apply again".to_owned();
    }
    error
}
