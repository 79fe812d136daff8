//! Before a run: is the target fit to be worked on, and where does the work start?

use super::{
    Settings, copy,
    evidence::{inner_repositories, snapshot},
    failed,
    git::{Git, NOTHING, fields, path_of},
    show,
};
use crate::trust;
use maestria_kernel::{
    RunId,
    id::CommitId,
    port::RepositoryError,
    request::{Ground, Request},
};
use std::path::{Path, PathBuf};

/// The most that lies uncommitted and untracked in a target and is still taken along, in bytes.
const MOST_UNTRACKED: u64 = 1 << 30;

/// The fixed folders of a session (capability O5), and ours beside them.
const FOLDERS: &[&str] = &[
    "requirements",
    "architecture",
    "implementation",
    "tests",
    "deployment",
    "documentation",
    "signals",
    "decisions",
    "reviews",
    "worktrees",
];

pub(super) async fn prepare(settings: &Settings, run: RunId, request: &Request) -> Result<Ground, RepositoryError> {
    let workspace = PathBuf::from(&request.workspace);
    make_folders(&workspace, request)?;
    let (target, mut notes) = find_target(settings, request, &workspace).await?;
    let git = Git::find(&target).await;
    let top = find_top(&git, &target).await?;
    if workspace.starts_with(&top) && !is_ignored(&git, &workspace).await {
        return Err(failed(
            format!("the workspace {} lies inside the target repository", show(&workspace)),
            "choose a --workspace outside of it, or have git ignore that folder",
        ));
    }
    let git = Git::at(&top).await;
    refuse_unfinished(&git, &top).await?;
    refuse_unmerged(&git, &top).await?;
    let name = |what: &str| format!("refs/maestria/{run}/{what}");
    let base = match git.resolve(&name("base")).await {
        Some(base) => base,
        None => fix_base(&git, &top, &workspace, run).await?,
    };
    if git.resolve(&name("snapshot")).await.is_some() {
        notes.push("the target's uncommitted changes are part of the run's starting point".to_owned());
    }
    let integration = fix_integration(&git, run, &base).await?;
    let branch = git.text(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await.ok();
    if branch.is_none() && git.resolve(&name("snapshot")).await.is_none() {
        notes.push("HEAD is detached: `apply` will make a branch instead of moving yours".to_owned());
    }
    if top.join(".gitmodules").is_file() {
        notes.push("the repository has submodules; they are empty in the worktrees".to_owned());
    }
    let inner = inner_repositories(&git).await?;
    if !inner.is_empty() {
        let names: Vec<String> = inner.iter().take(5).map(|path| show(path)).collect();
        notes.push(format!(
            "changes inside {} are left out: they are repositories of their own",
            names.join(", ")
        ));
    }
    if git.has_filters() {
        notes.push("the repository configures filters (such as LFS); they are not executed".to_owned());
    }
    notes.extend(trust::note(settings.trust.as_deref(), &target, &top, &settings.env_files).await);
    Ok(Ground {
        repository: show(&top),
        base: CommitId::new(base),
        branch,
        integration,
        notes,
    })
}

fn make_folders(workspace: &Path, request: &Request) -> Result<(), RepositoryError> {
    let made = FOLDERS
        .iter()
        .try_for_each(|folder| std::fs::create_dir_all(workspace.join(folder)));
    made.and_then(|()| {
        std::fs::write(
            workspace.join("requirements/task.md"),
            format!("{}\n", maestria_secrets::funnel().clean(&request.text)),
        )
    })
    .map_err(|error| {
        let hint = "give another --workspace, or free some space";
        failed(
            format!("the workspace {} cannot be written: {error}", show(workspace)),
            hint,
        )
    })
}

/// The folder to work on: the target, or a copy of it when it has no git.
async fn find_target(
    settings: &Settings,
    request: &Request,
    workspace: &Path,
) -> Result<(PathBuf, Vec<String>), RepositoryError> {
    let given = PathBuf::from(&request.target);
    let target = match given.canonicalize() {
        Ok(target) if target.is_dir() => target,
        Ok(_) => {
            return Err(failed(
                format!("the target {} is not a folder", show(&given)),
                "name the project's folder",
            ));
        }
        Err(error) => {
            return Err(failed(
                format!("the target {}: {error}", show(&given)),
                "name an existing folder with --target",
            ));
        }
    };
    refuse_session(&target)?;
    let git = Git::find(&target).await;
    let inside = git.run(&["rev-parse", "--is-inside-work-tree"]).await?;
    if inside.status.success() && inside.stdout.starts_with(b"true") {
        return Ok((target, Vec::new()));
    }
    if git
        .text(&["rev-parse", "--is-bare-repository"])
        .await
        .is_ok_and(|t| t == "true")
    {
        let what = format!("the target {} is a bare repository", show(&target));
        return Err(failed(what, "clone it and name the clone"));
    }
    if git.text(&["rev-parse", "--git-dir"]).await.is_ok() {
        let what = format!("the target {} is git's own folder", show(&target));
        return Err(failed(what, "name the folder above it"));
    }
    if !settings.copy_plain {
        return Err(failed(
            format!("the target {} is not in a git repository", show(&target)),
            "run `git init` there, or let maestria work on a copy (`--copy`); `apply` brings the changes back",
        ));
    }
    let copied = copy::into(&target, workspace).await?;
    let note = format!("the target has no git: the work happens in a copy, {}", show(&copied));
    Ok((copied, vec![note]))
}

/// The top folder of the target's repository. A configuration can name any folder as its work tree; only one around the
/// target that has the repository in it is believed.
async fn find_top(git: &Git, target: &Path) -> Result<PathBuf, RepositoryError> {
    let mut bytes = git.bytes(&["rev-parse", "--show-toplevel"]).await?;
    bytes.pop_if(|last| *last == b'\n');
    let top = path_of(&bytes).to_owned();
    if target.starts_with(&top) && top.join(".git").exists() {
        return Ok(top);
    }
    let what = format!(
        "the repository of {} has its work tree elsewhere, in {}",
        show(target),
        show(&top)
    );
    Err(failed(
        what,
        "unset its core.worktree, or name that folder as the target",
    ))
}

/// Work on a run's own folders would be lost with them.
fn refuse_session(target: &Path) -> Result<(), RepositoryError> {
    let is_session = |folder: &Path| folder.join("requirements/task.md").is_file() && folder.join("worktrees").is_dir();
    match target.ancestors().find(|folder| is_session(folder)) {
        Some(session) => Err(failed(
            format!(
                "the target {} lies inside maestria's session folder {}",
                show(target),
                show(session)
            ),
            "name the project itself; `maestria apply` brings a run's work there",
        )),
        None => Ok(()),
    }
}

async fn refuse_unmerged(git: &Git, top: &Path) -> Result<(), RepositoryError> {
    if git.bytes(&["ls-files", "--unmerged", "-z"]).await?.is_empty() {
        return Ok(());
    }
    let what = format!("there are unresolved conflicts in {}", show(top));
    Err(failed(
        what,
        "resolve them and `git add` the files first (`git status` names them)",
    ))
}

/// What git would take along without being asked, refused when it is too much to be meant.
async fn refuse_hoard(git: &Git, top: &Path) -> Result<(), RepositoryError> {
    let names = git
        .bytes(&["ls-files", "--others", "--exclude-standard", "-z", "--", ":/"])
        .await?;
    let size = |name: &[u8]| top.join(path_of(name)).symlink_metadata().map_or(0, |m| m.len());
    let sizes: Vec<(u64, &[u8])> = fields(&names).map(|name| (size(name), name)).collect();
    let total: u64 = sizes.iter().map(|(size, _)| size).sum();
    match sizes.iter().max() {
        Some((_, largest)) if total > MOST_UNTRACKED => Err(failed(
            format!(
                "{} MiB of untracked files lie in {}, the largest is {}",
                total >> 20,
                show(top),
                show(path_of(largest))
            ),
            "commit them, or name them in .gitignore",
        )),
        _ => Ok(()),
    }
}

async fn is_ignored(git: &Git, path: &Path) -> bool {
    git.asks(&["check-ignore".as_ref(), "-q".as_ref(), "--".as_ref(), path.as_os_str()])
        .await
}

async fn refuse_unfinished(git: &Git, top: &Path) -> Result<(), RepositoryError> {
    for (name, what, way) in [
        ("MERGE_HEAD", "a merge", "git merge --continue` or `git merge --abort"),
        (
            "rebase-merge",
            "a rebase",
            "git rebase --continue` or `git rebase --abort",
        ),
        (
            "rebase-apply",
            "a rebase",
            "git rebase --continue` or `git rebase --abort",
        ),
        (
            "CHERRY_PICK_HEAD",
            "a cherry-pick",
            "git cherry-pick --continue` or `git cherry-pick --abort",
        ),
        (
            "REVERT_HEAD",
            "a revert",
            "git revert --continue` or `git revert --abort",
        ),
        ("BISECT_LOG", "a bisection", "git bisect reset"),
    ] {
        if git.internal(name).await.is_some_and(|path| path.exists()) {
            return Err(failed(
                format!("{what} is under way in {}", show(top)),
                format!("end it first: `{way}`"),
            ));
        }
    }
    Ok(())
}

/// Decides once where the work starts, and keeps it by references that outlive a crash.
async fn fix_base(git: &Git, top: &Path, workspace: &Path, run: RunId) -> Result<String, RepositoryError> {
    refuse_hoard(git, top).await?;
    let message = "The target as it was when the run began, uncommitted changes included";
    let taken = snapshot(top, &workspace.join("snapshot.index"), message).await?;
    let base = match &taken {
        Some(commit) => {
            git.point(&["update-ref", &format!("refs/maestria/{run}/snapshot"), commit])
                .await?;
            commit.clone()
        }
        None => {
            let nothing = || failed("the repository is empty", "put at least one file into it");
            git.resolve("HEAD").await.ok_or_else(nothing)?
        }
    };
    git.point(&["update-ref", &format!("refs/maestria/{run}/base"), &base])
        .await?;
    Ok(base)
}

/// The branch that gathers the work: short for people, unless the short name is taken by another run.
async fn fix_integration(git: &Git, run: RunId, base: &str) -> Result<String, RepositoryError> {
    let kept = format!("refs/maestria/{run}/name");
    if let Ok(full) = git.text(&["symbolic-ref", "--quiet", "--short", &kept]).await {
        if git.resolve(&full).await.is_none() {
            make_branch(git, &full, base).await?;
        }
        return Ok(full);
    }
    let short = format!("maestria/{}", run.short());
    let taken = |name: &str| {
        let name = format!("refs/heads/{name}");
        async move { git.resolve(&name).await.is_some() }
    };
    let name = if taken("maestria").await {
        // Git can not have a branch inside a branch.
        format!("maestria-{run}")
    } else if taken(&short).await {
        format!("maestria/{run}")
    } else {
        short
    };
    git.point(&["symbolic-ref", &kept, &format!("refs/heads/{name}")])
        .await?;
    if git.resolve(&format!("refs/heads/{name}")).await.is_none() {
        make_branch(git, &name, base).await?;
    }
    Ok(name)
}

async fn make_branch(git: &Git, name: &str, base: &str) -> Result<(), RepositoryError> {
    let name = format!("refs/heads/{name}");
    git.point(&["update-ref", "-m", "maestria: prepare", &name, base, NOTHING])
        .await
}
