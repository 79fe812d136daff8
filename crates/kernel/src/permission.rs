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
    /// What a person's leave for it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// The rule by which it would never be asked again, which a person may choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Lasting>,
}

impl Question {
    /// A question that is bound to nothing yet.
    pub const fn new(tool: String, action: Action) -> Self {
        Self {
            tool,
            action,
            bound: None,
            lasting: None,
        }
    }
}

/// A rule of the person's own policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lasting {
    /// The person's policy file, to which it is added.
    pub file: String,
    /// Its id.
    pub id: String,
    /// Its text.
    pub rule: String,
}

/// What leave is bound to: the very action, in a folder, with an environment. Anything else is another question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// The folder that it starts in.
    pub cwd: String,
    /// Fingerprint (SHA-256) of action, folder and environment.
    pub sha256: String,
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
