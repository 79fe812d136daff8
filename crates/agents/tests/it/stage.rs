//! A stage for one agent: a target, a worktree of it, a session workspace, an observer who notes and answers.

use maestria_agents::{
    cli::{AgentConfig, CliAgent, Surroundings},
    roster::Worker,
};
use maestria_kernel::{
    Event, ReviewId, RunId, TaskId, TaskKey,
    decision::Choice,
    id::{AgentName, CommitId},
    outcome::Outcome,
    permission::{Permission, Question},
    plan::{Estimate, PlannedTask, TaskKind},
    port::{Boxed, Observer, ReviewJob, TaskJob},
    request::Request,
    workflow::{Limits, Stage as WorkflowStage, Workflow},
};
use maestria_sandbox::Demand;
use maestria_testkit::TestHome;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The longest a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Notes what it hears; answers every question the same way.
pub(crate) struct Notebook {
    events: Mutex<Vec<Event>>,
    asked: Mutex<Vec<Question>>,
    choice: Choice,
}

impl Notebook {
    pub(crate) fn answering(choice: Choice) -> Self {
        Self {
            events: Mutex::default(),
            asked: Mutex::default(),
            choice,
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn rulings(&self) -> Vec<Permission> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::PermissionRuled { permission, .. } => Some(*permission),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn warnings(&self) -> String {
        let events = self.events().into_iter();
        let warnings = events.filter_map(|event| match event {
            Event::WorkerWarned { warning, .. } => Some(warning),
            _ => None,
        });
        warnings.collect::<Vec<_>>().join("\n")
    }

    /// Waits until an event is there.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.events().iter().any(&wanted) {
            assert!(Instant::now() < deadline, "{what} did not happen: {:#?}", self.events());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Walls where this machine has them; says so where it has not.
pub(crate) fn walls() -> Demand {
    if maestria_sandbox::Tier::best() == maestria_sandbox::Tier::Namespace {
        return Demand::Required;
    }
    eprintln!("this kernel or container refuses user namespaces: agents run without walls");
    Demand::Off
}

impl Observer for Notebook {
    fn observe(&self, event: Event) {
        assert!(event.is_observation(), "{event:?}");
        self.events.lock().unwrap().push(event);
    }

    fn ask(&self, _: TaskId, question: Question, _: String) -> Boxed<'_, Choice> {
        self.asked.lock().unwrap().push(question);
        let choice = self.choice;
        Box::pin(async move { choice })
    }
}

pub(crate) struct Stage {
    pub(crate) home: TestHome,
    /// The person's checkout.
    pub(crate) target: PathBuf,
    /// The task's worktree.
    pub(crate) worktree: PathBuf,
    pub(crate) workspace: PathBuf,
    base: CommitId,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let home = TestHome::new().unwrap();
        home.git_init().unwrap();
        let target = home.work();
        let root = target.parent().unwrap().to_owned();
        let (worktree, workspace) = (root.join("worktrees/task"), root.join("session"));
        let stage = Self {
            home,
            base: CommitId::new(""),
            target,
            worktree,
            workspace,
        };
        let place = stage.worktree.display().to_string();
        stage.git(&stage.target, &["worktree", "add", "-q", "-b", "task", &place]);
        let base = CommitId::new(stage.git(&stage.worktree, &["rev-parse", "HEAD"]));
        Self { base, ..stage }
    }

    pub(crate) fn git(&self, folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(folder)
            .env_clear()
            .envs(self.home.env())
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn around(&self) -> Arc<Surroundings> {
        Arc::new(Surroundings {
            env: self.home.env().into_iter().collect(),
            cache: Some(self.workspace.join("cache")),
            trust: Some(self.book()),
            ..Surroundings::default()
        })
    }

    /// The person's book of what they trust.
    pub(crate) fn book(&self) -> PathBuf {
        self.workspace.join("trust.json")
    }

    /// Commits files as something that the repository brings.
    pub(crate) fn bring(&mut self, files: &[(&str, String)]) {
        for (name, text) in files {
            let place = self.worktree.join(name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        self.git(&self.worktree, &["add", "--all", "--force"]);
        self.git(&self.worktree, &["commit", "-qm", "what it brings"]);
        self.base = CommitId::new(self.git(&self.worktree, &["rev-parse", "HEAD"]));
    }

    /// A scripted agent; `plan` is what it does.
    pub(crate) fn fake(&self, role: &str, plan: &serde_json::Value, change: impl FnOnce(&mut AgentConfig)) -> CliAgent {
        self.fake_among(self.around(), role, plan, change)
    }

    /// The same among other surroundings.
    pub(crate) fn fake_among(
        &self,
        around: Arc<Surroundings>,
        role: &str,
        plan: &serde_json::Value,
        change: impl FnOnce(&mut AgentConfig),
    ) -> CliAgent {
        let program = maestria_testkit::built::program("fake-agent").unwrap();
        let env = [
            ("FAKE_AGENT_AS", role.to_owned()),
            ("FAKE_AGENT_PLAN", plan.to_string()),
            ("TEST_API_KEY", "none".to_owned()),
        ];
        let kind = maestria_agents::cli::Kind::named(role);
        let mut config = AgentConfig {
            kind,
            command: Some(program.display().to_string()),
            env: env
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            grace_seconds: 1,
            linger_seconds: 1,
            // One that counts its starts does so in a file outside, where a worker in the sandbox reaches nothing.
            sandbox: if plan.get("counter").is_some() {
                Demand::Off
            } else {
                walls()
            },
            ..AgentConfig::default()
        };
        change(&mut config);
        CliAgent::new(role, config, around)
    }

    pub(crate) fn job(&self, instructions: &str) -> TaskJob {
        let request = Request {
            text: "the whole request".to_owned(),
            target: self.target.display().to_string(),
            workspace: self.workspace.display().to_string(),
            workflow: Workflow {
                name: "develop".to_owned(),
                description: String::new(),
                stages: vec![WorkflowStage::Plan, WorkflowStage::Edit],
                limits: Limits::default(),
                reviews_existing: false,
            },
            agents: Vec::new(),
            budget: None,
            shares: Vec::new(),
            by: "test".to_owned(),
        };
        let task = PlannedTask {
            id: TaskId::new(Uuid::now_v7()),
            key: TaskKey::new("E1"),
            title: "a task".to_owned(),
            instructions: instructions.to_owned(),
            kind: TaskKind::Edit,
            needs: Vec::new(),
            files: Vec::new(),
            agent: None,
            estimate: Estimate::default(),
        };
        TaskJob {
            run: RunId::new(Uuid::now_v7()),
            task: Arc::new(task),
            attempt: 1,
            agent: AgentName::new("agent"),
            session: None,
            recovering: false,
            request: Arc::new(request),
            worktree: self.worktree.clone(),
            base: self.base.clone(),
            evidence: Vec::new(),
            guidance: Vec::new(),
            budget: None,
        }
    }

    pub(crate) fn review(&self, purpose: &str) -> ReviewJob {
        ReviewJob {
            run: RunId::new(Uuid::now_v7()),
            review: ReviewId::new(Uuid::now_v7()),
            task: Some(TaskId::new(Uuid::now_v7())),
            reviewer: AgentName::new("agent"),
            purpose: purpose.to_owned(),
            report: "done".to_owned(),
            checkout: self.worktree.clone(),
            diff: "+x".to_owned(),
            artefacts: self.workspace.join("reviews/r1"),
            project: None,
            budget: None,
        }
    }

    /// Has a task executed, within the test's patience.
    pub(crate) async fn perform(&self, agent: &CliAgent, job: TaskJob, notebook: &Notebook) -> Outcome {
        tokio::time::timeout(PATIENCE, agent.perform(job, notebook))
            .await
            .expect("the attempt must end")
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.worktree.join(path)).ok()
    }
}
