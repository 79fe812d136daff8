//! The host's side of each two-way protocol, as pure state machines: what was read goes in, lines to send come out.

mod acp;
mod app_server;
mod claude;
mod one_shot;
#[cfg(test)]
mod tests;

use crate::cli::{
    asked::Asked,
    config::{Kind, Transport},
    notes::Step,
};
use maestria_kernel::{
    id::SessionId,
    permission::{Permission, Ruling},
};
use serde_json::Value;
use std::path::PathBuf;

/// What an agent is to do in one go.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// What it is told in a new session.
    pub prompt: String,
    /// What it is told in the session it goes on with.
    pub follow_up: String,
    /// The session to go on with.
    pub session: Option<SessionId>,
    /// Where it works.
    pub cwd: PathBuf,
    /// The model to ask for.
    pub model: Option<String>,
    /// It must change nothing.
    pub read_only: bool,
    /// It stands within our walls, where a sandbox of its own could not be built and is not needed.
    pub walled: bool,
    /// The shape its answer must have.
    pub schema: Option<Value>,
}

/// What a protocol wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Out {
    /// Send this line.
    Send(Value),
    /// History is being played back from here on, or no more.
    Mute(bool),
    /// The session goes by this id, which the protocol does not repeat.
    Session(String),
    /// The turn is over: close stdin.
    Over,
    /// A request of ours was refused: there will be no turn.
    Failed(String),
}

/// The answer to a question of an agent's.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// It may go on.
    pub allowed: bool,
    /// The ruling behind it.
    pub permission: &'a Permission,
}

impl Answer<'_> {
    /// What the agent is told when it may not go on as it wanted.
    pub fn words(&self) -> String {
        let hint = match &self.permission.ruling {
            Ruling::Rewrite { action } => format!(" Use {} instead.", crate::cli::asked::of_action(action)),
            Ruling::Allow | Ruling::Deny | Ruling::Ask => String::new(),
        };
        format!(
            "Not permitted ({}): {}.{hint}",
            self.permission.rule, self.permission.because
        )
    }
}

/// A protocol's state machine.
pub trait Talk: Send {
    /// What to send first.
    fn open(&mut self) -> Vec<Out>;

    /// Reacts on what was read.
    fn on(&mut self, step: &Step) -> Vec<Out>;

    /// Answers a question.
    fn answer(&mut self, asked: &Asked, answer: Answer<'_>) -> Vec<Out>;

    /// Answers a request that is not known, so that nobody waits for ever.
    fn refuse(&mut self, id: &Value, method: &str) -> Vec<Out>;

    /// Asks the agent to end its turn.
    fn interrupt(&mut self) -> Vec<Out>;

    /// Whether it needs the agent's stdin.
    fn speaks(&self) -> bool {
        true
    }

    /// Whether an answer can change what the agent wanted.
    fn rewrites(&self) -> bool {
        false
    }
}

/// The state machine that speaks with an agent.
pub fn with(kind: Kind, transport: Transport, turn: Turn) -> Box<dyn Talk> {
    match (transport, kind) {
        (Transport::OneShot, _) => Box::new(one_shot::OneShot),
        (Transport::TwoWay, Kind::Claude) => Box::new(claude::Claude::new(turn)),
        (Transport::TwoWay, Kind::Codex) => Box::new(app_server::AppServer::new(turn)),
        (Transport::TwoWay, Kind::Gemini | Kind::Opencode | Kind::Qwen | Kind::Acp) => Box::new(acp::Acp::new(turn)),
    }
}

/// Only the greeting of ACP: tells whether a program speaks it, and its version.
pub fn greeting() -> Box<dyn Talk> {
    Box::new(acp::Acp::greeting())
}

/// The error of a request in words.
fn words_of(error: &Value) -> String {
    let message = error["message"]
        .as_str()
        .or_else(|| error.as_str())
        .unwrap_or("it gave no reason");
    let detail = error["data"]["details"]
        .as_str()
        .or_else(|| error["data"].as_str())
        .unwrap_or_default();
    format!("{message} {detail}").trim().to_owned()
}
