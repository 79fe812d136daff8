//! The merge queue's work: one change into the run's branch, checked there, or left out exactly.
//!
//! A merge is made beside the branch and checked in a worktree of its own; only then does the branch move, in one step.
//! So there is no torn merge to clean up, whenever the process dies.

use super::{
    Settings, branch,
    evidence::worded,
    failed,
    git::{Git, fields, refused},
    ground,
    keep::{keep, retire},
    open::{adopt, belongs, copy_env_files, fill},
    register::register,
    repository,
    scan::scan,
    show, task_folder, workspace,
};
use crate::trust::Sight;
use maestria_kernel::{
    Run, TaskId,
    finding::Validation,
    id::CommitId,
    port::{MergeResult, RepositoryError},
    state::TaskState,
};
use std::path::{Path, PathBuf};

/// What two commits make together.
pub(super) enum Joined {
    /// A tree.
    Clean(String),
    /// A tree with conflict markers, and the files that conflict.
    Conflicts { tree: String, files: Vec<String> },
}

/// Merges without touching any branch, index or file.
pub(super) async fn join(git: &Git, ours: &str, theirs: &str) -> Result<Joined, RepositoryError> {
    let args = [
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
        ours,
        theirs,
    ];
    let output = git.run(&args).await?;
    let mut parts = fields(&output.stdout).map(|part| String::from_utf8_lossy(part).into_owned());
    match (output.status.code(), parts.next()) {
        (Some(0), Some(tree)) => Ok(Joined::Clean(tree)),
        (Some(1), Some(tree)) => Ok(Joined::Conflicts {
            tree,
            files: parts.collect(),
        }),
        _ => {
            let mut error = refused(&args, &output);
            if error.what.contains("usage:") || error.what.contains("unknown option") {
                error = failed("this git cannot merge without a work tree", "install git 2.38 or newer");
            }
            Err(error)
        }
    }
}

pub(super) async fn merge(
    settings: &Settings,
    run: &Run,
    task: TaskId,
    check: bool,
) -> Result<MergeResult, RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    let branch = branch(run, task)?;
    let folder = task_folder(run, task)?;
    if belongs(&folder, &git).await {
        adopt(run, &folder, &branch).await?;
    }
    let name = format!("refs/heads/{branch}");
    let nothing = MergeResult::Merged {
        commit: None,
        checks: Validation::none(),
    };
    let Some(tip) = git.resolve(&name).await else {
        return Ok(nothing);
    };
    let integration = format!("refs/heads/{}", ground(run)?.integration);
    let head = integration_head(run, &git).await?;
    if let Some(done) = merges(run, &git)
        .await?
        .into_iter()
        .find(|m| m.task == task && m.tip == tip)
    {
        return found(settings, run, done.commit, check).await;
    }
    if git.contains(&head, &tip).await {
        return Ok(nothing);
    }
    let marked = unresolved(run, &git, &head, &tip).await?;
    if !marked.is_empty() {
        return Ok(bounced(marked));
    }
    let tree = match join(&git, &integration, &name).await? {
        Joined::Clean(tree) => tree,
        Joined::Conflicts { files, .. } => return Ok(bounced(files)),
    };
    let commit = git.commit(&tree, &[&head, &tip], &message(run, task, &tip)?).await?;
    let checks = if check {
        check_at(settings, run, &head, &commit).await?
    } else {
        Validation::none()
    };
    if checks.failed() || checks.to_confirm().is_some() {
        return Ok(MergeResult::Bounced {
            conflicts: Vec::new(),
            checks,
        });
    }
    write_checks(run, &commit, &checks)?;
    git.point(&["update-ref", "-m", "maestria: merge", &integration, &commit, &head])
        .await?;
    Ok(MergeResult::Merged {
        commit: Some(CommitId::new(commit)),
        checks,
    })
}

fn bounced(conflicts: Vec<String>) -> MergeResult {
    MergeResult::Bounced {
        conflicts,
        checks: Validation::none(),
    }
}

