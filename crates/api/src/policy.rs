//! The policy: its rules, and what they make of a command or a path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How much is left to a worker, least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PolicyLevel")]
pub enum Level {
    /// Go on.
    Allow,
    /// Go on, and it is recorded.
    Monitor,
    /// A person decides.
    Confirm,
    /// No.
    Block,
}

impl Level {
    /// The word on every face.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Monitor => "monitor",
            Self::Confirm => "confirm",
            Self::Block => "block",
        }
    }
}

/// A command to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedCommand {
    /// The command, as a shell gets it.
    pub command: String,
}

/// The policy's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyVerdict")]
pub struct Verdict {
    /// How strict.
    #[serde(rename = "verdict")]
    pub level: Level,
    /// The rule's id, such as `git.push`.
    pub rule: String,
    /// The part of the command that decided, as the program gets it, control characters escaped.
    pub part: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// A path to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedPath {
    /// What is to be done: `read`, `write`, `create`, `delete`, `list`, `exec`, `rename` or `link`.
    #[schemars(extend("enum" = ["read", "write", "create", "delete", "list", "exec", "rename", "link"]))]
    pub op: String,
    /// The path.
    pub path: PathBuf,
    /// Where relative paths begin; absolute.
    pub cwd: PathBuf,
    /// Folders that may be changed.
    #[serde(default)]
    pub rw: Vec<PathBuf>,
    /// Folders that may be read.
    #[serde(default)]
    pub ro: Vec<PathBuf>,
}

/// What the rules make of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathVerdict {
    /// `allow` or `block`.
    pub verdict: Level,
    /// The rule that decided.
    pub rule: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// A rule as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Described")]
pub struct RuleLine {
    /// Its id.
    pub id: String,
    /// How strict it is.
    pub verdict: Level,
    /// What it is about: programs, variables, or a check of the program's own.
    pub about: String,
    /// Why it is there.
    pub because: String,
    /// Commands that it fits.
    pub matches: Vec<String>,
    /// Commands that it does not fit.
    pub not_match: Vec<String>,
}
