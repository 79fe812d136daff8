//! A run's place in the repository: one worktree and branch per task, one branch that gathers the work, and nothing of
//! the person's own branch, index or files touched before `apply`.
//!
//! Everything is done by the `git` program, told to execute nothing that the repository brings along: no hooks, no
//! filters, no drivers, no helpers (see [`git`]). Every operation can be repeated after a crash.

mod apply;
mod checks;
mod copy;
mod evidence;
mod git;
mod merge;
mod open;
mod prepare;

pub use checks::{Checks, detect};
pub use evidence::{Evidence, commit_all, evidence};

use maestria_kernel::{
    ReviewId, Run, RunId, TaskId,
    finding::Validation,
    id::CommitId,
    port::{Boxed, MergeResult, Repository, RepositoryError},
    request::{Ground, Request},
};
use std::path::{Path, PathBuf};

/// How repositories are treated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ignored files that a task needs all the same, such as `.env`: names relative to the repository's top.
    pub env_files: Vec<String>,
    /// A target without git is copied into the workspace and worked on there.
    pub copy_plain: bool,
    /// How the project is checked.
    pub checks: Checks,
}

impl Default for Settings {
    fn default() -> Self {
        let env_files = [".env", ".env.local", ".envrc"].map(str::to_owned).to_vec();
        Self {
            env_files,
            copy_plain: false,
            checks: Checks::default(),
        }
    }
}

/// The repository port on git worktrees.
#[derive(Debug, Clone)]
pub struct Worktrees {
    settings: Settings,
}

impl Worktrees {
    /// Worktrees under these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

/// An error with a hint.
pub(crate) fn failed(what: impl Into<String>, hint: impl Into<String>) -> RepositoryError {
    RepositoryError {
        what: what.into(),
        hint: hint.into(),
    }
}

/// Puts a folder under git, with its files as the first commit.
///
/// # Errors
/// What git said.
pub async fn start_repository(folder: &Path) -> Result<(), RepositoryError> {
    let git = git::Git::bare(folder);
    git.text(&["init", "--quiet"]).await?;
    git.text(&["add", "--all"]).await?;
    git.text(&["commit", "--quiet", "--allow-empty", "-m", "Begin"])
        .await
        .map(|_| ())
}

/// The ground of a run that has one.
fn ground(run: &Run) -> Result<&Ground, RepositoryError> {
    run.ground
        .as_deref()
        .ok_or_else(|| failed("the run has not been prepared", ""))
}

fn workspace(run: &Run) -> PathBuf {
    run.request
        .as_ref()
        .map(|r| PathBuf::from(&r.workspace))
        .unwrap_or_default()
}

/// The branch of a task.
fn branch(run: &Run, task: TaskId) -> Result<String, RepositoryError> {
    let key = run.tasks.get(&task).map(|t| t.plan.key.clone());
    let key = key.ok_or_else(|| failed(format!("the run has no task {task}"), ""))?;
    Ok(format!("{}-{key}", ground(run)?.integration))
}

/// The worktree of a task.
fn task_folder(run: &Run, task: TaskId) -> Result<PathBuf, RepositoryError> {
    let key = run.tasks.get(&task).map(|t| t.plan.key.clone());
    let key = key.ok_or_else(|| failed(format!("the run has no task {task}"), ""))?;
    Ok(workspace(run).join("worktrees").join(key.as_str()))
}

fn repository(run: &Run) -> Result<PathBuf, RepositoryError> {
    Ok(PathBuf::from(&ground(run)?.repository))
}

/// Cuts a text at a character and says so.
fn bounded(mut text: String, most: usize) -> String {
    if text.len() > most {
        let left = text.len() - most;
        text.truncate(text.floor_char_boundary(most));
        text.push_str(&format!("\n[… {left} more bytes are not shown]\n"));
    }
    text
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

impl Repository for Worktrees {
    fn prepare<'a>(&'a self, run: RunId, request: &'a Request) -> Boxed<'a, Result<Ground, RepositoryError>> {
        Box::pin(prepare::prepare(&self.settings, run, request))
    }

    fn open<'a>(
        &'a self,
        run: &'a Run,
        task: TaskId,
        onto: bool,
    ) -> Boxed<'a, Result<(PathBuf, CommitId), RepositoryError>> {
        Box::pin(open::open(&self.settings, run, task, onto))
    }

    fn checkout<'a>(
        &'a self,
        run: &'a Run,
        review: ReviewId,
        task: Option<TaskId>,
    ) -> Boxed<'a, Result<(PathBuf, String), RepositoryError>> {
        Box::pin(open::checkout(run, review, task))
    }

    fn release<'a>(&'a self, run: &'a Run, review: ReviewId) -> Boxed<'a, ()> {
        Box::pin(async move {
            if let Err(error) = open::release(run, review).await {
                tracing::warn!(%error, "a review's checkout could not be removed");
            }
        })
    }

    fn merge<'a>(&'a self, run: &'a Run, task: TaskId, check: bool) -> Boxed<'a, Result<MergeResult, RepositoryError>> {
        Box::pin(merge::merge(&self.settings, run, task, check))
    }

    fn validate<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<Validation, RepositoryError>> {
        Box::pin(async move {
            let folder = merge::integration(run).await?;
            Ok(self.settings.checks.run(&folder, &workspace(run)).await)
        })
    }

    fn rewind<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(merge::rewind(run))
    }

    fn apply<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(CommitId, String), RepositoryError>> {
        Box::pin(apply::apply(run))
    }

    fn discard<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(apply::discard(run))
    }

    fn diff<'a>(&'a self, run: &'a Run, task: Option<TaskId>) -> Boxed<'a, Result<String, RepositoryError>> {
        Box::pin(async move {
            let (base, head) = open::range(run, task).await?;
            git::Git::at(&repository(run)?)
                .await
                .text(&["diff", "--no-ext-diff", "--no-textconv", &base, &head])
                .await
        })
    }
}
