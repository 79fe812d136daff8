//! Nothing is thrown away unseen: what a branch no longer holds is kept by a reference, what lies in the way is moved.

use super::{
    checkout::set_writable, evidence::commit_all, failed, git::Git, ground, open::belongs, register::unregister,
    repository, show, workspace,
};
use maestria_kernel::{Run, port::RepositoryError};
use std::path::Path;

/// Keeps a commit from git's clean-up until the run is discarded.
pub(super) async fn keep(git: &Git, run: &Run, commit: &str) -> Result<(), RepositoryError> {
    let name = format!("refs/maestria/{}/kept/{commit}", run.id);
    git.point(&["update-ref", &name, commit]).await
}

/// Moves what lies in the way to a free name beside it.
pub(super) fn put_aside(path: &Path) -> Result<(), RepositoryError> {
    let folder = path.parent().unwrap_or(path);
    // A `.git` is moved out of its folder, or it would be taken for work.
    let (folder, name) = match (path.file_name(), folder.file_name(), folder.parent()) {
        (Some(name), Some(of), Some(above)) if name == ".git" => (above, format!("{}.git", of.to_string_lossy())),
        (Some(name), ..) => (folder, name.to_string_lossy().into_owned()),
        (None, ..) => return Err(failed(format!("{} has no name", show(path)), "")),
    };
    let aside = (1..u32::MAX)
        .map(|n| folder.join(format!("{name}.aside-{n}")))
        .find(|p| p.symlink_metadata().is_err());
    match aside {
        Some(aside) => {
            std::fs::rename(path, aside).map_err(|e| failed(format!("{} is in the way: {e}", show(path)), ""))
        }
        None => Ok(()),
    }
}

/// Takes a task's branch and worktree away. Its commits, and what lay uncommitted in its folder, are kept.
pub(super) async fn retire(run: &Run, folder: &Path, branch: &str) -> Result<(), RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    if belongs(folder, &git).await {
        commit_all(
            folder,
            "Keep what lay in the worktree",
            &[("Maestria-Snapshot", "true".to_owned())],
        )
        .await?;
        if let Some(head) = Git::at(folder).await.resolve("HEAD").await {
            keep(&git, run, &head).await?;
        }
        unregister(&git, run, folder).await?;
    } else if folder.symlink_metadata().is_ok() {
        put_aside(folder)?;
    }
    let name = format!("refs/heads/{branch}");
    if let Some(tip) = git.resolve(&name).await {
        keep(&git, run, &tip).await?;
        git.point(&["update-ref", "-d", &name, &tip]).await?;
    }
    Ok(())
}

/// Removes the run's worktrees, branches and references. The person's branches and the session's documents stay; among
/// those is a list of the commits that were let go, by which they can be found until git cleans up.
pub(super) async fn discard(run: &Run) -> Result<(), RepositoryError> {
    let Some(integration) = run.ground.as_ref().map(|g| g.integration.clone()) else {
        return Ok(());
    };
    let git = Git::at(&repository(run)?).await;
    for folder in folders_of(run) {
        if belongs(&folder, &git).await {
            let trailer = [("Maestria-Snapshot", "true".to_owned())];
            commit_all(&folder, "Keep what lay in the worktree", &trailer).await?;
        }
    }
    let names = names_of(&git, run, &integration).await?;
    write_list(run, &names)?;
    for folder in folders_of(run) {
        set_writable(&folder, true);
        unregister(&git, run, &folder).await?;
    }
    for (name, _) in &names {
        // `--no-deref`: the name reference is symbolic and would take its target along.
        git.point(&["update-ref", "--no-deref", "-d", name]).await?;
    }
    Ok(())
}

/// The worktrees of a run: those of its tasks, of its branch, and of its reviews.
fn folders_of(run: &Run) -> Vec<std::path::PathBuf> {
    let list = |folder: &Path| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|e| e.ok().map(|e| e.path())).collect()
    };
    let mut folders = list(&workspace(run).join("worktrees"));
    let reviews = list(&workspace(run).join("reviews"));
    folders.extend(
        reviews
            .into_iter()
            .map(|review| review.join("checkout"))
            .filter(|c| c.is_dir()),
    );
    folders
}

/// Every reference of a run with its commit.
async fn names_of(git: &Git, run: &Run, integration: &str) -> Result<Vec<(String, String)>, RepositoryError> {
    let kept = format!("refs/maestria/{}/", run.id);
    let listed = git
        .text(&[
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "refs/heads/",
            &kept,
        ])
        .await?;
    let labels: Vec<String> = run.tasks.values().map(|t| super::label(&t.plan)).collect();
    let mine = |name: &str| {
        let tail = name
            .strip_prefix("refs/heads/")
            .and_then(|b| b.strip_prefix(integration));
        let of_task = |tail: &str| {
            tail.strip_prefix('-')
                .is_some_and(|l| labels.iter().any(|label| label == l))
        };
        name.starts_with(&kept) || tail.is_some_and(|t| t.is_empty() || of_task(t))
    };
    let split = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(split
        .filter(|(_, name)| mine(name))
        .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
        .collect())
}

fn write_list(run: &Run, names: &[(String, String)]) -> Result<(), RepositoryError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "Branches and references of {}, discarded. Until git cleans up: git branch NAME COMMIT\n(base {})\n\n",
        run.id,
        ground(run)?.base
    );
    for (name, commit) in names {
        text.push_str(&format!("{commit} {name}\n"));
    }
    let file = workspace(run).join("implementation").join("discarded.txt");
    std::fs::write(&file, text).map_err(|e| failed(format!("{}: {e}", show(&file)), ""))
}
