//! How a coding CLI is configured: the table `[agents.NAME]` of the configuration file.

use maestria_kernel::agent::Vendor;
use maestria_sandbox::{Demand, Limits};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Which agent a command is: what it writes, which flags it takes, which problems it is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
    /// Qwen Code.
    Qwen,
    /// Any other program that speaks the Agent Client Protocol on its stdin and stdout.
    Acp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Claude,
        Self::Codex,
        Self::Gemini,
        Self::Opencode,
        Self::Qwen,
        Self::Acp,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Qwen => "qwen",
            Self::Acp => "acp",
        }
    }

    /// The kind that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The vendor of an agent of this kind that is configured as `name`.
    pub fn vendor(self, name: &str) -> Vendor {
        match self {
            Self::Claude => Vendor::Claude,
            Self::Codex => Vendor::Codex,
            Self::Gemini => Vendor::Gemini,
            Self::Opencode | Self::Qwen | Self::Acp => Vendor::Other(name.to_owned()),
        }
    }
}

/// How Maestria speaks with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The agent's two-way protocol: permissions are asked before the effect, turns can be interrupted.
    TwoWay,
    /// One prompt on the command line and a stream of events back: the fallback.
    OneShot,
}

/// How an agent comes by its models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Way {
    /// By what it was configured with: a login or a key of its own.
    #[default]
    Own,
    /// As [`Way::Own`], although there is a gateway; told on every face, with the reason.
    OwnBecause(String),
    /// Through the gateway, with a key of its own for each task.
    Gateway {
        /// The model that answers where it asks for one that nobody serves.
        stand_in: Option<String>,
    },
}

impl Way {
    /// Whether its calls go through the gateway.
    pub const fn is_gateway(&self) -> bool {
        matches!(self, Self::Gateway { .. })
    }
}

/// One configured agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// What it is; by default the kind that the table or the command is named after, else `acp`.
    pub kind: Option<Kind>,
    /// The program: a path, or a name to look up in `PATH`. By default the table's name.
    pub command: Option<String>,
    /// Arguments before the protocol's own.
    pub args: Vec<String>,
    /// Environment of the agent, over the few variables it gets anyway. Keys belong here.
    pub env: BTreeMap<String, String>,
    /// Variables of the caller's environment to hand on by name; nothing of it is handed on otherwise.
    pub pass_env: Vec<String>,
    /// How it comes by its models.
    #[serde(skip)]
    pub way: Way,
    /// The model to ask for; by default the agent's own choice.
    pub model: Option<String>,
    /// Directories outside the worktree that the agent may be allowed, one at a time and only when it asks.
    pub allow_dirs: Vec<PathBuf>,
    /// How to speak with it; by default two-way where the program can.
    pub transport: Option<Transport>,
    /// Keeps the person's own login out of the agent's private HOME.
    pub isolate_login: bool,
    /// The home directory whose login is used; by default the caller's.
    pub login_from: Option<PathBuf>,
    /// What each of its processes may use.
    pub limits: Limits,
    /// Whether its processes are walled in.
    pub sandbox: Demand,
    /// Hosts that it may reach besides its models: `host`, `host:port` or `*.domain`.
    pub network: Vec<String>,
    /// Seconds of silence after which an attempt is given up; 0: never.
    pub idle_seconds: u64,
    /// Seconds after which an attempt is given up however busy it is; 0: never.
    pub most_seconds: u64,
    /// Bytes that an attempt may add to its worktree and its home; 0: no limit.
    pub disk_bytes: u64,
    /// Seconds a process may live on after its final event.
    pub linger_seconds: u64,
    /// Seconds each polite step of stopping may take: interrupt, then TERM, then kill.
    pub grace_seconds: u64,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            kind: None,
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            way: Way::Own,
            model: None,
            allow_dirs: Vec::new(),
            transport: None,
            isolate_login: false,
            login_from: None,
            limits: Limits::default(),
            sandbox: Demand::default(),
            network: Vec::new(),
            idle_seconds: 600,
            most_seconds: 3600,
            disk_bytes: 10 << 30,
            linger_seconds: 30,
            grace_seconds: 5,
        }
    }
}

impl AgentConfig {
    /// The kind of an agent configured as `name`.
    pub fn kind(&self, name: &str) -> Kind {
        let program = self.program(name);
        let stem = PathBuf::from(&program);
        let stem = stem
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        self.kind
            .or_else(|| Kind::named(name))
            .or_else(|| Kind::named(&stem))
            .unwrap_or(Kind::Acp)
    }

    /// The program of an agent configured as `name`.
    pub fn program(&self, name: &str) -> String {
        self.command.clone().unwrap_or_else(|| name.to_owned())
    }
}
