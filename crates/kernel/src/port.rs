//! The ports: what the engine needs of the outside. Few, coarse, object-safe.
//!
//! Whoever implements a port reports what it sees as [`Event`]s through an [`Observer`] while it works, and its result
//! as the return value.

use crate::{
    agent::Agent,
    decision::{Choice, Decision},
    effect::Effect,
    event::Event,
    finding::Validation,
    id::{AgentName, CommitId, DecisionId, EffectId, ReviewId, RunId, Seq, SessionId, TaskId},
    model::{ModelError, ModelReply, ModelRequest},
    money::{Cost, Usage},
    outcome::Outcome,
    permission::{Lasting, Question},
    plan::{Plan, PlannedTask},
    request::{Ground, Request},
    review::Opinion,
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc};

/// A future that can cross threads.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes what is seen of a worker, as it is seen.
pub trait Observer: Send + Sync {
    /// Records an observation ([`Event::is_observation`]). Must not block; what cannot be stored stops the run.
    fn observe(&self, event: Event);

    /// Asks a person for leave; answers when a decision is made, with [`Choice::Accept`] or [`Choice::Refuse`].
    fn ask(&self, task: TaskId, question: Question, because: String) -> Boxed<'_, Choice>;
}

// ---- state ----------------------------------------------------------------------------------------------------

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// Its number in its run.
    pub seq: Seq,
    /// When it happened.
    pub at: At,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An event with its place among the events of all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Numbered {
    /// Counts over all runs, grows in the order of commits, may have gaps, is never used twice.
    pub number: u64,
    /// Whose event it is.
    pub run: RunId,
    /// The event.
    #[serde(flatten)]
    pub stored: Stored,
}

/// What one commit stores: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The newest event the writer knows; a commit on another one is refused.
    pub after: Seq,
    /// New events, numbered from `after` upwards without gaps.
    pub events: Vec<Stored>,
    /// Effects that the new events owe.
    pub owed: Vec<(EffectId, Effect)>,
    /// Effects that are no longer owed.
    pub settled: Vec<EffectId>,
    /// The row that lists show, if it changed.
    pub row: Option<RunRow>,
    /// What makes these events happen once, however often they are asked for.
    pub once: Option<Once>,
    /// The command of the inbox that these events follow from: it is answered with them, as taken.
    pub answered: Option<u64>,
}

/// A key that stands for one request: a submission, or an action on a run. Both texts are fingerprints: they can be
/// compared, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// Who sends it, by which name.
    pub key: String,
    /// What is sent.
    pub request: String,
    /// Until then the key stands for it.
    pub until: At,
}

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What was sent, as [`Once`] has it.
    pub request: String,
    /// The run that it became, or that it was done with.
    pub run: RunId,
}

impl Once {
    /// Whether that was this request.
    pub fn is(&self, sent: &Sent) -> bool {
        self.request == sent.request
    }
}

/// A decision's place in the order in which people look at them: those that wait, the one that expires first before the
/// others; then the rest, the newest answer first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// It waits no more.
    pub closed: bool,
    /// When it expires; or, turned round, when it was answered or withdrawn.
    pub place: i64,
    /// Which.
    pub decision: DecisionId,
    /// Whose.
    pub run: RunId,
}

impl Asked {
    /// Where an event puts a decision of this run, if it is about one.
    pub fn of(run: RunId, stored: &Stored) -> Option<Self> {
        match &stored.event {
            Event::DecisionRequested { decision } => Some(Self::waits(run, decision)),
            Event::DecisionMade { decision, .. } | Event::DecisionWithdrawn { decision, .. } => {
                Some(Self::ended(run, *decision, stored.at))
            }
            _ => None,
        }
    }

    /// The place of a decision that waits.
    pub const fn waits(run: RunId, decision: &Decision) -> Self {
        Self {
            closed: false,
            place: decision.expires_at.0,
            decision: decision.id,
            run,
        }
    }