fn message(run: &Run, task: TaskId, tip: &str) -> Result<String, RepositoryError> {
    let plan = run.tasks.get(&task).map(|t| t.plan.clone());
    let plan = plan.ok_or_else(|| failed("no such task", ""))?;
    let title = plan.title.lines().next().unwrap_or_default();
    let trailers = [
        ("Maestria-Merge", task.to_string()),
        ("Maestria-Tip", tip.to_owned()),
        ("Maestria-Run", run.id.to_string()),
    ];
    Ok(worded(&format!("{}: {title}", plan.key), &trailers))
}

/// A merge that a former driver made before it died: its checks had passed, or the branch would not have moved.
async fn found(settings: &Settings, run: &Run, commit: String, check: bool) -> Result<MergeResult, RepositoryError> {
    let checks = match read_checks(run, &commit) {
        Some(checks) => checks,
        None if check => check_at(settings, run, &format!("{commit}^"), &commit).await?,
        None => Validation::none(),
    };
    Ok(MergeResult::Merged {
        commit: Some(CommitId::new(commit)),
        checks,
    })
}

fn checks_file(run: &Run, commit: &str) -> PathBuf {
    workspace(run).join("tests").join(format!("merge-{commit}.json"))
}

/// Keeps the checks of a merge, written before the branch moves: who repeats the merge finds them.
fn write_checks(run: &Run, commit: &str, checks: &Validation) -> Result<(), RepositoryError> {
    let file = checks_file(run, commit);
    let text = serde_json::to_vec_pretty(checks).unwrap_or_default();
    let text = maestria_secrets::funnel().clean_bytes(&text).into_owned();
    std::fs::write(&file, text)
        .map_err(|e| failed(format!("{}: {e}", show(&file)), "free some space; nothing was lost"))
}

fn read_checks(run: &Run, commit: &str) -> Option<Validation> {
    serde_json::from_slice(&std::fs::read(checks_file(run, commit)).ok()?).ok()
}

/// Runs the project's checks on a commit, in the run's own worktree, and looks at what it adds to `since`.
pub(super) async fn check_at(
    settings: &Settings,
    run: &Run,
    since: &str,
    commit: &str,
) -> Result<Validation, RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    let folder = workspace(run).join("worktrees").join("integration");
    if !belongs(&folder, &git).await {
        if folder.symlink_metadata().is_ok() {
            super::keep::put_aside(&folder)?;
        }
        register(&git, run, &folder, commit, true).await?;
    }
    fill(&folder).await?;
    let inside = Git::at(&folder).await;
    inside.unlock().await;
    inside
        .text(&["checkout", "--quiet", "--force", "--detach", commit, "--"])
        .await?;
    // What former checks left behind must not decide this one; what git ignores (caches) may stay.
    inside.text(&["clean", "-q", "-f", "-f", "-d"]).await?;
    copy_env_files(settings, Path::new(&ground(run)?.repository), &folder).await;
    let target = run.request.as_ref().map(|request| PathBuf::from(&request.target));
    let sight = Sight::of(settings.trust.as_deref(), &target.unwrap_or_default(), &folder).await;
    let sight = sight.map_err(|why| failed(why, ""))?;
    let mut checks = settings.checks.run(&folder, &workspace(run), &sight).await;
    checks.findings.extend(scan(&git, since, commit).await?);
    Ok(checks)
}

/// The newest commit of the run's branch.
pub(super) async fn integration_head(run: &Run, git: &Git) -> Result<String, RepositoryError> {
    let name = &ground(run)?.integration;
    git.resolve(&format!("refs/heads/{name}")).await.ok_or_else(|| {
        let hint = format!("it was removed by hand: `git branch {name} COMMIT` brings it back (see `git reflog`)");
        failed(format!("the run's branch {name} is gone"), hint)
    })
}

