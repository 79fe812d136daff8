//! Worktrees of tasks: made, found again after a crash, mended after whatever an agent did to them.

use super::{
    Settings, branch,
    evidence::commit_all,
    failed,
    git::{Git, NOTHING},
    ground,
    keep::{keep, put_aside},
    merge::{Joined, join},
    register::register,
    repository, show, task_folder,
};
use maestria_kernel::{Run, TaskId, id::CommitId, port::RepositoryError};
use std::path::Path;

pub(super) async fn open(
    settings: &Settings,
    run: &Run,
    task: TaskId,
    onto: bool,
) -> Result<(std::path::PathBuf, CommitId), RepositoryError> {
    let (folder, branch) = (task_folder(run, task)?, branch(run, task)?);
    let integration = format!("refs/heads/{}", ground(run)?.integration);
    let found = ensure(run, &folder, &branch, &integration).await?;
    if found == Found::There {
        Git::at(&folder).await.unlock().await;
        let trailers = [
            ("Maestria-Task", task.to_string()),
            ("Maestria-Snapshot", "true".to_owned()),
        ];
        commit_all(&folder, "Keep what lay in the worktree", &trailers).await?;
        adopt(run, &folder, &branch).await?;
    }
    if onto {
        bring_onto(&folder, task, &branch, &integration).await?;
    }
    copy_env_files(settings, Path::new(&ground(run)?.repository), &folder).await;
    let base = match found {
        Found::Begun(base) if !onto => base,
        _ => {
            let both = ["merge-base", &integration, &format!("refs/heads/{branch}")];
            Git::bare(&folder).text(&both).await?
        }
    };
    Ok((folder, CommitId::new(base)))
}

/// How a worktree was come by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// Made now, with its branch, at this commit.
    Begun(String),
    /// Made now, on a branch that was there.
    New,
    /// It was there, or a folder that could be made into it.
    There,
}

/// Makes the worktree of a branch, or mends one that a crash, an agent or a person has broken.
async fn ensure(run: &Run, folder: &Path, branch: &str, start: &str) -> Result<Found, RepositoryError> {
    let repository = repository(run)?;
    let name = format!("refs/heads/{branch}");
    let bare = Git::bare(&repository);
    // Each of them is a process; together they take the time of one.
    let (git, tip, start_at) = tokio::join!(Git::at(&repository), bare.resolve(&name), bare.resolve(start));
    let begun = match (tip, start_at) {
        (Some(_), _) => None,
        (None, Some(at)) => {
            git.point(&["update-ref", "-m", "maestria: open", &name, &at, NOTHING])
                .await?;
            Some(at)
        }
        (None, None) => {
            return Err(failed(
                format!("{start} is gone"),
                "the run was discarded, or it was removed by hand",
            ));
        }
    };
    if belongs(folder, &git).await {
        fill(folder).await?;
        return Ok(Found::There);
    }
    if folder.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
        put_aside(folder)?;
    }
    let holds_work = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|e| is_work(e.ok())));
    if holds_work {
        mend(&git, run, folder, branch).await?;
        return Ok(Found::There);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|e| failed(format!("{}: {e}", show(folder)), ""))?;
    }
    register(&git, run, folder, branch, false).await?;
    fill(folder).await?;
    Ok(begun.map_or(Found::New, Found::Begun))
}

fn is_work(entry: Option<std::fs::DirEntry>) -> bool {
    entry.is_some_and(|e| e.file_name() != ".git")
}

/// Whether a folder is a worktree of the repository, as git sees it from inside.
pub(super) async fn belongs(folder: &Path, repository: &Git) -> bool {
    const COMMON: [&str; 3] = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
    if !folder.join(".git").is_file() {
        return false;
    }
    let inside = Git::bare(folder);
    match (inside.bytes(&COMMON).await, repository.bytes(&COMMON).await) {
        (Ok(inside_of), Ok(common)) => inside_of == common && inside.resolve("HEAD").await.is_some(),
        _ => false,
    }
}

/// Puts the files of HEAD into a worktree that has none yet. The index is written last, so one without index is such.
///
/// Filters are looked up from inside, because a configuration may include files by the branch that is checked out.
pub(super) async fn fill(folder: &Path) -> Result<(), RepositoryError> {
    let git = Git::at(folder).await;
    if git.internal("index").await.is_some_and(|index| !index.exists()) {
        git.unlock().await;
        git.text(&["reset", "--quiet", "--hard"]).await?;
    }
    Ok(())
}

