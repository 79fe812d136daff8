//! What a stream has shown: facts without a verdict.

use maestria_kernel::{id::SessionId, money::Usage, time::At};
use serde_json::Value;
use std::time::Duration;

/// How the agent itself says that its turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Success,
    /// With an error, which is in [`Seen::trouble`].
    Error,
    /// By an interrupt or a cancellation.
    Interrupted,
    /// By its own limit of turns, tokens or money.
    Limit,
}

/// Who stood in the way of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The agent's own permission rules, or a person at its side: what it was asked to do has not been done.
    Agent,
    /// Our policy or a person we asked: the agent was told, and may have found another way.
    Host,
    /// A wall it ran into while reading or in a command: it has seen the error, and may have found another way.
    Sandbox,
}

/// One thing that an agent was not allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What it wanted, in one line.
    pub what: String,
    /// The path it wanted, where it is known.
    pub path: Option<String>,
    /// The path lies outside the allowed directories.
    pub outside: bool,
    /// Who denied it.
    pub by: By,
    /// The known problem it shows, by its id in the recovery table.
    pub problem: Option<&'static str>,
}

/// An error that an agent reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The provider's HTTP status, where the agent names it.
    pub status: Option<u16>,
    /// The error in the agent's words (bounded).
    pub text: String,
}

/// When a provider will take calls again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// At this moment.
    At(At),
    /// So long after it was said.
    After(Duration),
}

/// Everything a stream has shown so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The agent's own id of the conversation.
    pub session: Option<SessionId>,
    /// The model it says it uses.
    pub model: Option<String>,
    /// The folder it says it works in.
    pub cwd: Option<String>,
    /// A turn was under way.
    pub begun: bool,
    /// How the last turn ended; `None` while the terminal event is missing.
    pub end: Option<End>,
    /// The last thing it said (bounded).
    pub report: String,
    /// The answer in the shape that was asked for.
    pub structured: Option<Value>,
    /// What it was not allowed to do.
    pub denials: Vec<Denial>,
    /// Files it says it changed.
    pub edits: Vec<String>,
    /// The last error that was not retried.
    pub trouble: Option<Trouble>,
    /// The last error that it tries to get over by itself.
    pub retrying: Option<Trouble>,
    /// How often it has tried again.
    pub retries: u32,
    /// When the provider takes calls again.
    pub reset: Option<Reset>,
    /// It says that it was interrupted.
    pub interrupted: bool,
    /// The last tool that ended was denied: some agents stop there without a word.
    pub ended_on_denial: bool,
    /// The stream stopped in the middle of a line.
    pub cut: bool,
    /// What its model calls used.
    pub usage: Usage,
}

impl Seen {
    /// Whether the agent's turn is over.
    pub const fn is_over(&self) -> bool {
        self.end.is_some()
    }
}
