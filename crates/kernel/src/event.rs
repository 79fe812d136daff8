//! Events: what happened, past tense, append-only, versioned. Every face reads this one stream.
//!
//! On the wire an event is a JSON object whose `kind` is `noun.verbed`. A kind's shape may grow fields with defaults;
//! any other change raises its [`Event::version`] and adds a step to [`upcast`], so that old logs stay readable.

use crate::{
    agent::{Agent, Tier},
    confidence::Confidence,
    decision::{Answer, Decision},
    finding::Validation,
    id::{AgentName, CommitId, DecisionId, ReviewId, SessionId, TaskId},
    message::Message,
    money::{Cost, Usage},
    outcome::Outcome,
    permission::{Bound, Permission, Question},
    plan::{Plan, PlannedTask, shares::Share},
    request::{Ground, Request},
    review::{Opinion, Review, Ruled},
    state::RunState,
    time::At,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! events {
    ($( $(#[$doc:meta])* $variant:ident $kind:literal v $version:literal $({ $( $(#[$field_doc:meta])* $field:ident : $type:ty ),* $(,)? })? ;)*) => {
        /// What happened in a run.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind")]
        pub enum Event {
            $( $(#[$doc])* #[serde(rename = $kind)] $variant $({ $( $(#[$field_doc])* $field: $type ),* })? ),*
        }

        impl Event {
            /// All kinds with their versions.
            pub const KINDS: &'static [(&'static str, u16)] = &[$(($kind, $version)),*];

            /// The event's kind, `noun.verbed`.
            pub const fn kind(&self) -> &'static str {
                match self { $( Self::$variant { .. } => $kind ),* }
            }

            /// The version of the kind's shape.
            pub const fn version(&self) -> u16 {
                match self { $( Self::$variant { .. } => $version ),* }
            }
        }
    };
}

events! {
    /// A run was asked for.
    RunSubmitted "run.submitted" v 1 {
        /// What was asked for.
        request: Box<Request>,
    };
    /// The ground is prepared and the agents are known.
    RunPrepared "run.prepared" v 1 {
        /// Where the work starts.
        ground: Box<Ground>,
        /// Who is there.
        agents: Vec<Agent>,
    };
    /// Which fallback tier the run has from here on.
    TierChosen "tier.chosen" v 1 {
        /// The tier.
        tier: Tier,
        /// Why.
        because: String,
    };
    /// An agent is not used any more in this run.
    AgentBenched "agent.benched" v 1 {
        /// Who.
        agent: AgentName,
        /// Why.
        because: String,
    };
    /// A plan is to be made again.
    PlanRequested "plan.requested" v 1 {
        /// Why.
        because: String,
    };
    /// The plan stands.
    PlanProposed "plan.proposed" v 1 {
        /// The plan, every task with its agent.
        plan: Box<Plan>,
        /// The shares it reaches.
        shares: Vec<Share>,
    };
    /// The run went from one state to another.
    RunTransitioned "run.transitioned" v 1 {
        /// The state before.
        from: RunState,
        /// The state after.
        to: RunState,
        /// Why.
        because: String,
    };
    /// A task was added after planning.
    TaskAdded "task.added" v 1 {
        /// The task.
        task: Box<PlannedTask>,
    };
    /// What a task needs is done.
    TaskUnblocked "task.unblocked" v 1 {
        /// The task.
        task: TaskId,
    };
    /// A worker is to execute a task.
    TaskDispatched "task.dispatched" v 1 {
        /// The task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u16,
        /// Who.
        agent: AgentName,
        /// The session to go on with, if the same agent goes on.
        #[serde(default)]
        session: Option<SessionId>,
        /// What to heed besides the task's instructions: findings, failed checks, a person's words.
        #[serde(default)]
        guidance: Vec<String>,
    };
    /// An attempt at a task has ended.
    TaskFinished "task.finished" v 1 {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// How.
        outcome: Box<Outcome>,
    };
    /// A task waits for a moment.
    TaskParked "task.parked" v 1 {
        /// The task.
        task: TaskId,
        /// Until when.
        until: At,
        /// Why.
        because: String,
    };
    /// A task is to be dispatched again.
    TaskRequeued "task.requeued" v 1 {
        /// The task.
        task: TaskId,
        /// Who is to take it.
        agent: AgentName,
        /// It is rework: counts against the rework limit, not against the retries.
        rework: bool,
        /// What the next attempt is told.
        #[serde(default)]
        guidance: Vec<String>,
        /// Why.
        because: String,
    };
    /// A person has said something to whoever works on a task.
    TaskTold "task.told" v 1 {
        /// The task.
        task: TaskId,
        /// What.
        message: Message,
    };
    /// A task's change may be merged.
    TaskApproved "task.approved" v 1 {
        /// The task.
        task: TaskId,
        /// By which rule or person.
        because: String,
    };
    /// A task waits for a person.
    TaskHeld "task.held" v 1 {
        /// The task.
        task: TaskId,
        /// Why.
        because: String,
    };
    /// A task's change is being merged.
    TaskMergeStarted "task.merge_started" v 1 {
        /// The task.
        task: TaskId,
    };
    /// A task's change is in the run's branch.
    TaskMerged "task.merged" v 1 {
        /// The task.
        task: TaskId,
        /// The merge commit, if there was something to merge.
        #[serde(default)]
        commit: Option<CommitId>,
        /// The checks on the combined tree.
        checks: Validation,
    };
    /// A task's change did not fit; the run's branch is as it was before.
    TaskBounced "task.bounced" v 1 {
        /// The task.
        task: TaskId,
        /// Files in conflict.
        #[serde(default)]
        conflicts: Vec<String>,
        /// The failed checks.
        checks: Validation,
    };
    /// A task is left out.
    TaskSkipped "task.skipped" v 1 {
        /// The task.
        task: TaskId,
        /// Why.
        because: String,
    };
    /// A task's worker is being stopped; when it has ended, a person decides.
    TaskStopped "task.stopped" v 1 {
        /// The task.
        task: TaskId,
        /// Why.
        because: String,
    };
    /// A task ended with its run.
    TaskCancelled "task.cancelled" v 1 {
        /// The task.
        task: TaskId,
    };
    /// A task is to be done again from the start.
    TaskReset "task.reset" v 1 {
        /// The task.
        task: TaskId,
    };
    /// The run's branch is being rebuilt without the tasks that were reset.
    RunRewound "run.rewound" v 1 {
        /// Why.
        because: String,
    };
    /// The run's branch is rebuilt.
    RunReady "run.ready" v 1;
    /// A review was asked for.
    ReviewRequested "review.requested" v 1 {
        /// The review.
        review: Box<Review>,
    };
    /// A reviewer answered, or will not.
    ReviewReceived "review.received" v 1 {
        /// Which review.
        review: ReviewId,
        /// What came back.
        opinion: Opinion,
    };
    /// The rules were applied to a task's reviews.
    ReviewRuled "review.ruled" v 1 {
        /// The task; `None` for the whole run.
        #[serde(default)]
        task: Option<TaskId>,
        /// The rule and what follows.
        #[serde(flatten)]
        ruled: Ruled,
    };
    /// The checks on the final tree have ended.
    ValidationFinished "validation.finished" v 1 {
        /// Their result.
        checks: Validation,
    };
    /// The run's confidence was computed.
    ConfidenceScored "confidence.scored" v 1 {
        /// The score and its parts.
        confidence: Confidence,
        /// The least that goes without a person, in percent.
        needed_percent: u8,
    };
    /// A person is asked.
    DecisionRequested "decision.requested" v 1 {
        /// The question.
        decision: Box<Decision>,
    };
    /// A decision is made.
    DecisionMade "decision.made" v 1 {
        /// Which.
        decision: DecisionId,
        /// The answer.
        answer: Answer,
    };
    /// A worker was given the leave that a person gave; there is no more of it.
    ApprovalUsed "approval.used" v 1 {
        /// The worker's task.
        task: TaskId,
        /// The decision that gave it.
        decision: DecisionId,
        /// What it was bound to.
        #[serde(default)]
        bound: Option<Bound>,
    };
    /// What a person agreed to for ever is a rule of their policy now.
    RuleKept "rule.kept" v 1 {
        /// The decision.
        decision: DecisionId,
        /// The file.
        file: String,
        /// The rule's id.
        rule: String,
    };
    /// The rule could not be written; it will be asked again.
    RuleNotKept "rule.not_kept" v 1 {
        /// The decision.
        decision: DecisionId,
        /// Why.
        because: String,
    };
    /// A question has become pointless.
    DecisionWithdrawn "decision.withdrawn" v 1 {
        /// Which.
        decision: DecisionId,
        /// Why.
        because: String,
    };
    /// The run may cost more.
    BudgetRaised "budget.raised" v 1 {
        /// The new budget.
        budget: Cost,
    };
    /// A person wants the work on their branch.
    RunApplyRequested "run.apply_requested" v 1 {
        /// Who.
        by: String,
    };
    /// The work is on the person's branch.
    RunApplied "run.applied" v 1 {
        /// The commit there.
        commit: CommitId,
        /// How, for people.
        how: String,
    };
    /// The work could not be applied; nothing was changed.
    RunNotApplied "run.not_applied" v 1 {
        /// Why, with a hint.
        because: String,
    };
    /// A person does not want the work.
    RunDiscardRequested "run.discard_requested" v 1 {
        /// Who.
        by: String,
    };
    /// Branch and worktrees are gone.
    RunDiscarded "run.discarded" v 1;

    // Observations: what was seen of a worker while it ran. They change no state.
    /// A worker started.
    TaskStarted "task.started" v 1 {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// Who.
        agent: AgentName,
        /// The process, if it is one.
        #[serde(default)]
        pid: Option<u32>,
        /// How it is contained: `user and process namespace`, `subreaper`, `in process`.
        contained: String,
        /// The limits in force, for people.
        #[serde(default)]
        limits: Vec<String>,
    };
    /// A worker told the id of its session.
    SessionOpened "session.opened" v 1 {
        /// The task.
        task: TaskId,
        /// The session.
        session: SessionId,
    };
    /// A worker said something (bounded).
    TaskSaid "task.said" v 1 {
        /// The task; `None` for the planner.
        #[serde(default)]
        task: Option<TaskId>,
        /// What.
        text: String,
    };
    /// A worker began to use a tool.
    ToolStarted "tool.started" v 1 {
        /// The task.
        task: TaskId,
        /// The tool.
        tool: String,
        /// With what, in one line.
        summary: String,
    };
    /// A tool ended.
    ToolFinished "tool.finished" v 1 {
        /// The task.
        task: TaskId,
        /// The tool.
        tool: String,
        /// It did what it should.
        ok: bool,
        /// The result, in one line.
        summary: String,
    };
    /// The policy ruled on what a worker wanted to do.
    PermissionRuled "permission.ruled" v 1 {
        /// The task.
        task: TaskId,
        /// What it wanted.
        question: Box<Question>,
        /// The ruling and its rule.
        permission: Box<Permission>,
    };
    /// A known problem was repaired, or the repair was refused.
    TaskRecovered "task.recovered" v 1 {
        /// The task.
        task: TaskId,
        /// The problem, by its id in the recovery table.
        problem: String,
        /// What was done about it.
        repair: String,
        /// Which repair of this attempt, from 1.
        number: u16,
    };
    /// A worker sent something that cannot be used; it was survived.
    WorkerWarned "worker.warned" v 1 {
        /// The task.
        task: TaskId,
        /// What.
        warning: String,
    };
    /// What a worker uses.
    WorkerMeasured "worker.measured" v 1 {
        /// The task.
        task: TaskId,
        /// CPU time so far, in milliseconds.
        cpu_millis: u64,
        /// Memory now, in bytes.
        memory_bytes: u64,
        /// Processes now.
        processes: u32,
    };
    /// A model was called.
    ModelCalled "model.called" v 1 {
        /// The task; `None` for the planner.
        #[serde(default)]
        task: Option<TaskId>,
        /// `provider/model`, or the CLI's own model.
        model: String,
        /// What it used.
        usage: Usage,
        /// How long it took; 0 when it is not known.
        #[serde(default)]
        millis: u64,
        /// The answer came from a script.
        #[serde(default)]
        scripted: bool,
        /// The gateway's id of the call, where the gateway's books have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<String>,
    };
    /// A model call was refused because a budget has no room for it.
    BudgetRefused "budget.refused" v 1 {
        /// The task; `None` for the planner.
        #[serde(default)]
        task: Option<TaskId>,
        /// Which budget, with the amounts.
        because: String,
        /// It is the run's own budget, which a person may raise.
        of_run: bool,
    };
    /// Most of a budget is spent, and a call of this run was the last before it. Told once a budget and day.
    BudgetAlerted "budget.alerted" v 1 {
        /// The task; `None` for the planner.
        #[serde(default)]
        task: Option<TaskId>,
        /// Which budget: `day`, `client ci` and the like.
        account: String,
        /// The share of it that is spent, in percent.
        percent: u8,
        /// All of it.
        limit: Cost,
    };
    /// A worker did or tried what it may not.
    ViolationRecorded "violation.recorded" v 2 {
        /// The task.
        task: TaskId,
        /// Who.
        #[serde(default)]
        agent: Option<AgentName>,
        /// In which attempt.
        #[serde(default)]
        attempt: u16,
        /// The how manieth of the task, from 1; 0 where a former version has not counted.
        #[serde(default)]
        count: u16,
        /// What.
        violation: Box<Violation>,
    };
}

impl Event {
    /// Whether this is something seen of a worker, which changes no state and owes no effect.
    pub const fn is_observation(&self) -> bool {
        matches!(
            self,
            Self::TaskStarted { .. }
                | Self::SessionOpened { .. }
                | Self::TaskSaid { .. }
                | Self::ToolStarted { .. }
                | Self::ToolFinished { .. }
                | Self::PermissionRuled { .. }
                | Self::TaskRecovered { .. }
                | Self::WorkerWarned { .. }
                | Self::WorkerMeasured { .. }
                | Self::ModelCalled { .. }
                | Self::BudgetRefused { .. }
                | Self::BudgetAlerted { .. }
                | Self::ViolationRecorded { .. }
        )
    }
}

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A kind or version of a newer Maestria.
    #[error("event `{kind}` version {version} is newer than this maestria; upgrade maestria to read this run")]
    Newer {
        /// The kind.
        kind: String,
        /// Its version.
        version: u16,
    },
    /// A body that is not what its kind says.
    #[error("event `{kind}` version {version} does not have the shape of its kind: {source}")]
    Shape {
        /// The kind.
        kind: String,
        /// Its version.
        version: u16,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads a stored event of any version.
///
/// # Errors
/// [`Unreadable`] for kinds and versions of a newer Maestria and for damaged bodies.
pub fn read(kind: &str, version: u16, body: &str) -> Result<Event, Unreadable> {
    let known = Event::KINDS.iter().find(|(k, _)| *k == kind).map(|(_, v)| *v);
    if known.is_none_or(|newest| version > newest) {
        return Err(Unreadable::Newer {
            kind: kind.to_owned(),
            version,
        });
    }
    let shape = |source| Unreadable::Shape {
        kind: kind.to_owned(),
        version,
        source,
    };
    if known == Some(version) {
        return serde_json::from_str(body).map_err(shape);
    }
    let value: Value = serde_json::from_str(body).map_err(shape)?;
    serde_json::from_value(upcast(kind, version, value)).map_err(shape)
}

/// Brings an old shape to today's.
fn upcast(kind: &str, version: u16, mut body: Value) -> Value {
    // Version 1 had one sentence, and knew of nothing but the limit of memory.
    if (kind, version) == ("violation.recorded", 1)
        && let Some(Value::String(sentence)) = body.get("violation").cloned()
    {
        let violation = Violation::new(crate::violation::Kind::Memory, "workers.memory", "worker", sentence);
        body["violation"] = serde_json::to_value(violation).unwrap_or_default();
    }
    body
}
