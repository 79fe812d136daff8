//! Runs.

use maestria_kernel::{
    Cost, Run, TaskId,
    plan::Estimate,
    port::{Numbered, RunRow},
    progress::Progress,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunLine {
    /// The row.
    #[serde(flatten)]
    pub row: RunRow,
    /// Somebody is at work on it.
    pub driven: bool,
    /// What its state takes now.
    pub actions: Vec<Action>,
}

/// What a person can do with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunAction")]
pub enum Action {
    /// Hold it.
    Pause,
    /// Go on with it.
    Resume,
    /// End it.
    Abort,
    /// Start what failed again.
    Retry,
    /// Do a task and all that needs it again.
    Rerun,
    /// Tell the agent of a task something.
    Tell,
    /// Have it reviewed.
    Review,
    /// Bring its work onto the person's branch.
    Apply,
    /// Throw its work away.
    Discard,
}

/// Runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// What is on this page.
    pub items: Vec<RunLine>,
    /// The next page's cursor.
    pub next: Option<String>,
    /// How many there are by state, over all filters but `state`.
    pub counts: BTreeMap<String, u32>,
}

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The kernel's run.
    #[serde(flatten)]
    pub run: Run,
    /// The run as lists show it.
    pub line: RunLine,
    /// Every event up to this number is in here.
    pub number: u64,
    /// How far it is.
    pub progress: Progress,
    /// The plan, laid out.
    pub graph: Graph,
    /// Somebody is at work on it.
    pub driven: bool,
    /// What its state takes now.
    pub actions: Vec<Action>,
    /// What the whole plan is expected to take.
    pub estimate: Option<Estimate>,
}

/// A plan's tasks on a grid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Graph {
    /// Cells across.
    pub width: u32,
    /// Cells down.
    pub height: u32,
    /// Where each task lies.
    pub nodes: Vec<Node>,
    /// From what is needed to what needs it.
    pub edges: Vec<Edge>,
}

/// A task's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// The task.
    pub task: TaskId,
    /// Its layer.
    pub x: u32,
    /// Its place within the layer, in halves.
    pub y: f32,
}

/// A dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// What is needed.
    pub from: TaskId,
    /// What needs it.
    pub to: TaskId,
}

/// What is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The task, in the person's words.
    pub text: String,
    /// The folder to work on, absolute.
    pub target: String,
    /// Where the session goes.
    #[serde(default)]
    pub workspace: Option<String>,
    /// The workflow's name; `develop` if not given.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Only these agents.
    #[serde(default)]
    pub agents: Vec<String>,
    /// The most it may cost, micro-dollars.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub budget: Option<Cost>,
}

/// What a submission would become: a run up to its plan, which is stored nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The plan, laid out.
    pub graph: Graph,
    /// What the whole plan is expected to take.
    pub estimate: Option<Estimate>,
}

/// The body of `abort`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why.
    #[serde(default)]
    pub because: String,
}

/// The body of `rerun`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// The first task to do again: its id or key.
    pub from: String,
    /// What its agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The body of `messages`: something for whoever works on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewMessage")]
pub struct Tell {
    /// The task: its id or key.
    pub task: String,
    /// What is said.
    pub text: String,
    /// The file it is about, from the repository's top folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub line: Option<u32>,
}

/// The body of actions that take nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A page of a run's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// What is on it.
    pub items: Vec<Numbered>,
    /// The `seq` to give as `after`, or, backwards, as `before`; `None` on the last page.
    pub next: Option<String>,
}
