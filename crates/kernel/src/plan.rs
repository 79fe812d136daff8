//! Plans: the graph of tasks that a request becomes (ReWOO: one plan up front, evidence filled in on the way).
//!
//! A task refers to the result of an earlier one as `#E1`; such a reference is a dependency like any in `needs`.

pub mod graph;
pub mod shares;

use crate::{
    agent::Role,
    id::{AgentName, TaskId, TaskKey},
    money::{Cost, Tokens},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a task does to the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Reads and reports: architecture, risk, a design.
    Investigate,
    /// Changes files.
    Edit,
    /// Judges an existing change and reports a verdict.
    Review,
}

impl TaskKind {
    /// The role that executes it.
    pub const fn role(self) -> Role {
        match self {
            Self::Investigate => Role::Analyst,
            Self::Edit => Role::Editor,
            Self::Review => Role::Reviewer,
        }
    }

    /// Whether a change in the tree is expected of it.
    pub const fn edits(self) -> bool {
        matches!(self, Self::Edit)
    }
}

/// What a task is expected to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Tokens in and out together.
    pub tokens: Tokens,
    /// Money; zero for scripted and local models.
    pub cost: Cost,
    /// Seconds of wall time.
    pub seconds: u32,
}

impl Estimate {
    /// The expected wall time.
    pub const fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }
}

/// A task as it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTask {
    /// Its id for ever.
    pub id: TaskId,
    /// Its short name in the plan, `E1`.
    pub key: TaskKey,
    /// One line for people.
    pub title: String,
    /// What the agent is asked to do; may refer to `#E1`.
    pub instructions: String,
    /// What it does to the tree.
    pub kind: TaskKind,
    /// Tasks that must be done first.
    #[serde(default)]
    pub needs: Vec<TaskKey>,
    /// Files it is expected to touch, as a hint to agents and people.
    #[serde(default)]
    pub files: Vec<String>,
    /// Who is to execute it; filled in by [`shares::assign`].
    #[serde(default)]
    pub agent: Option<AgentName>,
    /// What it is expected to use.
    #[serde(default)]
    pub estimate: Estimate,
}

/// Where a plan came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum PlanSource {
    /// One call of a model.
    Model {
        /// `provider/model`.
        model: String,
        /// The answer came from a script.
        #[serde(default)]
        scripted: bool,
    },
    /// A coding CLI in read-only mode.
    Agent {
        /// Its name.
        agent: AgentName,
    },
    /// Rules over the task text and the repository.
    Rules {
        /// Why no model made the plan.
        because: String,
    },
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// What will be done, in a sentence or two.
    pub summary: String,
    /// Where it came from.
    #[serde(flatten)]
    pub source: PlanSource,
    /// The tasks.
    pub tasks: Vec<PlannedTask>,
}

impl Plan {
    /// What the whole plan is expected to use; seconds are those of the longest chain.
    pub fn estimate(&self) -> Estimate {
        let tokens = Tokens(self.tasks.iter().map(|t| t.estimate.tokens.0).sum());
        let cost = self.tasks.iter().map(|t| t.estimate.cost).sum();
        let groups = graph::check(&self.tasks).map(|g| g.groups).unwrap_or_default();
        let slowest = |group: &Vec<usize>| group.iter().map(|&i| self.tasks[i].estimate.seconds).max().unwrap_or(0);
        Estimate {
            tokens,
            cost,
            seconds: groups.iter().map(slowest).sum(),
        }
    }
}