    /// The place of the same when it waits no more.
    pub const fn ended(run: RunId, decision: DecisionId, at: At) -> Self {
        Self {
            closed: true,
            place: -at.0,
            decision,
            run,
        }
    }
}

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The state's word.
    pub state: String,
    /// The task text (bounded).
    pub text: String,
    /// The target folder.
    pub target: String,
    /// The session workspace.
    pub workspace: String,
    /// The workflow's name.
    pub workflow: String,
    /// 0 to 100.
    pub percent: u8,
    /// What it used.
    pub usage: Usage,
    /// Decisions that wait for a person.
    pub decisions: u32,
    /// `pending`, `applied` or `discarded`.
    pub work: String,
    /// Some answer came from a script.
    pub scripted: bool,
    /// When it was submitted.
    pub created_at: At,
    /// When its newest event happened.
    pub updated_at: At,
}

/// A command that another process left for whoever drives the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posted {
    /// Its place in the run's inbox.
    pub number: u64,
    /// The command.
    pub command: crate::command::Command,
    /// What makes it happen once, however often it is left.
    pub once: Option<Once>,
}

/// What can go wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has written meanwhile.
    #[error("the run has moved on to event {found}; event {expected} was expected")]
    Conflict {
        /// What the writer knew.
        expected: Seq,
        /// What there is.
        found: Seq,
    },
    /// The database was written by a newer Maestria.
    #[error("{path} was written by a newer maestria (schema {found}, this one knows {known}); upgrade maestria")]
    Newer {
        /// The database.
        path: String,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The file is not Maestria's.
    #[error("{path} is a database of another program; name another file as `path` under `[store]`")]
    Foreign {
        /// The database.
        path: String,
    },
    /// The key of a request stands for an earlier one.
    #[error("a request under this key was stored before, of {}", .0.run)]
    Repeated(Sent),
    /// Another program holds the database.
    #[error("{path} is locked by another program; close it (a database browser, a backup) and try again")]
    Locked {
        /// The database.
        path: String,
    },
    /// No space, no right to write, or a disk that fails: nothing was acknowledged.
    #[error(
        "{path} cannot be written: {detail}; nothing acknowledged is lost: see to the disk, its space and the rights, then `maestria resume`"
    )]
    Unwritable {
        /// The database.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// What was read makes no sense.
    #[error(
        "{path} is damaged: {detail}; move it aside together with its `-wal` and `-shm` files, then restore a copy or begin anew; each run's session folder has its events.jsonl"
    )]
    Damaged {
        /// The database.
        path: String,
        /// What was found.
        detail: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Durable state: the log, what it owes, and the inbox.
pub trait Store: Send + Sync {
    /// Stores a batch durably. When it returns, a power cut loses nothing of it. Of batches with one key the first is stored,
    /// and the others are refused as [`StoreError::Repeated`] until the key ends.
    fn commit(&self, run: RunId, batch: Batch) -> Boxed<'_, Result<(), StoreError>>;

    /// Events of a run after `after`, at most `limit`, in order.
    fn events(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Stored>, StoreError>>;

    /// The same with their numbers.
    fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>>;

    /// Events of all runs whose number is greater than `after`, at most `limit`, by number.
    fn feed(&self, after: u64, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>>;

    /// Events of some kinds whose number is greater than `after` and at most `until`, by number.
    fn told(
        &self,
        kinds: &'static [&'static str],
        after: u64,
        until: u64,
    ) -> Boxed<'_, Result<Vec<Numbered>, StoreError>>;

    /// The number of the newest event of all; 0 when there is none.
    fn newest(&self) -> Boxed<'_, Result<u64, StoreError>>;

    /// Effects that a run owes, in order.
    fn owed(&self, run: RunId) -> Boxed<'_, Result<Vec<(EffectId, Effect)>, StoreError>>;

    /// How many effects all runs owe together.
    fn debts(&self) -> Boxed<'_, Result<u64, StoreError>>;

    /// All runs, newest first.
    fn runs(&self) -> Boxed<'_, Result<Vec<RunRow>, StoreError>>;

    /// The runs older than one that was submitted at a moment, or all, newest first; at most `limit`.
    fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Boxed<'_, Result<Vec<RunRow>, StoreError>>;

    /// The number of the newest event of all, and the rows of the runs that have events after `after`. A row may be newer
    /// than the number, never older.
    fn changed(&self, after: u64) -> Boxed<'_, Result<(u64, Vec<RunRow>), StoreError>>;

    /// What the key of a request stands for at a moment.
    fn sent(&self, key: String, now: At) -> Boxed<'_, Result<Option<Sent>, StoreError>>;

    /// The decisions of all runs that come after one, at most `limit`; of those that wait or those that do not, or of all.
    fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<Asked>, StoreError>>;

    /// Whose decision it is.
    fn asker(&self, decision: DecisionId) -> Boxed<'_, Result<Option<RunId>, StoreError>>;

    /// Leaves a command for whoever drives the run, with the key that its events are to be stored with; returns its number.
    fn post(
        &self,
        run: RunId,
        command: crate::command::Command,
        once: Option<Once>,
    ) -> Boxed<'_, Result<u64, StoreError>>;

    /// Commands left and not yet answered, in order.
    fn inbox(&self, run: RunId) -> Boxed<'_, Result<Vec<Posted>, StoreError>>;

    /// Answers a command from the inbox: `None` when it was taken, or why it was refused.
    fn answer(&self, run: RunId, number: u64, refused: Option<String>) -> Boxed<'_, Result<(), StoreError>>;

    /// The answer to a posted command: `None` while it waits.
    fn answered(&self, run: RunId, number: u64) -> Boxed<'_, Result<Option<Result<(), String>>, StoreError>>;
}

// ---- planning -------------------------------------------------------------------------------------------------

/// What a planner is given.
#[derive(Debug, Clone)]
pub struct PlanJob {
    /// The run.
    pub run: RunId,
    /// What was asked for.
    pub request: Arc<Request>,
    /// Where the work starts.
    pub ground: Arc<Ground>,
    /// Who is there.
    pub agents: Vec<Agent>,
}

/// Makes plans.
pub trait Planner: Send + Sync {
    /// Makes a plan from one model call, or by rules when no model can be reached.
    fn plan<'a>(&'a self, job: PlanJob, observer: &'a dyn Observer) -> Boxed<'a, Result<Plan, String>>;
}

// ---- agents ---------------------------------------------------------------------------------------------------

/// A task that a worker is to execute.
#[derive(Debug, Clone)]
pub struct TaskJob {
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: Arc<PlannedTask>,
    /// Which attempt.
    pub attempt: u16,
    /// Who.
    pub agent: AgentName,
    /// The session to go on with.
    pub session: Option<SessionId>,
    /// The attempt was under way when Maestria died; its worktree holds what it had done.
    pub recovering: bool,
    /// What was asked for.
    pub request: Arc<Request>,
    /// The worktree, prepared and on the task's branch.
    pub worktree: PathBuf,
    /// The commit the worktree started from.
    pub base: CommitId,
    /// What the tasks it needs have reported: key, title, report.
    pub evidence: Vec<(String, String, String)>,
    /// What to heed besides the instructions.
    pub guidance: Vec<String>,
    /// The most that the run may cost in all, as it stands now.
    pub budget: Option<Cost>,
}

/// A change that an agent is to judge.
#[derive(Debug, Clone)]
pub struct ReviewJob {
    /// The run.
    pub run: RunId,
    /// The review.
    pub review: ReviewId,
    /// The task it belongs to, for freezing and stopping; `None` for the whole run.
    pub task: Option<TaskId>,
    /// Who judges.
    pub reviewer: AgentName,
    /// What was asked for, in the person's words, and the task's own title and instructions.
    pub purpose: String,
    /// The author's report.
    pub report: String,
    /// A folder with the change checked out; must not be changed.
    pub checkout: PathBuf,
    /// The change, as a unified diff (bounded).
    pub diff: String,
    /// Where artefacts of the review are kept.
    pub artefacts: PathBuf,
    /// The project it counts for ([`Request::project`]).
    pub project: Option<String>,
    /// The most that the run may cost in all, as it stands now.
    pub budget: Option<Cost>,
}

/// What to do with a worker that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Freeze it where it stands.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Interrupt it, then terminate it, then kill all it has left behind.
    Stop,
}

/// Agents behind one port, whatever their transport.
pub trait Agents: Send + Sync {
    /// Who is there: each configured agent probed (version, flags, login), in order of preference.
    fn probe<'a>(&'a self, only: &'a [AgentName]) -> Boxed<'a, Vec<Agent>>;

    /// Executes a task to its end, repairs known problems on the way, and judges how it ended.
    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome>;

    /// Has a change judged.
    fn review<'a>(&'a self, job: ReviewJob, observer: &'a dyn Observer) -> Boxed<'a, Opinion>;

    /// Freezes, thaws or stops the workers of a task. Does nothing when none runs.
    fn control(&self, task: TaskId, control: Control) -> Boxed<'_, ()>;

    /// Adds a rule to the person's policy, for all questions from now on. A rule that is there is left as it is.
    fn keep<'a>(&'a self, rule: &'a Lasting) -> Boxed<'a, Result<(), String>>;
}

// ---- repository -----------------------------------------------------------------------------------------------

/// How a merge ended.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeResult {
    /// It is in.
    Merged {
        /// The merge commit; `None` when there was nothing to merge.
        commit: Option<CommitId>,
        /// The checks on the combined tree.
        checks: Validation,
    },
    /// It does not fit; the run's branch is as it was before.
    Bounced {
        /// Files in conflict; empty when the checks failed.
        conflicts: Vec<String>,
        /// The failed checks.
        checks: Validation,
    },
}

