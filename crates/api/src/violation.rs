//! Violations.

use maestria_kernel::{AgentName, At, Event, Run, RunId, Seq, TaskId, TaskKey, port::Stored, violation::Violation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A violation with whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ViolationLine {
    /// The run.
    pub run: RunId,
    /// The number of its event in the run.
    pub seq: Seq,
    /// When it was recorded.
    pub at: At,
    /// The task.
    pub task: TaskId,
    /// The task's key.
    pub key: Option<TaskKey>,
    /// Who.
    pub agent: Option<AgentName>,
    /// In which attempt; 0 where a former version has not told.
    pub attempt: u16,
    /// The how manieth of the task; 0 where a former version has not counted.
    pub count: u16,
    /// What.
    #[serde(flatten)]
    pub violation: Violation,
}

impl ViolationLine {
    /// An event as a line; `None` for any other event.
    pub fn of(run: &Run, stored: &Stored) -> Option<Self> {
        let Event::ViolationRecorded {
            task,
            agent,
            attempt,
            count,
            violation,
        } = &stored.event
        else {
            return None;
        };
        Some(Self {
            run: run.id,
            seq: stored.seq,
            at: stored.at,
            task: *task,
            key: run.tasks.get(task).map(|task| task.plan.key.clone()),
            agent: agent.clone(),
            attempt: *attempt,
            count: *count,
            violation: (**violation).clone(),
        })
    }
}
