//! Decisions.

use maestria_kernel::{
    At, RunId, TaskKey,
    decision::{Choice, Decision},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A decision with its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionLine {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// Its run.
    pub run: RunId,
    /// What the run was asked for (bounded).
    pub run_text: String,
    /// The run's state.
    pub run_state: String,
    /// The key of the task it is about.
    pub key: Option<TaskKey>,
    /// When it was asked.
    pub asked_at: Option<At>,
    /// Somebody is at work on the run.
    pub driven: bool,
}

/// An answer: exactly one of `choice` and `approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// One of the options.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// The first option, or the last.
    #[serde(default)]
    pub approve: Option<bool>,
    /// Why.
    #[serde(default)]
    pub because: String,
}
