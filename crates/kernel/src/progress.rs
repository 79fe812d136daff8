//! Progress as a number that is right: finished weight over planned weight (capability R14).
//!
//! A task's weight is its estimated tokens, at least 1. A task counts in full when it is done, with 70 % while it is in
//! the merge queue, with 50 % while it is reviewed; a task at work counts nothing, because nobody knows how far it is. One
//! that was left out is planned no more; one that was cancelled is, and is not done. Planning and the final checks have
//! 5 % each.

use crate::{
    run::Run,
    state::{Phase, RunState, TaskState},
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// 0 to 100; 100 only when the run has completed.
    pub percent: u8,
    /// The keys of the tasks at work.
    pub running: Vec<String>,
    /// Milliseconds since the run was submitted; stands still once it has finished.
    pub elapsed_millis: u64,
    /// What is left by the plan's estimates, in seconds; `None` without a plan.
    pub left_seconds: Option<u32>,
}

/// How far a run is at a moment.
pub fn progress(run: &Run, now: At) -> Progress {
    let until = if run.state.is_finished() { run.updated_at } else { now };
    Progress {
        percent: percent(run),
        running: run
            .ordered()
            .into_iter()
            .filter(|t| matches!(t.state, TaskState::Running | TaskState::Reviewing | TaskState::Merging))
            .map(|t| t.plan.key.to_string())
            .collect(),
        elapsed_millis: u64::try_from(until.since(run.created_at).as_millis()).unwrap_or(u64::MAX),
        left_seconds: run
            .plan
            .as_ref()
            .map(|_| left(run, now).as_secs().try_into().unwrap_or(u32::MAX)),
    }
}

fn percent(run: &Run) -> u8 {
    if run.state == RunState::Completed {
        return 100;
    }
    if run.plan.is_none() {
        return 0;
    }
    let mut done = 0u64;
    let mut all = 0u64;
    for task in run.tasks.values().filter(|t| t.state != TaskState::Skipped) {
        let weight = task.plan.estimate.tokens.0.max(1);
        all += weight * 100;
        done += weight
            * match task.state {
                TaskState::Done => 100,
                TaskState::Approved | TaskState::Merging => 70,
                TaskState::Reviewing => 50,
                TaskState::Waiting
                | TaskState::Ready
                | TaskState::Parked
                | TaskState::Running
                | TaskState::Held
                | TaskState::Skipped
                | TaskState::Cancelled => 0,
            };
    }
    let tasks = (done * 90).checked_div(all).unwrap_or(0);
    let checks = u64::from(run.checks.is_some() && !matches!(run.state, RunState::Active(Phase::Executing))) * 5;
    u8::try_from((5 + tasks + checks).min(99)).unwrap_or(99)
}

fn left(run: &Run, now: At) -> Duration {
    let of_task = |task: &crate::run::Task| {
        if task.state.is_settled() {
            return Duration::ZERO;
        }
        let spent = match (task.state, task.dispatched_at) {
            (TaskState::Running | TaskState::Reviewing, Some(since)) => now.since(since),
            _ => Duration::ZERO,
        };
        task.plan.estimate.duration().saturating_sub(spent)
    };
    let total: Duration = run.tasks.values().map(of_task).sum();
    total / u32::from(run.workflow().limits.parallel.max(1)).min(u32::try_from(run.tasks.len()).unwrap_or(1).max(1))
}
