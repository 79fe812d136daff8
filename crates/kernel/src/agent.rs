//! Agents and roles: who can execute a task, and which fallback tier a run has.

use crate::id::AgentName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a task needs from whoever executes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Breaks a request into tasks.
    Planner,
    /// Architecture and risk: reads, explains, designs; changes nothing.
    Analyst,
    /// Changes files.
    Editor,
    /// Judges a change it did not make.
    Reviewer,
    /// Runs tests and checks.
    Validator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Planner => "planner",
            Self::Analyst => "analyst",
            Self::Editor => "editor",
            Self::Reviewer => "reviewer",
            Self::Validator => "validator",
        })
    }
}

/// Who made the agent; a review counts as independent when author and reviewer differ in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Any other agent over ACP or one-shot JSONL, by its configured name.
    Other(String),
    /// Maestria's own agent on a model provider, by that provider's name.
    Native(String),
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claude => f.pad("claude"),
            Self::Codex => f.pad("codex"),
            Self::Gemini => f.pad("gemini"),
            Self::Other(name) => f.pad(name),
            Self::Native(provider) => write!(f, "native on {provider}"),
        }
    }
}

impl Vendor {
    /// Whether this is a coding CLI, as against an agent of our own on a model.
    pub const fn is_cli(&self) -> bool {
        !matches!(self, Self::Native(_))
    }
}

/// One agent as a run sees it: what it is, and whether it can be used now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The configured name.
    pub name: AgentName,
    /// Who made it.
    pub vendor: Vendor,
    /// The roles it can take.
    pub roles: Vec<Role>,
    /// How Maestria speaks with it, for people: `stream-json control`, `app-server`, `ACP`, `model openai`.
    pub transport: String,
    /// The version it reported.
    #[serde(default)]
    pub version: Option<String>,
    /// Why it cannot be used, if it cannot.
    #[serde(default)]
    pub unusable: Option<String>,
    /// Answers come from a script, not from a model; every face labels it.
    #[serde(default)]
    pub scripted: bool,
}

impl Agent {
    /// Whether it can take `role` now.
    pub fn can(&self, role: Role) -> bool {
        self.unusable.is_none() && self.roles.contains(&role)
    }
}

/// How much of the preferred team is there (capability A5), best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Gemini, Claude and Codex.
    All,
    /// Gemini and Claude.
    GeminiClaude,
    /// Gemini and Codex.
    GeminiCodex,
    /// Claude and Codex.
    ClaudeCodex,
    /// A single coding CLI (or several, none of them from the big three's pairs).
    OneCli,
    /// No coding CLI: the native agent alone.
    NativeAlone,
    /// Nobody can work.
    Nobody,
}

impl Tier {
    /// The tier that a roster of agents amounts to.
    pub fn of(agents: &[Agent]) -> Self {
        let has = |vendor: &Vendor| agents.iter().any(|a| a.unusable.is_none() && &a.vendor == vendor);
        let cli = agents.iter().any(|a| a.unusable.is_none() && a.vendor.is_cli());
        let native = agents.iter().any(|a| a.unusable.is_none() && !a.vendor.is_cli());
        match (has(&Vendor::Gemini), has(&Vendor::Claude), has(&Vendor::Codex)) {
            (true, true, true) => Self::All,
            (true, true, false) => Self::GeminiClaude,
            (true, false, true) => Self::GeminiCodex,
            (false, true, true) => Self::ClaudeCodex,
            (true, false, false) | (false, true, false) | (false, false, true) => Self::OneCli,
            (false, false, false) if cli => Self::OneCli,
            (false, false, false) if native => Self::NativeAlone,
            (false, false, false) => Self::Nobody,
        }
    }

    /// Why a roster amounts to its tier, in one sentence: who is there and why the others are not.
    pub fn because(agents: &[Agent]) -> String {
        let usable: Vec<_> = agents
            .iter()
            .filter(|a| a.unusable.is_none())
            .map(|a| a.name.as_str())
            .collect();
        let missing: Vec<_> = agents
            .iter()
            .filter_map(|a| a.unusable.as_ref().map(|why| format!("{} ({why})", a.name)))
            .collect();
        match (usable.is_empty(), missing.is_empty()) {
            (false, true) => format!("usable: {}", usable.join(", ")),
            (false, false) => format!("usable: {}; not: {}", usable.join(", "), missing.join(", ")),
            (true, false) => format!("none usable: {}", missing.join(", ")),
            (true, true) => "no agent is configured".to_owned(),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::All => "gemini + claude + codex",
            Self::GeminiClaude => "gemini + claude",
            Self::GeminiCodex => "gemini + codex",
            Self::ClaudeCodex => "claude + codex",
            Self::OneCli => "one CLI",
            Self::NativeAlone => "native agent alone",
            Self::Nobody => "nobody",
        })
    }
}
