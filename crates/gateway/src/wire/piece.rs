//! An answer in no vendor's words: the pieces of a stream, and what they add up to.

use super::ask::{Part, Proof, arguments};
use maestria_kernel::{
    Cost, Tokens, Usage,
    model::{ModelReply, Part as Said, Stop as Stopped},
};
use serde_json::Value;

/// What a provider counted. `input` includes `cached` and `written`; `output` includes `reasoning`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens sent.
    pub input: u64,
    /// Of them, read from the prompt cache.
    pub cached: u64,
    /// Of them, written to the prompt cache.
    pub written: u64,
    /// Tokens received.
    pub output: u64,
    /// Of them, thought.
    pub reasoning: u64,
}

impl Counts {
    /// Streams count in instalments; the larger figure is the newer one.
    pub fn merge(&mut self, newer: Self) {
        self.input = self.input.max(newer.input);
        self.cached = self.cached.max(newer.cached);
        self.written = self.written.max(newer.written);
        self.output = self.output.max(newer.output);
        self.reasoning = self.reasoning.max(newer.reasoning);
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was done.
    End,
    /// It met one of the words that end it.
    Word,
    /// It wants tools called.
    Tools,
    /// It ran into its limit.
    Length,
    /// The provider refused to go on.
    Refused,
}

impl Stop {
    /// The word of the books.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End | Self::Word => "stop",
            Self::Tools => "tool_calls",
            Self::Length => "length",
            Self::Refused => "content_filter",
        }
    }
}

/// What kind of failure it is, for status and type in any dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense.
    Invalid,
    /// The key is missing or wrong.
    Unauthorised,
    /// The budget is spent.
    Unpaid,
    /// The key may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The request is too large.
    TooLarge,
    /// The request does not fit the model.
    TooLong,
    /// Too many requests.
    Limited,
    /// The provider failed.
    Upstream,
    /// The provider is overloaded or cannot be reached.
    Overloaded,
    /// The provider was silent for too long.
    TimedOut,
    /// The gateway failed.
    Internal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Invalid,
        Self::Unauthorised,
        Self::Unpaid,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::TooLong,
        Self::Limited,
        Self::Upstream,
        Self::Overloaded,
        Self::TimedOut,
        Self::Internal,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid | Self::TooLong => 400,
            Self::Unauthorised => 401,
            Self::Unpaid => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::Limited => 429,
            Self::Internal => 500,
            Self::Upstream => 502,
            Self::Overloaded => 503,
            Self::TimedOut => 504,
        }
    }

    /// The stable code that programs can rely on, the same in every dialect.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid_request",
            Self::TooLong => "context_too_long",
            Self::Unauthorised => "invalid_key",
            Self::Unpaid => "budget_exhausted",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "body_too_large",
            Self::Limited => "rate_limited",
            Self::Internal => "internal",
            Self::Upstream => "upstream_failed",
            Self::Overloaded => "upstream_unavailable",
            Self::TimedOut => "upstream_silent",
        }
    }
}

/// The HTTP status that a call of the books was answered with whose failure has this code.
pub fn status_of(code: &str) -> Option<u16> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    kind.map(Kind::status)
}

/// A failure on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind.
    pub kind: Kind,
    /// For people; holds no secret.
    pub message: String,
    /// Seconds to wait, if that helps.
    pub retry_after: Option<u64>,
}

impl Fault {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }
}

/// A piece of an answer. Arguments belong to the newest call.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The answer begins.
    Begin {
        /// The provider's id of it.
        id: String,
        /// The model that answers.
        model: String,
    },
    /// Text.
    Text(String),
    /// A thought.
    Thought(String),
    /// The seal on the newest thought.
    Proof(Proof),
    /// A tool is to be called.
    Call {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// The seal on the call.
        proof: Option<Proof>,
    },
    /// A piece of the newest call's arguments, JSON text.
    Arguments(String),
    /// Why the answer ended.
    Stop(Stop),
    /// What was counted so far.
    Counts(Counts),
    /// The provider failed in the middle.
    Fault(Fault),
}

