//! Effects: what must be done next because of an event. Stored with the event, performed after it, settled with the
//! command they lead to.

use crate::{
    event::Event,
    id::{DecisionId, ReviewId, TaskId},
    run::Run,
    state::{Phase, RunState, TaskState},
    time::At,
    workflow::Stage,
};
use serde::{Deserialize, Serialize};

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Make the session folders, the run's branch, and probe the agents.
    Prepare,
    /// Make a plan.
    Plan,
    /// Have a worker execute a task.
    Dispatch {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
    },
    /// Have an agent judge a change.
    Review {
        /// Which review.
        review: ReviewId,
    },
    /// Merge a task's change into the run's branch and check the combined tree.
    Merge {
        /// The task.
        task: TaskId,
    },
    /// Run the checks on the final tree.
    Validate,
    /// Rebuild the run's branch from the tasks that are done.
    Rewind,
    /// Freeze a worker where it stands.
    Freeze {
        /// Its task.
        task: TaskId,
    },
    /// Let a frozen worker go on.
    Thaw {
        /// Its task.
        task: TaskId,
    },
    /// Stop a worker: interrupt, terminate, kill.
    Stop {
        /// Its task.
        task: TaskId,
    },
    /// Tell a waiting worker what a person has decided.
    Tell {
        /// Which decision.
        decision: DecisionId,
    },
    /// Write the rule that a person has agreed to into their policy.
    Keep {
        /// By which decision.
        decision: DecisionId,
    },
    /// Come back at a moment.
    Wake {
        /// When.
        at: At,
    },
    /// Bring the work onto the person's branch.
    Apply,
    /// Remove branch and worktrees.
    Discard,
    /// Write the summary into the session folder.
    Summarise,
}

/// The effects that an event owes. `run` is the run after the event was applied.
pub fn effects(run: &Run, event: &Event) -> Vec<Effect> {
    match event {
        Event::RunSubmitted { .. } => vec![Effect::Prepare],
        Event::RunPrepared { .. } => vec![Effect::Plan],
        Event::PlanRequested { .. } => vec![Effect::Plan],
        Event::TaskDispatched { task, attempt, .. } => {
            let mut owed = vec![Effect::Dispatch {
                task: *task,
                attempt: *attempt,
            }];
            if run.workflow().has(Stage::Review) && run.is_edit(*task) {
                owed.push(Effect::Wake {
                    at: run.review_due(*task),
                });
            }
            owed
        }
        Event::TaskParked { until, .. } => vec![Effect::Wake { at: *until }],
        Event::ReviewRequested { review } => vec![Effect::Review { review: review.id }],
        Event::TaskStopped { task, .. } => vec![Effect::Stop { task: *task }],
        Event::TaskMergeStarted { task } => vec![Effect::Merge { task: *task }],
        Event::RunRewound { .. } => vec![Effect::Rewind],
        Event::DecisionRequested { decision } => vec![Effect::Wake {
            at: decision.expires_at,
        }],
        Event::DecisionMade { decision, answer } => {
            let tell = Effect::Tell { decision: *decision };
            let keep = Effect::Keep { decision: *decision };
            let always = answer.choice == crate::decision::Choice::Always;
            std::iter::once(tell).chain(always.then_some(keep)).collect()
        }
        Event::RunTransitioned { from, to, .. } => on_transition(run, *from, *to),
        Event::RunApplyRequested { .. } => vec![Effect::Apply],
        Event::RunDiscardRequested { .. } => vec![Effect::Discard],
        Event::PlanProposed { .. }
        | Event::TierChosen { .. }
        | Event::AgentBenched { .. }
        | Event::TaskAdded { .. }
        | Event::TaskUnblocked { .. }
        | Event::TaskFinished { .. }
        | Event::TaskRequeued { .. }
        | Event::TaskApproved { .. }
        | Event::TaskHeld { .. }
        | Event::TaskTold { .. }
        | Event::TaskMerged { .. }
        | Event::TaskBounced { .. }
        | Event::TaskSkipped { .. }
        | Event::TaskCancelled { .. }
        | Event::TaskReset { .. }
        | Event::ReviewReceived { .. }
        | Event::ReviewRuled { .. }
        | Event::ValidationFinished { .. }
        | Event::ConfidenceScored { .. }
        | Event::DecisionWithdrawn { .. }
        | Event::ApprovalUsed { .. }
        | Event::RuleKept { .. }
        | Event::RuleNotKept { .. }
        | Event::BudgetRaised { .. }
        | Event::RunReady
        | Event::RunApplied { .. }
        | Event::RunNotApplied { .. }
        | Event::RunDiscarded
        | Event::TaskStarted { .. }
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
        | Event::ViolationRecorded { .. } => Vec::new(),
    }
}

fn on_transition(run: &Run, from: RunState, to: RunState) -> Vec<Effect> {
    let working = || {
        run.tasks
            .values()
            .filter(|t| matches!(t.state, TaskState::Running | TaskState::Reviewing))
    };
    match (from, to) {
        (_, RunState::Paused(_) | RunState::Escalated(_)) => {
            working().map(|t| Effect::Freeze { task: t.plan.id }).collect()
        }
        (RunState::Paused(_) | RunState::Escalated(_), RunState::Active(_)) => {
            working().map(|t| Effect::Thaw { task: t.plan.id }).collect()
        }
        (_, RunState::Active(Phase::Validating)) if run.needs_checks() => vec![Effect::Validate],
        (_, RunState::Aborting) => working().map(|t| Effect::Stop { task: t.plan.id }).collect(),
        (_, RunState::Completed | RunState::Failed | RunState::Aborted) => vec![Effect::Summarise],
        (_, RunState::Active(Phase::Planning | Phase::Executing | Phase::Validating)) => Vec::new(),
    }
}
