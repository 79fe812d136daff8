//! A run as a value: the sum of its events.

use crate::{
    agent::{Agent, Tier},
    confidence::Confidence,
    decision::{About, Answer, Choice, Decision, Stuck},
    event::Event,
    finding::Validation,
    id::{AgentName, CommitId, DecisionId, ReviewId, RunId, Seq, SessionId, TaskId, TaskKey},
    message::Message,
    money::{Cost, Usage},
    outcome::{Outcome, Verdict},
    permission::Question,
    plan::{PlanSource, PlannedTask, shares::Share},
    request::{Ground, Request},
    review::{Review, Trigger},
    state::{Phase, RunState, TaskState, TaskStep},
    time::At,
    violation::Violation,
    workflow::Workflow,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// A task of a run, with what has become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// As it was planned.
    pub plan: Arc<PlannedTask>,
    /// Its place in the plan, for stable order.
    pub place: u16,
    /// Its state.
    pub state: TaskState,
    /// Who executes it.
    pub agent: Option<AgentName>,
    /// The number of the newest attempt; 0 before the first.
    pub attempt: u16,
    /// Failed attempts in a row with this agent.
    pub failures: u16,
    /// Rounds of rework so far.
    pub rework: u16,
    /// Agents that have given up on it.
    pub tried: Vec<AgentName>,
    /// The session of the newest attempt.
    pub session: Option<SessionId>,
    /// What the next attempt is told.
    pub guidance: Vec<String>,
    /// What people have said since the newest attempt began; the next one is told it too.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// When the newest attempt began.
    pub dispatched_at: Option<At>,
    /// When the parked task goes on.
    pub parked_until: Option<At>,
    /// How the newest attempt ended.
    pub outcome: Option<Arc<Outcome>>,
    /// Its merge commit in the run's branch.
    pub merged: Option<CommitId>,
    /// Its checks on the combined tree.
    pub checks: Option<Arc<Validation>>,
    /// Whether a person took the work against the rules' advice.
    pub accepted: bool,
    /// What it has used, all attempts and reviews together.
    pub usage: Usage,
    /// The last thing seen of it, in one line.
    pub last_action: Option<String>,
    /// Violations recorded.
    pub violations: u16,
    /// Those that no person has looked at yet, oldest first.
    #[serde(default)]
    pub offences: Vec<Violation>,
    /// Why its worker is being stopped.
    #[serde(default)]
    pub stopping: Option<String>,
}

/// The most offences of a task that are kept.
const OFFENCES: usize = 100;

/// What became of a completed run's work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// It is on the run's branch.
    #[default]
    Pending,
    /// It is on the person's branch.
    Applied {
        /// The commit there.
        commit: CommitId,
    },
    /// It was thrown away.
    Discarded,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The number of the newest event.
    pub seq: Seq,
    /// Its state.
    pub state: RunState,
    /// What was asked for; `None` before the first event.
    pub request: Option<Arc<Request>>,
    /// The most it may cost now.
    pub budget: Option<Cost>,
    /// Where its work starts.
    pub ground: Option<Arc<Ground>>,
    /// Who is there.
    pub agents: Vec<Agent>,
    /// The fallback tier in force.
    pub tier: Option<Tier>,
    /// The plan's summary and source.
    pub plan: Option<(String, PlanSource)>,
    /// The shares the plan reached.
    pub shares: Vec<Share>,
    /// Its tasks.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Reviews, newest last.
    pub reviews: Vec<Review>,
    /// Decisions, newest last.
    pub decisions: Vec<Decision>,
    /// The checks on the final tree.
    pub checks: Option<Arc<Validation>>,
    /// The newest confidence.
    pub confidence: Option<Confidence>,
    /// A person has taken the work although the confidence or the checks were low.
    pub accepted: bool,
    /// Repair tasks added after failed checks.
    pub fixes: u16,
    /// The run's branch is being rebuilt.
    pub rewinding: bool,
    /// What became of the work.
    pub work: Work,
    /// What everything used.
    pub usage: Usage,
    /// Some answer came from a script; every face labels it.
    pub scripted: bool,
    /// When it was submitted.
    pub created_at: At,
    /// When its newest event happened.
    pub updated_at: At,
    /// Why it is in its state.
    pub because: String,
}

