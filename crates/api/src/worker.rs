//! Workers: who is at work now.

use maestria_kernel::{At, ReviewId, RunId, TaskId, TaskKey, Usage, agent::Vendor, id::AgentName, plan::Estimate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// Whose run.
    pub run: RunId,
    /// Its task; `None` for a review of the whole run.
    pub task: Option<TaskId>,
    /// The task's key.
    pub key: Option<TaskKey>,
    /// The task's title, or what is reviewed.
    pub title: String,
    /// Set when it reviews.
    pub review: Option<ReviewId>,
    /// Who.
    pub agent: AgentName,
    /// Whose product it is.
    pub vendor: Option<Vendor>,
    /// Its answers come from a script.
    pub scripted: bool,
    /// Which attempt.
    pub attempt: u16,
    /// What it does.
    pub state: WorkerState,
    /// Since when.
    pub since: Option<At>,
    /// What it did last.
    pub last_action: Option<String>,
    /// The model it called last.
    pub model: Option<String>,
    /// What its task has used.
    pub usage: Usage,
    /// What its task was expected to take.
    pub estimate: Option<Estimate>,
    /// Its process.
    pub pid: Option<u32>,
    /// How it is contained.
    pub contained: Option<String>,
    /// The limits in force, for people.
    pub limits: Vec<String>,
    /// Processor time so far.
    pub cpu_millis: Option<u64>,
    /// Memory now.
    pub memory_bytes: Option<u64>,
    /// Processes now.
    pub processes: Option<u32>,
    /// When that was measured.
    pub measured_at: Option<At>,
    /// The most memory it may have.
    pub memory_limit_bytes: Option<u64>,
    /// Its share of the machine, in percent.
    pub cpu_limit_percent: Option<u32>,
    /// The most processes.
    pub processes_limit: Option<u64>,
    /// Its folder.
    pub worktree: Option<String>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It works on its task.
    Running,
    /// It judges a change.
    Reviewing,
    /// It is held where it stands.
    Frozen,
}
