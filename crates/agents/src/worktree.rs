//! A run's place in the repository: one worktree and branch per task, one branch that gathers the work, and nothing of
//! the person's own branch, index or files touched before `apply`.
//!
//! Everything is done by the `git` program, told to execute nothing that the repository brings along: no hooks, no
//! filters, no drivers, no helpers (see [`git`]). Every operation can be repeated after a crash.

mod apply;
mod checkout;
mod checks;
mod copy;
mod evidence;
mod git;
mod keep;
mod merge;
mod open;
mod prepare;
mod register;
mod scan;
mod torn;

pub use checks::{Checks, detect};
pub use evidence::{Evidence, Look, commit_all, evidence};
pub(crate) use git::{Git, fields, path_of};

use maestria_kernel::{
    ReviewId, Run, RunId, TaskId,
    finding::Validation,
    id::CommitId,
    plan::PlannedTask,
    port::{Boxed, MergeResult, Repository, RepositoryError},
    request::{Ground, Request},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Mutex;

/// How repositories are treated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ignored files that a task needs all the same, such as `.env`: names relative to the repository's top.
    pub env_files: Vec<String>,
    /// A target without git is copied into the workspace and worked on there.
    pub copy_plain: bool,
    /// How the project is checked.
    pub checks: Checks,
    /// The person's book of what they trust of repositories ([`crate::trust`]).
    pub trust: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let env_files = [".env", ".env.local", ".envrc"].map(str::to_owned).to_vec();
        Self {
            env_files,
            copy_plain: false,
            checks: Checks::default(),
            trust: None,
        }
    }
}

/// The repository port on git worktrees.
#[derive(Debug, Clone)]
pub struct Worktrees {
    settings: Settings,
    /// One change of the run's branch at a time.
    queue: Arc<Mutex<()>>,
    /// One worktree made or removed at a time: git's registrations of them disturb each other.
    desk: Arc<Mutex<()>>,
}

impl Worktrees {
    /// Worktrees under these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            queue: Arc::default(),
            desk: Arc::default(),
        }
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
    git.text(&["init", "--quiet", "--template="]).await?;
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
    Ok(format!("{}-{}", ground(run)?.integration, label(planned(run, task)?)))
}

/// The worktree of a task.
fn task_folder(run: &Run, task: TaskId) -> Result<PathBuf, RepositoryError> {
    Ok(workspace(run).join("worktrees").join(label(planned(run, task)?)))
}

fn planned(run: &Run, task: TaskId) -> Result<&PlannedTask, RepositoryError> {
    let known = run.tasks.get(&task).map(|t| &*t.plan);
    known.ok_or_else(|| failed(format!("the run has no task {task}"), ""))
}

/// A task's key as part of a path and of a branch. Keys come from a model: what could leave the folder, or mean
/// something else to git, becomes a name that can not.
fn label(task: &PlannedTask) -> String {
    let key = task.key.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let taken = key.eq_ignore_ascii_case("integration") || key.eq_ignore_ascii_case("result");
    if !key.is_empty() && key.len() <= 40 && !key.starts_with('-') && !taken && key.chars().all(plain) {
        return key.to_owned();
    }
    let kept: String = key.chars().take(40).map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{}_{}", kept.trim_start_matches('-'), task.id.short())
}

fn repository(run: &Run) -> Result<PathBuf, RepositoryError> {
    Ok(PathBuf::from(&ground(run)?.repository))
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
        Box::pin(async move {
            let _desk = self.desk.lock().await;
            open::open(&self.settings, run, task, onto).await
        })
    }

    fn checkout<'a>(
        &'a self,
        run: &'a Run,
        review: ReviewId,
        task: Option<TaskId>,
    ) -> Boxed<'a, Result<(PathBuf, String), RepositoryError>> {
        Box::pin(async move {
            let _desk = self.desk.lock().await;
            checkout::checkout(run, review, task).await
        })
    }

    fn release<'a>(&'a self, run: &'a Run, review: ReviewId) -> Boxed<'a, ()> {
        Box::pin(async move {
            let _desk = self.desk.lock().await;
            if let Err(error) = checkout::release(run, review).await {
                tracing::warn!(%error, "a review's checkout could not be removed");
            }
        })
    }

    fn merge<'a>(&'a self, run: &'a Run, task: TaskId, check: bool) -> Boxed<'a, Result<MergeResult, RepositoryError>> {
        Box::pin(async move {
            let _queue = self.queue.lock().await;
            merge::merge(&self.settings, run, task, check).await
        })
    }

    fn validate<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<Validation, RepositoryError>> {
        Box::pin(async move {
            let _queue = self.queue.lock().await;
            let head = merge::integration_head(run, &git::Git::at(&repository(run)?).await).await?;
            let base = ground(run)?.base.as_str().to_owned();
            merge::check_at(&self.settings, run, &base, &head).await
        })
    }

    fn rewind<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(async move {
            let _queue = self.queue.lock().await;
            let _desk = self.desk.lock().await;
            merge::rewind(run).await
        })
    }

    fn apply<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(CommitId, String), RepositoryError>> {
        Box::pin(async move {
            let _queue = self.queue.lock().await;
            apply::apply(run).await
        })
    }

    fn discard<'a>(&'a self, run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(async move {
            let _queue = self.queue.lock().await;
            let _desk = self.desk.lock().await;
            keep::discard(run).await
        })
    }

    fn diff<'a>(&'a self, run: &'a Run, task: Option<TaskId>) -> Boxed<'a, Result<String, RepositoryError>> {
        Box::pin(checkout::diff(run, task))
    }
}