/// Gives a folder that holds work, but is no worktree any more, its place in git back. The work stays where it is.
async fn mend(git: &Git, run: &Run, folder: &Path, branch: &str) -> Result<(), RepositoryError> {
    let dot = folder.join(".git");
    if dot.is_dir() {
        put_aside(&dot)?;
    }
    git.run(&["worktree", "repair", "--", &show(folder)]).await?;
    if belongs(folder, git).await {
        return Ok(());
    }
    // Nothing registers it: a new registration, made beside it, is handed over.
    let side = folder.with_file_name(format!(".mending-{}", std::process::id()));
    if side.exists() {
        std::fs::remove_dir_all(&side).map_err(|e| failed(format!("{}: {e}", show(&side)), ""))?;
    }
    register(git, run, &side, branch, false).await?;
    let handed = std::fs::rename(side.join(".git"), &dot).and_then(|()| std::fs::remove_dir_all(&side));
    handed.map_err(|e| failed(format!("{} could not be mended: {e}", show(folder)), ""))?;
    git.text(&["worktree", "repair", "--", &show(folder)]).await?;
    Git::at(folder)
        .await
        .text(&["reset", "--quiet", "--mixed"])
        .await
        .map(|_| ())
}

/// An agent may have gone to a branch of its own, or to none. The task's branch takes its newest work over.
pub(super) async fn adopt(run: &Run, folder: &Path, branch: &str) -> Result<(), RepositoryError> {
    let git = Git::at(folder).await;
    let name = format!("refs/heads/{branch}");
    let now = git.text(&["symbolic-ref", "--quiet", "HEAD"]).await.unwrap_or_default();
    if now == name {
        return Ok(());
    }
    let (Some(head), Some(tip)) = (git.resolve("HEAD").await, git.resolve(&name).await) else {
        return Ok(());
    };
    if head != tip && git.contains(&tip, &head).await {
        // It went back to look at something; the newer work is on the branch.
        git.text(&["checkout", "--quiet", "--ignore-other-worktrees", branch, "--"])
            .await?;
        return Ok(());
    }
    if !git.contains(&head, &tip).await {
        keep(&git, run, &tip).await?;
    }
    git.point(&["update-ref", "-m", "maestria: adopt", &name, &head, &tip])
        .await?;
    git.point(&["symbolic-ref", "HEAD", &name]).await
}

/// Merges the run's branch into a task's, with conflict markers left in the files for the author to resolve.
///
/// The merge is a commit at once: no state in between is there to be torn, and the markers carry the run's branch as
/// their label, by which they are found if the author forgets them.
async fn bring_onto(folder: &Path, task: TaskId, branch: &str, integration: &str) -> Result<(), RepositoryError> {
    let git = Git::at(folder).await;
    let name = format!("refs/heads/{branch}");
    if git.contains(&name, integration).await {
        return Ok(());
    }
    let joined = if git.contains(integration, &name).await {
        None
    } else {
        Some(join(&git, &name, integration).await?)
    };
    let onto = match joined {
        None => integration.to_owned(),
        Some(Joined::Clean(tree) | Joined::Conflicts { tree, .. }) => {
            let message = format!("Merge the other tasks' work\n\nMaestria-Task: {task}\nMaestria-Onto: true\n");
            git.commit(&tree, &[&name, integration], &message).await?
        }
    };
    git.text(&["reset", "--quiet", "--hard", &onto]).await.map(|_| ())
}

/// Files that git ignores but a build may need.
pub(super) async fn copy_env_files(settings: &Settings, from: &Path, to: &Path) {
    let wanted = |name: &&String| {
        let plain = from.join(name).symlink_metadata().is_ok_and(|m| m.is_file());
        plain && !to.join(name).exists()
    };
    for name in settings.env_files.iter().filter(wanted) {
        let (source, destination) = (from.join(name), to.join(name));
        let ignored = ["check-ignore", "-q", "--", name];
        // Ignored in both places: what holds secrets must not become part of a commit.
        if Git::at(from).await.asks(&ignored).await && Git::at(to).await.asks(&ignored).await {
            let folder = destination.parent().map_or(Ok(()), std::fs::create_dir_all);
            if let Err(error) = folder.and_then(|()| std::fs::copy(&source, &destination).map(|_| ())) {
                tracing::warn!(%error, file = name, "an env file could not be copied");
            }
        }
    }
}
