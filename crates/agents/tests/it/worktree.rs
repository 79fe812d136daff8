//! The repository port on real repositories.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod apply;
mod checks;
mod crash;
mod evidence;
mod hostile;
mod merge;
mod open;
mod prepare;
mod rewind;

use maestria_agents::worktree::{Checks, Settings, Worktrees, commit_all};
use maestria_kernel::{
    Run, RunId, TaskId,
    event::Event,
    id::CommitId,
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind},
    port::{MergeResult, Repository, RepositoryError},
    request::{Ground, Request},
    state::TaskState,
    time::At,
    workflow::{Limits, Workflow},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use uuid::Uuid;

/// A repository, a session workspace beside it, and a run on them.
pub(crate) struct Site {
    root: tempfile::TempDir,
    pub(crate) port: Worktrees,
    pub(crate) run: Run,
}

impl Site {
    /// A repository on `main` with one commit of a few files.
    pub(crate) fn new() -> Self {
        let site = Self::bare();
        site.write("notes.txt", &lines(20));
        site.write("README.md", "sample\n");
        site.git(&["init", "-q", "-b", "main"]);
        site.git(&["add", "."]);
        site.git(&["commit", "-q", "-m", "start"]);
        site
    }

    /// An empty target folder without git.
    pub(crate) fn bare() -> Self {
        let root = tempfile::Builder::new()
            .prefix("worktree-")
            .tempdir()
            .expect("a folder");
        std::fs::create_dir_all(root.path().join("home")).expect("a home");
        std::fs::create_dir_all(root.path().join("repo")).expect("a target");
        let run = Run::blank(RunId::new(Uuid::now_v7()));
        Self {
            root,
            port: Worktrees::new(Settings::default()),
            run,
        }
    }

    pub(crate) fn with(mut self, settings: Settings) -> Self {
        self.port = Worktrees::new(settings);
        self
    }

    /// Checks by a command of one's own.
    pub(crate) fn checked(self, command: &[&str]) -> Self {
        let checks = Checks {
            command: Some(command.iter().map(|s| (*s).to_owned()).collect()),
            ..Checks::default()
        };
        self.with(Settings {
            checks,
            ..Settings::default()
        })
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.path().join("session")
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.repo().join(name), text);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.repo().join(name)).unwrap_or_default()
    }

    /// The person's own git, in the repository.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.repo(), args)
    }

    pub(crate) fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let output = self.command(folder, args).output().expect("git runs");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn command(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=Person", "-c", "user.email=person@localhost"])
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path().join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            text: "Do it".to_owned(),
            target: self.repo().display().to_string(),
            workspace: self.workspace().display().to_string(),
            workflow: Workflow {
                name: "develop".to_owned(),
                description: String::new(),
                stages: Vec::new(),
                reviews_existing: false,
                limits: Limits::default(),
            },
            agents: Vec::new(),
            budget: None,
            shares: Vec::new(),
            by: "test".to_owned(),
        }
    }

    pub(crate) async fn try_prepare(&mut self) -> Result<Ground, RepositoryError> {
        let request = self.request();
        let ground = self.port.prepare(self.run.id, &request).await?;
        self.run.request = Some(Arc::new(request));
        self.run.ground = Some(Arc::new(ground.clone()));
        Ok(ground)
    }

    pub(crate) async fn prepare(&mut self) -> Ground {
        self.try_prepare().await.expect("the target is fit")
    }

    /// A plan of edit tasks with these keys.
    pub(crate) fn plan(&mut self, keys: &[&str]) -> Vec<TaskId> {
        let task = |key: &&str| PlannedTask {
            id: TaskId::new(Uuid::now_v7()),
            key: (*key).into(),
            title: format!("Task {key}"),
            instructions: String::new(),
            kind: TaskKind::Edit,
            needs: Vec::new(),
            files: Vec::new(),
            agent: None,
            estimate: Estimate::default(),
        };
        let plan = Plan {
            summary: String::new(),
            source: PlanSource::Rules {
                because: "a test".to_owned(),
            },
            tasks: keys.iter().map(task).collect(),
        };
        let ids = plan.tasks.iter().map(|t| t.id).collect();
        let proposed = Event::PlanProposed {
            plan: Box::new(plan),
            shares: Vec::new(),
        };
        self.run.apply(&proposed, At::default());
        ids
    }

    pub(crate) async fn open(&self, task: TaskId) -> PathBuf {
        self.port.open(&self.run, task, false).await.expect("a worktree").0
    }

    /// Opens a task's worktree, writes a file there and commits it as an adapter does.
    pub(crate) async fn work(&self, task: TaskId, file: &str, text: &str) -> PathBuf {
        let folder = self.open(task).await;
        write(&folder.join(file), text);
        commit_all(&folder, "Work", &[("Maestria-Task", task.to_string())])
            .await
            .expect("a commit");
        folder
    }

    pub(crate) async fn merge(&mut self, task: TaskId) -> MergeResult {
        let result = self.port.merge(&self.run, task, true).await.expect("a merge");
        if let MergeResult::Merged { commit, .. } = &result {
            self.set_done(task, commit.clone());
        }
        result
    }

    pub(crate) fn set_done(&mut self, task: TaskId, commit: Option<CommitId>) {
        let task = self.run.tasks.get_mut(&task).expect("a task");
        task.state = TaskState::Done;
        task.merged = commit;
    }

    pub(crate) fn integration(&self) -> String {
        self.run.ground.as_ref().expect("prepared").integration.clone()
    }

    /// A file on the run's branch; `None` when it is not there.
    pub(crate) fn gathered(&self, file: &str) -> Option<String> {
        let spec = format!("{}:{file}", self.integration());
        let output = self.command(&self.repo(), &["show", &spec]).output().expect("git runs");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

/// `1`, `2`, … a line each.
pub(crate) fn lines(count: u32) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

pub(crate) fn merged(result: &MergeResult) -> Option<String> {
    match result {
        MergeResult::Merged { commit, .. } => commit.as_ref().map(ToString::to_string),
        MergeResult::Bounced { conflicts, checks } => panic!("bounced: {conflicts:?} {checks:?}"),
    }
}