/// Files in which the author left markers of a conflict with the run's branch.
async fn unresolved(run: &Run, git: &Git, head: &str, tip: &str) -> Result<Vec<String>, RepositoryError> {
    let name = &ground(run)?.integration;
    let merged = git
        .text(&["rev-list", "--merges", "--max-count=1", tip, &format!("^{head}")])
        .await?;
    if merged.is_empty() {
        return Ok(Vec::new());
    }
    let short = format!(">>>>>>> {name}");
    let long = format!(">>>>>>> refs/heads/{name}");
    let output = git
        .run(&[
            "grep",
            "-l",
            "-z",
            "--no-textconv",
            "-F",
            "-e",
            &short,
            "-e",
            &long,
            tip,
            "--",
        ])
        .await?;
    let prefix = format!("{tip}:");
    let file = |name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        name.strip_prefix(&prefix).unwrap_or(&name).to_owned()
    };
    Ok(fields(&output.stdout).map(file).collect())
}

/// A merge on the run's branch.
struct Made {
    commit: String,
    parent: String,
    task: TaskId,
    tip: String,
    message: String,
}

/// The merges on the run's branch, oldest first. Only first parents: what an agent writes into its own commits is not
/// believed.
async fn merges(run: &Run, git: &Git) -> Result<Vec<Made>, RepositoryError> {
    let ground = ground(run)?;
    let range = format!("{}..refs/heads/{}", ground.base, ground.integration);
    let log = git
        .text(&[
            "log",
            "--first-parent",
            "--reverse",
            "--format=%x01%H %P%n%B",
            &range,
            "--",
        ])
        .await?;
    Ok(log.split('\u{1}').filter_map(read_merge).collect())
}

fn read_merge(entry: &str) -> Option<Made> {
    let (hashes, message) = entry.split_once('\n')?;
    let mut hashes = hashes.split(' ');
    let trailer = |name: &str| {
        message
            .lines()
            .rev()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
    };
    Some(Made {
        commit: hashes.next()?.to_owned(),
        parent: hashes.next()?.to_owned(),
        task: trailer("Maestria-Merge")?.parse().ok()?,
        tip: trailer("Maestria-Tip")?.to_owned(),
        message: message.trim_end().to_owned() + "\n",
    })
}

/// Rebuilds the run's branch from the tasks that are done. The work of the others is kept under `refs/maestria`, and
/// their branches begin anew.
///
/// A task's change is replayed as the difference that its merge made, never by merging its branch again: that branch
/// began where the run's branch was then, and would bring along the very work that is to be done again.
pub(super) async fn rewind(run: &Run) -> Result<(), RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    let ground = ground(run)?;
    let name = format!("refs/heads/{}", ground.integration);
    let old = integration_head(run, &git).await?;
    let mut head = ground.base.to_string();
    for made in merges(run, &git).await? {
        let Some(task) = run.tasks.get(&made.task).filter(|t| t.state == TaskState::Done) else {
            continue;
        };
        head = if made.parent == head {
            made.commit
        } else {
            match replay(&git, &made, &head).await? {
                Joined::Clean(tree) => git.commit(&tree, &[&head], &made.message).await?,
                Joined::Conflicts { files, .. } => {
                    let what = format!("{} does not fit without the tasks that are done again", task.plan.key);
                    let hint = format!("rerun it too; it conflicts in {}", files.join(", "));
                    return Err(failed(what, hint));
                }
            }
        };
    }
    keep(&git, run, &old).await?;
    git.point(&["update-ref", "-m", "maestria: rewind", &name, &head, &old])
        .await?;
    for task in run.ordered().into_iter().filter(|t| t.state != TaskState::Done) {
        retire(run, &task_folder(run, task.plan.id)?, &branch(run, task.plan.id)?).await?;
    }
    Ok(())
}

/// What a merge changed, on top of another commit. Three commits without history give the merge its base.
async fn replay(git: &Git, made: &Made, head: &str) -> Result<Joined, RepositoryError> {
    let before = git.commit(&git.tree_of(&made.parent).await?, &[], "before").await?;
    let after = git
        .commit(&git.tree_of(&made.commit).await?, &[&before], "after")
        .await?;
    let here = git.commit(&git.tree_of(head).await?, &[&before], "here").await?;
    join(git, &here, &after).await
}