impl Piece {
    /// Whether a client would see something of the answer in it, so that nothing can be tried again.
    pub const fn is_content(&self) -> bool {
        matches!(
            self,
            Self::Text(_) | Self::Thought(_) | Self::Proof(_) | Self::Call { .. } | Self::Arguments(_)
        )
    }
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The provider's id of it.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// Text, thoughts and calls; a call's arguments as they came are in `raw`.
    pub parts: Vec<Part>,
    /// The JSON text of the calls' arguments, in order of the calls.
    pub raw: Vec<String>,
    /// Why it ended; `None` when it was cut off.
    pub stop: Option<Stop>,
    /// What was counted, if anything.
    pub counts: Option<Counts>,
    /// A failure in the middle.
    pub fault: Option<Fault>,
}

impl Answer {
    /// Adds a piece.
    pub fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Begin { id, model } => {
                self.id = id;
                self.model = model;
            }
            Piece::Text(new) => match self.parts.last_mut() {
                Some(Part::Text { text, .. }) => text.push_str(&new),
                _ => self.parts.push(Part::text(new)),
            },
            Piece::Thought(new) => match self.parts.last_mut() {
                Some(Part::Thought { text, proof: None }) => text.push_str(&new),
                _ => self.parts.push(Part::Thought { text: new, proof: None }),
            },
            Piece::Proof(seal) => match self.parts.last_mut() {
                Some(Part::Thought {
                    proof: proof @ None, ..
                }) => *proof = Some(seal),
                _ => self.parts.push(Part::Thought {
                    text: String::new(),
                    proof: Some(seal),
                }),
            },
            Piece::Call { id, name, proof } => {
                self.raw.push(String::new());
                self.parts.push(Part::Call {
                    id,
                    name,
                    arguments: Value::Null,
                    proof,
                });
            }
            Piece::Arguments(json) => {
                if let Some(raw) = self.raw.last_mut() {
                    raw.push_str(&json);
                }
            }
            Piece::Stop(stop) => self.stop = Some(stop),
            Piece::Counts(counts) => self.counts.get_or_insert_default().merge(counts),
            Piece::Fault(fault) => self.fault = Some(fault),
        }
    }

    /// Puts the arguments into their calls; call it once, when all pieces are in.
    pub fn close(&mut self) {
        let calls = self.parts.iter_mut().filter_map(|part| match part {
            Part::Call { arguments, .. } => Some(arguments),
            _ => None,
        });
        for (place, raw) in calls.zip(&self.raw) {
            *place = arguments(raw);
        }
        if !self.raw.is_empty() && matches!(self.stop, Some(Stop::End) | None) && self.fault.is_none() {
            self.stop = Some(Stop::Tools);
        }
    }

    /// The answer as the kernel's callers take it.
    ///
    /// # Errors
    /// When a tool call's arguments are no JSON.
    pub fn into_reply(mut self) -> Result<ModelReply, String> {
        self.close();
        let names = self.parts.iter().filter_map(|part| match part {
            Part::Call { name, .. } => Some(name),
            _ => None,
        });
        for (name, raw) in names.zip(&self.raw).filter(|(_, raw)| !raw.trim().is_empty()) {
            serde_json::from_str::<serde::de::IgnoredAny>(raw)
                .map_err(|e| format!("the arguments of the call of {name} are no JSON: {e}"))?;
        }
        let parts = self.parts.into_iter().enumerate();
        let said = parts.filter_map(|(index, part)| match part {
            Part::Text { text, .. } => Some(Said::Text { text }),
            Part::Call {
                id, name, arguments, ..
            } => {
                let id = if id.is_empty() { format!("call_{index}") } else { id };
                Some(Said::Call { id, name, arguments })
            }
            Part::Thought { .. } | Part::Media { .. } | Part::Result { .. } => None,
        });
        let counts = self.counts.unwrap_or_default();
        Ok(ModelReply {
            parts: said.collect(),
            stop: match self.stop {
                Some(Stop::Tools) => Stopped::Tools,
                Some(Stop::Length) => Stopped::Length,
                Some(Stop::Refused) => Stopped::Refused,
                Some(Stop::End | Stop::Word) | None => Stopped::End,
            },
            usage: Usage {
                input: Tokens(counts.input),
                cached: Tokens(counts.cached),
                output: Tokens(counts.output),
                cost: Cost::ZERO,
            },
            scripted: false,
            request: None,
        })
    }
}
