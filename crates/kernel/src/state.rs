//! The two state machines: of a run and of a task, as exhaustive tables.
//!
//! A test prints both tables into `docs/states.md`; no arm here is a wildcard, so a new state or step does not compile
//! until every place has thought about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where an unfinished run is in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The plan is being made.
    Planning,
    /// Tasks are being executed.
    Executing,
    /// The combined tree is being checked.
    Validating,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "phase")]
pub enum RunState {
    /// At work in a phase.
    Active(Phase),
    /// Waits for a person; goes on in the phase.
    Escalated(Phase),
    /// Held by a person; goes on in the phase.
    Paused(Phase),
    /// Being aborted: workers are ending.
    Aborting,
    /// Done; the work waits to be applied or has been.
    Completed,
    /// Ended without the work.
    Failed,
    /// Ended by a person.
    Aborted,
}

/// What can happen to a run's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunStep {
    /// The plan stands: execute it.
    Plan,
    /// All tasks are settled: check the combined tree.
    Gather,
    /// More work is needed after checking.
    Reopen,
    /// Everything is done.
    Complete,
    /// Only a person can go on.
    Escalate,
    /// A person has answered.
    Answer,
    /// A person holds the run.
    Pause,
    /// A person lets it go on.
    Resume,
    /// A person ends it.
    Abort,
    /// The last worker of an aborted run has ended.
    Ended,
    /// It cannot go on.
    Fail,
    /// A person starts what failed again.
    Retry,
}

/// A step that does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

impl RunState {
    /// All states, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Active(Phase::Planning),
        Self::Active(Phase::Executing),
        Self::Active(Phase::Validating),
        Self::Escalated(Phase::Planning),
        Self::Escalated(Phase::Executing),
        Self::Escalated(Phase::Validating),
        Self::Paused(Phase::Planning),
        Self::Paused(Phase::Executing),
        Self::Paused(Phase::Validating),
        Self::Aborting,
        Self::Completed,
        Self::Failed,
        Self::Aborted,
    ];

    /// The state after a step.
    ///
    /// # Errors
    /// [`Unfit`] when the step makes no sense in this state.
    pub const fn next(self, step: RunStep) -> Result<Self, Unfit> {
        use Phase::{Executing, Planning, Validating};
        use RunState::{Aborted, Aborting, Active, Completed, Escalated, Failed, Paused};
        use RunStep as S;
        match (self, step) {
            (Active(Planning), S::Plan) => Ok(Active(Executing)),
            (Active(Executing), S::Gather) => Ok(Active(Validating)),
            (Active(Validating), S::Reopen) => Ok(Active(Executing)),
            (Active(Planning | Executing | Validating), S::Complete) => Ok(Completed),
            (Active(phase), S::Escalate) => Ok(Escalated(phase)),
            (Active(phase) | Escalated(phase), S::Pause) => Ok(Paused(phase)),
            (Active(_) | Escalated(_) | Paused(_), S::Abort) => Ok(Aborting),
            (Active(_) | Escalated(_), S::Fail) => Ok(Failed),
            (Escalated(phase), S::Answer) | (Paused(phase), S::Resume) => Ok(Active(phase)),
            (Aborting, S::Ended) => Ok(Aborted),
            (Failed | Aborted, S::Retry) => Ok(Active(Executing)),
            (Completed, S::Retry) => Ok(Active(Executing)),
            (Active(Planning), S::Gather | S::Reopen | S::Answer | S::Resume | S::Ended | S::Retry)
            | (Active(Executing), S::Plan | S::Reopen | S::Answer | S::Resume | S::Ended | S::Retry)
            | (Active(Validating), S::Plan | S::Gather | S::Answer | S::Resume | S::Ended | S::Retry)
            | (
                Escalated(_),
                S::Plan | S::Gather | S::Reopen | S::Complete | S::Escalate | S::Resume | S::Ended | S::Retry,
            )
            | (
                Paused(_),
                S::Plan
                | S::Gather
                | S::Reopen
                | S::Complete
                | S::Escalate
                | S::Answer
                | S::Pause
                | S::Ended
                | S::Fail
                | S::Retry,
            )
            | (
                Aborting,
                S::Plan
                | S::Gather
                | S::Reopen
                | S::Complete
                | S::Escalate
                | S::Answer
                | S::Pause
                | S::Resume
                | S::Abort
                | S::Fail
                | S::Retry,
            )
            | (
                Completed | Failed | Aborted,
                S::Plan
                | S::Gather
                | S::Reopen
                | S::Complete
                | S::Escalate
                | S::Answer
                | S::Pause
                | S::Resume
                | S::Abort
                | S::Ended
                | S::Fail,
            ) => Err(Unfit),
        }
    }

    /// Whether nothing more will happen by itself, ever.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Aborted)
    }

    /// The word used on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active(Phase::Planning) => "planning",
            Self::Active(Phase::Executing) => "executing",
            Self::Active(Phase::Validating) => "validating",
            Self::Escalated(_) => "escalated",
            Self::Paused(_) => "paused",
            Self::Aborting => "aborting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl RunStep {
    /// All steps, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Plan,
        Self::Gather,
        Self::Reopen,
        Self::Complete,
        Self::Escalate,
        Self::Answer,
        Self::Pause,
        Self::Resume,
        Self::Abort,
        Self::Ended,
        Self::Fail,
        Self::Retry,
    ];
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Needs others to be done first.
    Waiting,
    /// Can be dispatched.
    Ready,
    /// Waits for a moment: a back-off or a rate limit.
    Parked,
    /// A worker is at it.
    Running,
    /// Another agent judges the change.
    Reviewing,
    /// In the merge queue.
    Approved,
    /// Being merged into the run's branch.
    Merging,
    /// Waits for a person.
    Held,
    /// Done.
    Done,
    /// Left out.
    Skipped,
    /// Ended with its run.
    Cancelled,
}

