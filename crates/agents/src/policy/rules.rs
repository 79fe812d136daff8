//! The shape of a policy file.

use maestria_kernel::permission::Ruling;
use serde::Deserialize;

/// A policy that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the policy cannot be read: {0}")]
pub struct BadPolicy(#[from] toml::de::Error);

/// How much is left to a worker, least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Go on.
    Allow,
    /// Go on, and it is noted.
    Monitor,
    /// A person decides.
    Ask,
    /// No.
    Deny,
}

impl Level {
    /// The kernel's word for it.
    pub const fn ruling(self) -> Ruling {
        match self {
            Self::Allow | Self::Monitor => Ruling::Allow,
            Self::Ask => Ruling::Ask,
            Self::Deny => Ruling::Deny,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) path: PathRules,
    pub(super) tool: ToolRules,
    #[serde(default)]
    pub(super) command: Vec<CommandRule>,
    #[serde(default)]
    pub(super) wrapper: Vec<Wrapper>,
    pub(super) read_only: ReadOnly,
}

impl Rules {
    pub(super) fn parse(text: &str) -> Result<Self, BadPolicy> {
        Ok(toml::from_str(text)?)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathRules {
    pub(super) secret: Vec<String>,
    pub(super) readable: Vec<String>,
    pub(super) read_outside: Level,
    pub(super) write_outside: Level,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolRules {
    pub(super) harmless: Vec<String>,
    pub(super) useless: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadOnly {
    pub(super) programs: Vec<String>,
    pub(super) git: Vec<String>,
}

/// A rule about a program; the policy file explains the fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandRule {
    pub(super) id: String,
    pub(super) programs: Vec<String>,
    #[serde(default)]
    pub(super) words: Vec<String>,
    #[serde(default)]
    pub(super) loose: bool,
    #[serde(default)]
    pub(super) unless: Vec<String>,
    #[serde(default)]
    pub(super) flags: Vec<String>,
    #[serde(default)]
    pub(super) values: Vec<String>,
    pub(super) ruling: Level,
    pub(super) because: String,
}

/// A program that runs another one; the policy file explains the fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapper {
    pub(super) programs: Vec<String>,
    #[serde(default)]
    pub(super) values: Vec<String>,
    /// Options whose value is a script.
    #[serde(default)]
    pub(super) script: Vec<String>,
    /// Words of its own before the program.
    #[serde(default)]
    pub(super) skip: usize,
    /// `NAME=value` words may come before the program.
    #[serde(default)]
    pub(super) assignments: bool,
    /// The words are joined and read by a shell.
    #[serde(default)]
    pub(super) joined: bool,
    /// Adds words of its own at the end, from its stdin.
    #[serde(default)]
    pub(super) appends: bool,
    /// The words after its options are no program.
    #[serde(default)]
    pub(super) opaque: bool,
    /// Its options are too many to know: every word may be the program.
    #[serde(default)]
    pub(super) loose: bool,
}

/// Whether a program is one of `names`, which may end in `*`.
pub(super) fn named(names: &[String], program: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(prefix) => program.starts_with(prefix),
        None => program == name,
    })
}
