//! A run on a table: agents, a plan, and commands one after the other.

use maestria_kernel::{
    At, Command, Effect, Event, Refused, Run, RunId, TaskId,
    agent::{Agent, Role, Vendor},
    decide, effects,
    finding::Validation,
    id::{AgentName, CommitId, ReviewId, TaskKey},
    message::Message,
    money::Tokens,
    outcome::{Claim, Outcome, Verdict},
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind, shares::default_bands},
    request::{Ground, Request},
    review::{Opinion, ReviewVerdict},
    state::TaskState,
    workflow::{Limits, Stage, Workflow},
};
use uuid::Uuid;

pub(crate) struct Scene {
    pub(crate) run: Run,
    pub(crate) now: At,
    pub(crate) log: Vec<Event>,
    pub(crate) owed: Vec<Effect>,
}

pub(crate) fn develop() -> Workflow {
    Workflow {
        name: "develop".to_owned(),
        description: "plan, edit, review, validate".to_owned(),
        stages: vec![Stage::Plan, Stage::Edit, Stage::Review, Stage::Validate],
        reviews_existing: false,
        limits: Limits::default(),
    }
}

pub(crate) fn agent(name: &str, vendor: Vendor) -> Agent {
    Agent {
        name: AgentName::from(name),
        vendor,
        roles: vec![Role::Planner, Role::Analyst, Role::Editor, Role::Reviewer],
        transport: "test".to_owned(),
        version: None,
        unusable: None,
        scripted: false,
    }
}

pub(crate) fn three() -> Vec<Agent> {
    vec![
        agent("claude", Vendor::Claude),
        agent("codex", Vendor::Codex),
        agent("gemini", Vendor::Gemini),
    ]
}

pub(crate) fn task(number: u128, kind: TaskKind, needs: &[&str]) -> PlannedTask {
    PlannedTask {
        id: TaskId::new(Uuid::from_u128(number)),
        key: TaskKey::new(format!("E{number}")),
        title: format!("Task {number}"),
        instructions: "Do it.".to_owned(),
        kind,
        needs: needs.iter().map(|n| TaskKey::from(*n)).collect(),
        files: Vec::new(),
        agent: None,
        estimate: Estimate {
            tokens: Tokens(1000),
            ..Estimate::default()
        },
    }
}

pub(crate) fn edits(outlines: &[(u128, &[&str])]) -> Vec<PlannedTask> {
    outlines
        .iter()
        .map(|(n, needs)| task(*n, TaskKind::Edit, needs))
        .collect()
}

impl Scene {
    pub(crate) fn new(agents: Vec<Agent>, workflow: Workflow, tasks: Vec<PlannedTask>) -> Self {
        let run = Run::blank(RunId::new(Uuid::from_u128(7)));
        let mut scene = Self {
            run,
            now: At(1_000),
            log: Vec::new(),
            owed: Vec::new(),
        };
        let request = Request {
            text: "do it".to_owned(),
            target: "/t".to_owned(),
            workspace: "/w".to_owned(),
            workflow,
            agents: Vec::new(),
            budget: None,
            shares: default_bands(),
            by: "test".to_owned(),
        };
        scene.ok(Command::Submit {
            request: Box::new(request),
        });
        let ground = Ground {
            repository: "/t".to_owned(),
            base: CommitId::from("base"),
            branch: Some("main".to_owned()),
            integration: "maestria/x".to_owned(),
            notes: Vec::new(),
        };
        scene.ok(Command::Prepared {
            ground: Box::new(ground),
            agents,
        });
        let source = PlanSource::Rules {
            because: "test".to_owned(),
        };
        scene.ok(Command::Propose {
            plan: Box::new(Plan {
                summary: "all of it".to_owned(),
                source,
                tasks,
            }),
        });
        scene
    }

    pub(crate) fn take(&mut self, command: &Command) -> Result<(), Refused> {
        self.now.0 += 1;
        for event in decide(&self.run, command, self.now)? {
            self.run.apply(&event, self.now);
            self.owed.extend(effects(&self.run, &event));
            self.log.push(event);
        }
        Ok(())
    }

    pub(crate) fn ok(&mut self, command: Command) {
        self.take(&command)
            .unwrap_or_else(|refused| panic!("{command:?}: {refused}"));
    }

    pub(crate) fn id(&self, number: u128) -> TaskId {
        TaskId::new(Uuid::from_u128(number))
    }

    pub(crate) fn state(&self, number: u128) -> TaskState {
        self.run.tasks[&self.id(number)].state
    }

    pub(crate) fn finish(&mut self, number: u128, verdict: Verdict) {
        let id = self.id(number);
        let attempt = self.run.tasks[&id].attempt;
        let mut outcome = Outcome::bare(verdict, "as the test says");
        outcome.claims = vec![Claim::proved("changed", "git diff")];
        self.ok(Command::Finish {
            task: id,
            attempt,
            outcome: Box::new(outcome),
        });
    }

    /// An attempt fails; then so much time passes that the next one begins.
    pub(crate) fn fail_later(&mut self, number: u128, verdict: Verdict) {
        self.finish(number, verdict);
        self.now = self.now.after(std::time::Duration::from_secs(60));
        self.ok(Command::Wake);
    }

    pub(crate) fn awaited(&self, number: u128) -> ReviewId {
        let id = Some(self.id(number));
        self.run
            .reviews
            .iter()
            .find(|r| r.task == id && r.opinion.is_none())
            .expect("a review is awaited")
            .id
    }

    pub(crate) fn review(&mut self, number: u128, verdict: Option<ReviewVerdict>) {
        let review = self.awaited(number);
        let opinion = Opinion {
            verdict,
            text: "words".to_owned(),
            findings: Vec::new(),
        };
        self.ok(Command::Reviewed { review, opinion });
    }

    pub(crate) fn merge(&mut self, number: u128) {
        let task = self.id(number);
        let commit = Some(CommitId::from("merge"));
        self.ok(Command::Merged {
            task,
            commit,
            checks: passed(true),
        });
    }

    pub(crate) fn bounce(&mut self, number: u128, conflicts: &[&str]) {
        let task = self.id(number);
        let conflicts = conflicts.iter().map(|c| (*c).to_owned()).collect();
        self.ok(Command::Bounced {
            task,
            conflicts,
            checks: passed(false),
        });
    }

    /// A task from dispatch to merge without a hitch.
    pub(crate) fn smooth(&mut self, number: u128) {
        self.finish(number, Verdict::Completed);
        self.review(number, Some(ReviewVerdict::Approve));
        self.merge(number);
    }

    pub(crate) fn answer(&mut self, choice: maestria_kernel::decision::Choice) {
        let decision = self.run.open_decisions().next().expect("a decision is open").id;
        self.ok(Command::Answer {
            decision,
            choice: Some(choice),
            approve: true,
            by: "ada".to_owned(),
            because: "I say so".to_owned(),
        });
    }

    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.log.iter().map(Event::kind).collect()
    }
}

pub(crate) fn said(text: &str) -> Message {
    Message {
        by: "ada".to_owned(),
        text: text.to_owned(),
        file: None,
        line: None,
    }
}

pub(crate) fn passed(passed: bool) -> Validation {
    Validation {
        command: Some("make test".to_owned()),
        passed: Some(passed),
        ..Validation::none()
    }
}