/// What can happen to a task's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStep {
    /// What it needs is done.
    Unblock,
    /// A worker takes it.
    Dispatch,
    /// It has to wait for a moment.
    Park,
    /// The moment has come, or it may be tried at once.
    Requeue,
    /// The work is there and goes to review.
    Submit,
    /// The work may be merged.
    Approve,
    /// Its merge begins.
    Merge,
    /// It is finished.
    Finish,
    /// Only a person can go on.
    Hold,
    /// It is left out.
    Skip,
    /// The run ends.
    Cancel,
    /// It is to be done again from the start.
    Reset,
}

impl TaskState {
    /// All states, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::Ready,
        Self::Parked,
        Self::Running,
        Self::Reviewing,
        Self::Approved,
        Self::Merging,
        Self::Held,
        Self::Done,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The state after a step.
    ///
    /// # Errors
    /// [`Unfit`] when the step makes no sense in this state.
    pub const fn next(self, step: TaskStep) -> Result<Self, Unfit> {
        use TaskState as T;
        use TaskStep as S;
        match (self, step) {
            (T::Waiting, S::Unblock) => Ok(T::Ready),
            (T::Ready, S::Dispatch) => Ok(T::Running),
            (T::Running | T::Ready, S::Park) => Ok(T::Parked),
            (T::Running | T::Reviewing | T::Approved | T::Merging | T::Parked | T::Held, S::Requeue) => Ok(T::Ready),
            (T::Running | T::Held, S::Submit) => Ok(T::Reviewing),
            (T::Running | T::Reviewing | T::Held, S::Approve) => Ok(T::Approved),
            (T::Approved, S::Merge) => Ok(T::Merging),
            (T::Running | T::Merging, S::Finish) => Ok(T::Done),
            (T::Running | T::Reviewing | T::Merging | T::Ready, S::Hold) => Ok(T::Held),
            (T::Waiting | T::Held, S::Skip) => Ok(T::Skipped),
            (
                T::Waiting | T::Ready | T::Parked | T::Running | T::Reviewing | T::Approved | T::Merging | T::Held,
                S::Cancel,
            ) => Ok(T::Cancelled),
            (T::Done | T::Skipped | T::Cancelled | T::Held, S::Reset) => Ok(T::Waiting),
            (
                T::Waiting,
                S::Dispatch | S::Park | S::Requeue | S::Submit | S::Approve | S::Merge | S::Finish | S::Hold | S::Reset,
            )
            | (
                T::Ready,
                S::Unblock | S::Requeue | S::Submit | S::Approve | S::Merge | S::Finish | S::Skip | S::Reset,
            )
            | (
                T::Parked,
                S::Unblock
                | S::Dispatch
                | S::Park
                | S::Submit
                | S::Approve
                | S::Merge
                | S::Finish
                | S::Hold
                | S::Skip
                | S::Reset,
            )
            | (T::Running, S::Unblock | S::Dispatch | S::Merge | S::Skip | S::Reset)
            | (
                T::Reviewing,
                S::Unblock | S::Dispatch | S::Park | S::Submit | S::Merge | S::Finish | S::Skip | S::Reset,
            )
            | (
                T::Approved,
                S::Unblock | S::Dispatch | S::Park | S::Submit | S::Approve | S::Finish | S::Hold | S::Skip | S::Reset,
            )
            | (
                T::Merging,
                S::Unblock | S::Dispatch | S::Park | S::Submit | S::Approve | S::Merge | S::Skip | S::Reset,
            )
            | (T::Held, S::Unblock | S::Dispatch | S::Park | S::Merge | S::Finish | S::Hold)
            | (
                T::Done | T::Skipped | T::Cancelled,
                S::Unblock
                | S::Dispatch
                | S::Park
                | S::Requeue
                | S::Submit
                | S::Approve
                | S::Merge
                | S::Finish
                | S::Hold
                | S::Skip
                | S::Cancel,
            ) => Err(Unfit),
        }
    }

    /// Whether something is under way for it that will end by itself.
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Ready | Self::Parked | Self::Running | Self::Reviewing | Self::Approved | Self::Merging
        )
    }

    /// Whether it will not change any more by itself.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped | Self::Cancelled)
    }

    /// The word used on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Parked => "parked",
            Self::Running => "running",
            Self::Reviewing => "reviewing",
            Self::Approved => "approved",
            Self::Merging => "merging",
            Self::Held => "held",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TaskStep {
    /// All steps, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Unblock,
        Self::Dispatch,
        Self::Park,
        Self::Requeue,
        Self::Submit,
        Self::Approve,
        Self::Merge,
        Self::Finish,
        Self::Hold,
        Self::Skip,
        Self::Cancel,
        Self::Reset,
    ];
}
