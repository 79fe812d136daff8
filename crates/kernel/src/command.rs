//! Commands: what a person wants of a run, and what the outside reports about the effects it performed.

use crate::{
    agent::Agent,
    decision::Choice,
    event::Event,
    finding::Validation,
    id::{CommitId, DecisionId, ReviewId, TaskId},
    message::Message,
    outcome::Outcome,
    permission::Question,
    plan::Plan,
    request::{Ground, Request},
    review::Opinion,
};
use serde::{Deserialize, Serialize};

/// Something that a run is asked to take account of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    // From people and API clients.
    /// Start the run.
    Submit {
        /// What is asked for.
        request: Box<Request>,
    },
    /// Hold everything; workers are frozen.
    Pause {
        /// Who.
        by: String,
    },
    /// Go on after a pause.
    Resume {
        /// Who.
        by: String,
    },
    /// End the run; workers are stopped.
    Abort {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Start what failed, was skipped or cancelled again.
    Retry {
        /// Who.
        by: String,
    },
    /// Do a task and all that needs it again.
    Rerun {
        /// The first task to do again.
        from: TaskId,
        /// What the agent of that task is told.
        #[serde(default)]
        message: Option<Box<Message>>,
        /// Who.
        by: String,
    },
    /// Tell the agent of a task something.
    Tell {
        /// The task.
        task: TaskId,
        /// What.
        message: Box<Message>,
    },
    /// Have the run's work so far reviewed.
    RequestReview {
        /// Who.
        by: String,
    },
    /// Answer a decision.
    Answer {
        /// Which.
        decision: DecisionId,
        /// What; `None` takes what `approve` (true) or `deny` (false) mean for it.
        choice: Option<Choice>,
        /// For a missing choice: approve or deny.
        approve: bool,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Bring the finished work onto the person's branch.
    Apply {
        /// Who.
        by: String,
    },
    /// Throw the finished work away.
    Discard {
        /// Who.
        by: String,
    },

    // Results of effects.
    /// The ground is prepared and the agents are probed.
    Prepared {
        /// Where the work starts.
        ground: Box<Ground>,
        /// Who is there.
        agents: Vec<Agent>,
    },
    /// The ground could not be prepared.
    Unprepared {
        /// Why, with a hint.
        reason: String,
    },
    /// A plan was made.
    Propose {
        /// The plan.
        plan: Box<Plan>,
    },
    /// No plan could be made.
    Unplanned {
        /// Why.
        reason: String,
    },
    /// Something was seen of a worker; only events for which [`Event::is_observation`] holds.
    Observe {
        /// What was seen.
        event: Box<Event>,
    },
    /// An attempt at a task has ended.
    Finish {
        /// The task.
        task: TaskId,
        /// The attempt, so that a late report of an older one is recognised.
        attempt: u16,
        /// How it ended.
        outcome: Box<Outcome>,
    },
    /// A reviewer has answered, or will not.
    Reviewed {
        /// Which review.
        review: ReviewId,
        /// What came back.
        opinion: Opinion,
    },
    /// A task's change is in the run's branch.
    Merged {
        /// The task.
        task: TaskId,
        /// The merge commit; `None` when there was nothing to merge.
        commit: Option<CommitId>,
        /// The checks on the combined tree.
        checks: Validation,
    },
    /// A task's change does not fit the run's branch.
    Bounced {
        /// The task.
        task: TaskId,
        /// Files in conflict; empty when the combined tree failed its checks.
        conflicts: Vec<String>,
        /// The failed checks.
        checks: Validation,
    },
    /// A merge could not even be tried: the repository or the disk does not let us.
    Unmerged {
        /// The task.
        task: TaskId,
        /// Why, with a hint.
        reason: String,
    },
    /// The checks on the final tree have ended.
    Validated {
        /// Their result.
        checks: Validation,
    },
    /// The run's branch has been rebuilt without the tasks that are done again.
    Rewound,
    /// The work is on the person's branch.
    Applied {
        /// The commit there.
        commit: CommitId,
        /// What was done with it, for people.
        how: String,
    },
    /// The work could not be applied; nothing was changed.
    Unapplied {
        /// Why, with a hint.
        reason: String,
    },
    /// Branch and worktrees are gone.
    Discarded,
    /// A worker needs leave that only a person can give.
    Ask {
        /// Its task.
        task: TaskId,
        /// What it wants.
        question: Box<Question>,
        /// The rule that asks, and why.
        because: String,
    },
    /// A worker is about to be given leave: it is recorded first, so that nobody gives it twice.
    Use {
        /// The decision that gave it.
        decision: DecisionId,
    },
    /// The rule that a person agreed to was written, or could not be.
    Kept {
        /// By which decision.
        decision: DecisionId,
        /// Why it could not be written.
        failed: Option<String>,
    },
    /// A moment that something waited for has come.
    Wake,
}