/// A failure of git or of the file system, with a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", if .hint.is_empty() { String::new() } else { format!("; {}", .hint) })]
pub struct RepositoryError {
    /// What failed, with which value.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// A run's place in the repository. All methods can be repeated: what is done already is found done.
pub trait Repository: Send + Sync {
    /// Checks the target, makes the session folders, the snapshot and the run's branch.
    fn prepare<'a>(&'a self, run: RunId, request: &'a Request) -> Boxed<'a, Result<Ground, RepositoryError>>;

    /// Opens the worktree of a task on a branch of its own, from the newest state of the run's branch if it is new.
    /// An existing one is kept as it is, after a snapshot commit of what lies in it. With `onto`, the run's branch is
    /// merged into it first, conflicts left as markers. Returns its folder and the commit it started from.
    fn open<'a>(
        &'a self,
        run: &'a crate::run::Run,
        task: TaskId,
        onto: bool,
    ) -> Boxed<'a, Result<(PathBuf, CommitId), RepositoryError>>;

    /// The change of a task (or of the whole run) checked out read-only, with its diff (bounded), for a reviewer.
    fn checkout<'a>(
        &'a self,
        run: &'a crate::run::Run,
        review: ReviewId,
        task: Option<TaskId>,
    ) -> Boxed<'a, Result<(PathBuf, String), RepositoryError>>;

    /// Removes what [`Repository::checkout`] made.
    fn release<'a>(&'a self, run: &'a crate::run::Run, review: ReviewId) -> Boxed<'a, ()>;

    /// Merges a task's change into the run's branch and checks the combined tree; undoes the merge if that fails.
    fn merge<'a>(
        &'a self,
        run: &'a crate::run::Run,
        task: TaskId,
        check: bool,
    ) -> Boxed<'a, Result<MergeResult, RepositoryError>>;

    /// Runs the project's checks on the run's branch.
    fn validate<'a>(&'a self, run: &'a crate::run::Run) -> Boxed<'a, Result<Validation, RepositoryError>>;

    /// Rebuilds the run's branch from the tasks that are done.
    fn rewind<'a>(&'a self, run: &'a crate::run::Run) -> Boxed<'a, Result<(), RepositoryError>>;

    /// Brings the work onto the person's branch. Returns the commit there and how, for people.
    fn apply<'a>(&'a self, run: &'a crate::run::Run) -> Boxed<'a, Result<(CommitId, String), RepositoryError>>;

    /// Removes the run's branches and worktrees.
    fn discard<'a>(&'a self, run: &'a crate::run::Run) -> Boxed<'a, Result<(), RepositoryError>>;

    /// The run's change as a unified diff: of one task, or of the run's branch against its base.
    fn diff<'a>(&'a self, run: &'a crate::run::Run, task: Option<TaskId>)
    -> Boxed<'a, Result<String, RepositoryError>>;
}

// ---- models ---------------------------------------------------------------------------------------------------

/// Turns texts into vectors: close ones mean nearly the same.
pub trait Embedder: Send + Sync {
    /// A vector for each text, in their order.
    fn embed(&self, texts: Vec<String>) -> Boxed<'_, Result<Vec<Vec<f32>>, ModelError>>;
}

/// Model calls.
pub trait Models: Send + Sync {
    /// Calls a model; `on_text` gets the answer's text as it streams in.
    fn call<'a>(
        &'a self,
        request: ModelRequest,
        on_text: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Boxed<'a, Result<ModelReply, ModelError>>;
}
