//! The merge queue's work: one change into the run's branch, checked there, or taken back exactly.

use super::{Settings, branch, failed, git::Git, git::refused, ground, open::ensure_worktree, repository, workspace};
use maestria_kernel::{
    Run, TaskId,
    finding::Validation,
    id::CommitId,
    port::{MergeResult, RepositoryError},
    state::TaskState,
};
use std::path::PathBuf;

/// The worktree of the run's branch, clean.
pub(super) async fn integration(run: &Run) -> Result<PathBuf, RepositoryError> {
    let folder = workspace(run).join("worktrees").join("integration");
    let name = &ground(run)?.integration;
    ensure_worktree(run, &folder, name).await?;
    let git = Git::at(&folder).await;
    git.unlock().await;
    // A merge that a crash has torn is taken back; the branch itself moves only by a finished commit.
    git.run(&["merge", "--abort"]).await?;
    git.text(&["reset", "--quiet", "--hard", name]).await?;
    git.text(&["clean", "-q", "-f", "-d"]).await?;
    Ok(folder)
}

pub(super) async fn merge(
    settings: &Settings,
    run: &Run,
    task: TaskId,
    check: bool,
) -> Result<MergeResult, RepositoryError> {
    let folder = integration(run).await?;
    let git = Git::at(&folder).await;
    let branch = branch(run, task)?;
    if git.resolve(&branch).await.is_none() {
        return Ok(MergeResult::Merged {
            commit: None,
            checks: Validation::none(),
        });
    }
    let commit = match merged_before(&git, run, task).await? {
        Some(commit) => commit,
        None => match bring_in(&git, run, task, &branch).await? {
            Brought::In(commit) => commit,
            Brought::Nothing => {
                return Ok(MergeResult::Merged {
                    commit: None,
                    checks: Validation::none(),
                });
            }
            Brought::Conflicts(conflicts) => {
                return Ok(MergeResult::Bounced {
                    conflicts,
                    checks: Validation::none(),
                });
            }
        },
    };
    let checks = if check {
        settings.checks.run(&folder, &workspace(run)).await
    } else {
        Validation::none()
    };
    if checks.failed() {
        git.text(&["reset", "--quiet", "--hard", &format!("{commit}^1")])
            .await?;
        return Ok(MergeResult::Bounced {
            conflicts: Vec::new(),
            checks,
        });
    }
    Ok(MergeResult::Merged {
        commit: Some(CommitId::new(commit)),
        checks,
    })
}

/// The merge of a task that a former driver made before it died.
async fn merged_before(git: &Git, run: &Run, task: TaskId) -> Result<Option<String>, RepositoryError> {
    let ground = ground(run)?;
    let range = format!("{}..{}", ground.base, ground.integration);
    let pattern = format!("--grep=^Maestria-Merge: {task}$");
    let found = git
        .text(&[
            "log",
            "--first-parent",
            "--max-count=1",
            "--format=%H",
            &pattern,
            &range,
        ])
        .await?;
    Ok((!found.is_empty()).then_some(found))
}

enum Brought {
    In(String),
    Nothing,
    Conflicts(Vec<String>),
}

async fn bring_in(git: &Git, run: &Run, task: TaskId, branch: &str) -> Result<Brought, RepositoryError> {
    if git.asks(&["merge-base", "--is-ancestor", branch, "HEAD"]).await {
        return Ok(Brought::Nothing);
    }
    let plan = run
        .tasks
        .get(&task)
        .map(|t| t.plan.clone())
        .ok_or_else(|| failed("no such task", ""))?;
    let title = plan.title.lines().next().unwrap_or_default();
    let message = format!(
        "{}: {title}\n\nMaestria-Merge: {task}\nMaestria-Run: {}\n",
        plan.key, run.id
    );
    let args = [
        "merge",
        "--quiet",
        "--no-ff",
        "--no-edit",
        "--no-verify",
        "-m",
        &message,
        branch,
    ];
    let output = git.run(&args).await?;
    if output.status.success() {
        let head = git.resolve("HEAD").await;
        return head
            .map(Brought::In)
            .ok_or_else(|| failed("the merge made no commit", ""));
    }
    let names = git.bytes(&["diff", "--name-only", "-z", "--diff-filter=U"]).await?;
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let conflicts: Vec<String> = names.split(|b| *b == 0).filter(|n| !n.is_empty()).map(text).collect();
    git.run(&["merge", "--abort"]).await?;
    if conflicts.is_empty() {
        Err(refused(&args, &output))
    } else {
        Ok(Brought::Conflicts(conflicts))
    }
}

/// Rebuilds the run's branch from the tasks that are done. The work of the others is kept under `refs/maestria`, and
/// their branches begin anew.
pub(super) async fn rewind(run: &Run) -> Result<(), RepositoryError> {
    let ground = ground(run)?;
    let folder = integration(run).await?;
    let git = Git::at(&folder).await;
    let old = git.resolve("HEAD").await.unwrap_or_default();
    git.text(&["update-ref", &format!("refs/maestria/{}/kept/{old}", run.id), &old])
        .await?;
    git.text(&["reset", "--quiet", "--hard", ground.base.as_str()]).await?;
    for task in run.ordered() {
        let branch = branch(run, task.plan.id)?;
        let Some(head) = git.resolve(&format!("refs/heads/{branch}")).await else {
            continue;
        };
        if task.state == TaskState::Done {
            if let Brought::Conflicts(files) = bring_in(&git, run, task.plan.id, &branch).await? {
                let what = format!("{} does not fit without the tasks that are done again", task.plan.key);
                return Err(failed(
                    what,
                    format!("rerun it too; it conflicts in {}", files.join(", ")),
                ));
            }
        } else {
            retire(run, task.plan.key.as_str(), &branch, &head).await?;
        }
    }
    Ok(())
}

/// Takes a task's branch away, keeping its commits.
async fn retire(run: &Run, key: &str, branch: &str, head: &str) -> Result<(), RepositoryError> {
    let git = Git::at(&repository(run)?).await;
    let folder = workspace(run).join("worktrees").join(key);
    git.text(&["update-ref", &format!("refs/maestria/{}/kept/{head}", run.id), head])
        .await?;
    if folder.exists() {
        git.run(&["worktree", "remove", "--force", "--", &folder.display().to_string()])
            .await?;
    }
    git.text(&["worktree", "prune"]).await?;
    git.text(&["branch", "-D", "--", branch]).await.map(|_| ())
}