impl Run {
    /// A run before its first event.
    pub fn blank(id: RunId) -> Self {
        Self {
            id,
            seq: Seq::default(),
            state: RunState::Active(Phase::Planning),
            request: None,
            budget: None,
            ground: None,
            agents: Vec::new(),
            tier: None,
            plan: None,
            shares: Vec::new(),
            tasks: BTreeMap::new(),
            reviews: Vec::new(),
            decisions: Vec::new(),
            checks: None,
            confidence: None,
            accepted: false,
            fixes: 0,
            rewinding: false,
            work: Work::Pending,
            usage: Usage::default(),
            scripted: false,
            created_at: At::default(),
            updated_at: At::default(),
            because: String::new(),
        }
    }

    /// The workflow it was started with; the default one before the first event.
    pub fn workflow(&self) -> std::borrow::Cow<'_, Workflow> {
        match &self.request {
            Some(request) => std::borrow::Cow::Borrowed(&request.workflow),
            None => std::borrow::Cow::Owned(Workflow {
                name: String::new(),
                description: String::new(),
                stages: Vec::new(),
                reviews_existing: false,
                limits: crate::workflow::Limits::default(),
            }),
        }
    }

    /// The tasks in the order of the plan.
    pub fn ordered(&self) -> Vec<&Task> {
        let mut tasks: Vec<&Task> = self.tasks.values().collect();
        tasks.sort_by_key(|t| t.place);
        tasks
    }

    /// The task of a key.
    pub fn by_key(&self, key: &TaskKey) -> Option<&Task> {
        self.tasks.values().find(|t| &t.plan.key == key)
    }

    /// The tasks that a task needs, by the plan's own graph.
    pub fn needs(&self, task: &Task) -> Vec<TaskId> {
        let referred = crate::plan::graph::references(&task.plan.instructions);
        let mut keys: Vec<&TaskKey> = task.plan.needs.iter().chain(referred.iter()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
            .filter_map(|key| self.by_key(key))
            .map(|t| t.plan.id)
            .filter(|id| *id != task.plan.id)
            .collect()
    }

    /// A task and all that need it, however indirectly.
    pub fn with_dependents(&self, root: TaskId) -> Vec<TaskId> {
        let mut found = vec![root];
        let mut grew = true;
        while grew {
            grew = false;
            for task in self.ordered() {
                let id = task.plan.id;
                if !found.contains(&id) && self.needs(task).iter().any(|need| found.contains(need)) {
                    found.push(id);
                    grew = true;
                }
            }
        }
        found
    }

    /// Whether a task changes files.
    pub fn is_edit(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|t| t.plan.kind.edits())
    }

    /// When a running task gets a review although nothing happened (capability A7).
    pub fn review_due(&self, task: TaskId) -> At {
        let since = self
            .tasks
            .get(&task)
            .and_then(|t| t.dispatched_at)
            .unwrap_or(self.updated_at);
        since.after(std::time::Duration::from_secs(self.workflow().limits.review_after_secs))
    }

    /// A decision.
    pub fn decision(&self, id: DecisionId) -> Option<&Decision> {
        self.decisions.iter().find(|d| d.id == id)
    }

    /// The decisions that wait for a person.
    pub fn open_decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|d| d.is_open())
    }

    /// The answer that a person has given to this very question of the worker that is at the task now.
    pub fn answered(&self, task: TaskId, question: &Question) -> Option<&Decision> {
        let known = self.tasks.get(&task).filter(|t| t.state == TaskState::Running)?;
        let of_now = |answer: &Answer| answer.by != "withdrawn" && known.dispatched_at <= Some(answer.at);
        let answered = |d: &&Decision| d.is_about(task, question) && d.answer.as_ref().is_some_and(of_now);
        self.decisions.iter().rev().find(answered)
    }

    /// Whether leave that was given can still be made use of.
    pub fn is_good(&self, decision: &Decision, now: At) -> bool {
        let life = std::time::Duration::from_secs(self.workflow().limits.approval_expires_secs);
        decision.answer.as_ref().is_some_and(|answer| match answer.choice {
            Choice::Accept => decision.used_at.is_none() && now < answer.at.after(life),
            Choice::Always => true,
            Choice::Refuse | Choice::Retry | Choice::Skip | Choice::Raise | Choice::Stop => false,
        })
    }

    /// Whether the budget is spent and nobody has said what now.
    pub fn awaits_money(&self) -> bool {
        self.open_decisions().any(|d| matches!(d.about, About::Budget))
    }

    /// A review.
    pub fn review(&self, id: ReviewId) -> Option<&Review> {
        self.reviews.iter().find(|r| r.id == id)
    }

    /// Whether any task has put a change into the run's branch.
    pub fn has_changes(&self) -> bool {
        self.tasks.values().any(|t| t.merged.is_some())
    }

    /// Whether the combined tree is to be checked before the run completes.
    pub fn needs_checks(&self) -> bool {
        self.has_changes() && self.workflow().has(crate::workflow::Stage::Validate)
    }

    /// Takes account of the next event. Total: an event that does not fit leaves what it does not fit as it is.
    pub fn apply(&mut self, event: &Event, at: At) {
        self.seq = self.seq.next();
        self.updated_at = at;
        match event {
            Event::RunSubmitted { request } => {
                self.created_at = at;
                self.budget = request.budget;
                self.request = Some(Arc::new((**request).clone()));
            }
            Event::RunPrepared { ground, agents } => {
                self.ground = Some(Arc::new((**ground).clone()));
                self.agents.clone_from(agents);
                self.scripted = self.scripted || agents.iter().any(|a| a.scripted && a.unusable.is_none());
            }
            Event::TierChosen { tier, .. } => self.tier = Some(*tier),
            Event::AgentBenched { agent, because } => {
                if let Some(known) = self.agents.iter_mut().find(|a| &a.name == agent) {
                    known.unusable = Some(because.clone());
                }
            }
            Event::PlanProposed { plan, shares } => {
                self.plan = Some((plan.summary.clone(), plan.source.clone()));
                self.shares.clone_from(shares);
                self.tasks.clear();
                for task in &plan.tasks {
                    self.add_task(task);
                }
            }
            Event::TaskAdded { task } => {
                self.add_task(task);
                self.fixes += 1;
            }
            Event::RunTransitioned { from, to, because } => {
                if (*from, *to) == (RunState::Active(Phase::Executing), RunState::Active(Phase::Validating)) {
                    self.checks = None;
                    self.confidence = None;
                }
                self.state = *to;
                self.because.clone_from(because);
            }
            Event::TaskUnblocked { task } => self.step(*task, TaskStep::Unblock),
            Event::TaskDispatched {
                task,
                attempt,
                agent,
                session,
                guidance,
            } => {
                self.step(*task, TaskStep::Dispatch);
                self.change(*task, |t| {
                    t.attempt = *attempt;
                    t.agent = Some(agent.clone());
                    t.session.clone_from(session);
                    t.guidance.clone_from(guidance);
                    t.messages.clear();
                    t.dispatched_at = Some(at);
                    t.stopping = None;
                    t.last_action = Some(format!("dispatched to {agent}"));
                });
            }
            Event::TaskFinished { task, outcome, .. } => self.change(*task, |t| {
                if outcome.session.is_some() {
                    t.session.clone_from(&outcome.session);
                }
                t.failures = match outcome.verdict {
                    Verdict::Completed => 0,
                    // Stopped on purpose: nobody's failure.
                    Verdict::Interrupted => t.failures,
                    _ => t.failures.saturating_add(1),
                };
                if outcome.verdict.is_success() {
                    // It was heeded; whoever reworks this is told something else.
                    t.guidance.clear();
                }
                t.last_action = Some(format!("{}: {}", outcome.verdict, outcome.reason));
                t.outcome = Some(Arc::new((**outcome).clone()));
            }),
            Event::TaskParked { task, until, because } => {
                self.step(*task, TaskStep::Park);
                self.change(*task, |t| {
                    t.parked_until = Some(*until);
                    t.last_action = Some(because.clone());
                });
            }
            Event::TaskRequeued {
                task,
                agent,
                rework,
                guidance,
                because,
            } => {
                self.step(*task, TaskStep::Requeue);
                self.change(*task, |t| {
                    if t.agent.as_ref() != Some(agent) {
                        t.tried.extend(t.agent.replace(agent.clone()));
                        t.failures = 0;
                        t.session = None;
                    }
                    t.rework += u16::from(*rework);
                    t.parked_until = None;
                    if *rework {
                        t.guidance.clear();
                    }
                    t.guidance.extend(guidance.iter().cloned());
                    t.last_action = Some(because.clone());
                });
            }
            Event::TaskApproved { task, because } => {
                self.step(*task, TaskStep::Approve);
                self.change(*task, |t| t.last_action = Some(because.clone()));
            }
            Event::TaskTold { task, message } => self.change(*task, |t| t.messages.push(message.clone())),
            Event::TaskHeld { task, because } => {
                self.step(*task, TaskStep::Hold);
                self.change(*task, |t| t.last_action = Some(because.clone()));
            }
            Event::TaskMergeStarted { task } => self.step(*task, TaskStep::Merge),
            Event::TaskMerged { task, commit, checks } => {
                self.step(*task, TaskStep::Finish);
                self.change(*task, |t| {
                    t.merged.clone_from(commit);
                    t.checks = Some(Arc::new(checks.clone()));
                    t.last_action = Some("merged".to_owned());
                });
            }
            Event::TaskBounced { task, checks, .. } => {
                self.change(*task, |t| t.checks = Some(Arc::new(checks.clone())));
            }
            Event::TaskSkipped { task, because } => {
                self.step(*task, TaskStep::Skip);
                self.change(*task, |t| t.last_action = Some(because.clone()));
            }
            Event::TaskStopped { task, because } => self.change(*task, |t| {
                t.stopping = Some(because.clone());
                t.last_action = Some(because.clone());
            }),
            Event::TaskCancelled { task } => self.step(*task, TaskStep::Cancel),
            Event::TaskReset { task } => {
                self.step(*task, TaskStep::Reset);
                self.change(*task, |t| {
                    t.failures = 0;
                    t.rework = 0;
                    t.tried.clear();
                    t.guidance.clear();
                    t.session = None;
                    t.outcome = None;
                    t.merged = None;
                    t.checks = None;
                    t.accepted = false;
                    t.violations = 0;
                    t.offences.clear();
                    t.stopping = None;
                });
            }
            Event::RunRewound { .. } => {
                self.rewinding = true;
                self.accepted = false;
                self.checks = None;
                self.confidence = None;
                self.work = Work::Pending;
            }
            Event::RunReady => self.rewinding = false,
            Event::ReviewRequested { review } => {
                if let (Some(task), Trigger::Milestone | Trigger::Blocker) = (review.task, review.trigger) {
                    self.step(task, TaskStep::Submit);
                }
                self.reviews.push((**review).clone());
            }
            Event::ReviewReceived { review, opinion } => {
                if let Some(known) = self.reviews.iter_mut().find(|r| r.id == *review) {
                    known.opinion = Some(opinion.clone());
                }
            }
            Event::ReviewRuled { .. } => {}
            Event::ValidationFinished { checks } => self.checks = Some(Arc::new(checks.clone())),
            Event::ConfidenceScored { confidence, .. } => self.confidence = Some(*confidence),
            Event::DecisionRequested { decision } => self.decisions.push((**decision).clone()),
            Event::DecisionMade { decision, answer } => self.settle_decision(*decision, answer),
            Event::DecisionWithdrawn { decision, because } => self.settle_decision(
                *decision,
                &Answer {
                    choice: Choice::Refuse,
                    by: "withdrawn".to_owned(),
                    because: because.clone(),
                    at,
                },
            ),
            Event::ApprovalUsed { decision, .. } => {
                if let Some(known) = self.decisions.iter_mut().find(|d| d.id == *decision) {
                    known.used_at = Some(at);
                }
            }
            Event::BudgetRaised { budget } => self.budget = Some(*budget),
            Event::RunApplied { commit, .. } => self.work = Work::Applied { commit: commit.clone() },
            Event::RunDiscarded => self.work = Work::Discarded,
            Event::PlanRequested { .. }
            | Event::RuleKept { .. }
            | Event::RuleNotKept { .. }
            | Event::RunApplyRequested { .. }
            | Event::RunNotApplied { .. }
            | Event::RunDiscardRequested { .. } => {}
            Event::TaskStarted { .. }
            | Event::SessionOpened { .. }
            | Event::TaskSaid { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::PermissionRuled { .. }
            | Event::TaskRecovered { .. }
            | Event::WorkerWarned { .. }
            | Event::WorkerMeasured { .. }
            | Event::ModelCalled { .. }
            | Event::BudgetRefused { .. }
            | Event::BudgetAlerted { .. }
            | Event::ViolationRecorded { .. } => self.observe(event),
        }
    }

    fn observe(&mut self, event: &Event) {
        match event {
            Event::SessionOpened { task, session } => self.change(*task, |t| t.session = Some(session.clone())),
            Event::TaskSaid { task: Some(task), text } => {
                self.change(*task, |t| t.last_action = text.lines().next().map(ToOwned::to_owned));
            }
            Event::ToolStarted { task, tool, summary } => {
                self.change(*task, |t| t.last_action = Some(format!("{tool} {summary}")));
            }
            Event::TaskRecovered { task, repair, .. } => {
                self.change(*task, |t| t.last_action = Some(repair.clone()));
            }
            Event::ModelCalled {
                task, usage, scripted, ..
            } => {
                self.usage += *usage;
                self.scripted = self.scripted || *scripted;
                if let Some(task) = task {
                    self.change(*task, |t| t.usage += *usage);
                }
            }
            Event::ViolationRecorded { task, violation, .. } => self.change(*task, |t| {
                t.violations = t.violations.saturating_add(1);
                // One that is heard of late has no worker any more.
                if t.state == TaskState::Running && t.offences.len() < OFFENCES {
                    t.offences.push((**violation).clone());
                }
            }),
            _ => {}
        }
    }

    fn settle_decision(&mut self, id: DecisionId, answer: &Answer) {
        let Some(decision) = self.decisions.iter_mut().find(|d| d.id == id) else {
            return;
        };
        decision.answer = Some(answer.clone());
        if let (
            About::Task {
                task,
                stuck: Stuck::Violations,
            },
            Choice::Retry,
        ) = (&decision.about, answer.choice)
        {
            // A fresh start: nothing is remembered of the worker that went too far.
            let task = *task;
            return self.change(task, |t| {
                t.offences.clear();
                t.session = None;
            });
        }
        if answer.choice == Choice::Accept {
            match decision.about {
                About::Task { task, .. } => self.change(task, |t| t.accepted = true),
                About::Confidence | About::Validation => self.accepted = true,
                About::Permission { .. } | About::Planning | About::Budget => {}
            }
        }
    }

    fn add_task(&mut self, task: &PlannedTask) {
        let place = u16::try_from(self.tasks.len()).unwrap_or(u16::MAX);
        self.tasks.insert(
            task.id,
            Task {
                plan: Arc::new(task.clone()),
                place,
                state: TaskState::Waiting,
                agent: task.agent.clone(),
                attempt: 0,
                failures: 0,
                rework: 0,
                tried: Vec::new(),
                session: None,
                guidance: Vec::new(),
                messages: Vec::new(),
                dispatched_at: None,
                parked_until: None,
                outcome: None,
                merged: None,
                checks: None,
                accepted: false,
                usage: Usage::default(),
                last_action: None,
                violations: 0,
                offences: Vec::new(),
                stopping: None,
            },
        );
    }

    fn change(&mut self, task: TaskId, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.tasks.get_mut(&task) {
            change(task);
        }
    }

    fn step(&mut self, task: TaskId, step: TaskStep) {
        self.change(task, |t| t.state = t.state.next(step).unwrap_or(t.state));
    }
}
