//! Permission: what a worker wants to do, and the ruling of one deterministic policy, before the effect.
//!
//! The three protocols (Claude's `can_use_tool`, Codex's `requestApproval`, ACP's `request_permission`) and the native
//! agents' tools all become a [`Question`]; the rules that answer it live in `policies/` as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a worker wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Read files.
    Read {
        /// As the worker named them.
        paths: Vec<String>,
    },
    /// Create, change or delete files.
    Write {
        /// As the worker named them.
        paths: Vec<String>,
    },
    /// Run a command.
    Run {
        /// The command line as the worker gave it.
        command: String,
    },
    /// Reach the network.
    Fetch {
        /// The URL.
        url: String,
    },
    /// A tool that is none of these.
    Other {
        /// Its name. `tool` stands beside this on the wire.
        #[serde(rename = "name")]
        tool: String,
    },
}

/// A worker's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The tool's own name.
    pub tool: String,
    /// What it comes to.
    #[serde(flatten)]
    pub action: Action,
}

/// The policy's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ruling", rename_all = "snake_case")]
pub enum Ruling {
    /// Let it happen.
    Allow,
    /// Do not let it happen.
    Deny,
    /// Let it happen with other words.
    Rewrite {
        /// What it becomes: the same kind of action.
        action: Action,
    },
    /// A person decides.
    Ask,
}

/// A ruling with the rule behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    /// The answer.
    #[serde(flatten)]
    pub ruling: Ruling,
    /// The rule's id, such as `path.outside`.
    pub rule: String,
    /// Why, in one sentence.
    pub because: String,
}
