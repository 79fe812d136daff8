//! Model calls as the kernel sees them: one request shape, whatever the provider's dialect.

use crate::{
    id::{AgentName, RunId, TaskId},
    money::{Cost, Usage},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A model as it is configured: `provider/model`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    /// The provider's configured name.
    pub provider: String,
    /// The model's id at that provider.
    pub model: String,
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// What a gateway tells of a call that somebody else made with a key of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum CallNews {
    /// It has ended, and used something.
    Called {
        /// `provider/model`.
        model: String,
        /// What it used, to the micro-dollar.
        usage: Usage,
        /// How long it took.
        millis: u64,
        /// The answer came from a script.
        scripted: bool,
        /// Its id in the books.
        request: String,
    },
    /// It was not made: a budget has no room.
    Refused {
        /// Which, with the amounts.
        because: String,
        /// It is the run's own.
        of_run: bool,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The person or the program.
    User,
    /// The model.
    Assistant,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// The model wants a tool called.
    Call {
        /// The provider's id of the call.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, an object.
        arguments: Value,
    },
    /// What the tool answered.
    Answer {
        /// The id of the call.
        id: String,
        /// The tool.
        name: String,
        /// The answer.
        text: String,
        /// It failed.
        failed: bool,
    },
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Message {
    /// A user's message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            speaker: Speaker::User,
            parts: vec![Part::Text { text: text.into() }],
        }
    }
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// Who calls a model: what the call counts for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The task.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// The agent.
    #[serde(default)]
    pub agent: Option<AgentName>,
    /// The project: the name of the folder that the run works on.
    #[serde(default)]
    pub project: Option<String>,
    /// The most that the run may cost in all, as it stands now.
    #[serde(default)]
    pub budget: Option<Cost>,
}

/// A model call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// Who calls.
    #[serde(default)]
    pub caller: Caller,
    /// Which model.
    pub model: ModelRef,
    /// The system prompt.
    pub system: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Tools on offer.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// The answer must be JSON of this schema.
    #[serde(default)]
    pub schema: Option<Value>,
    /// The most tokens to answer with.
    pub max_tokens: u32,
    /// In hundredths, 0 to 200; `None` leaves it to the provider.
    #[serde(default)]
    pub temperature_percent: Option<u8>,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was done.
    End,
    /// It wants tools called.
    Tools,
    /// It ran into `max_tokens`.
    Length,
    /// The provider refused to go on.
    Refused,
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReply {
    /// Text and tool calls.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
    /// The answer came from a script.
    #[serde(default)]
    pub scripted: bool,
    /// The gateway's id of the call, where its books have it.
    #[serde(default)]
    pub request: Option<String>,
}

impl ModelReply {
    /// All text of the answer.
    pub fn text(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text { text } => Some(text.clone()),
            Part::Call { .. } | Part::Answer { .. } => None,
        };
        self.parts.iter().filter_map(text).collect::<Vec<_>>().join("")
    }
}

/// Why a model call failed, by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum ModelError {
    /// The key is missing or refused.
    #[error("{provider} refused the key: {detail}; check `key` or `key_env` of [providers.{provider}]")]
    Unauthorised {
        /// The provider's configured name.
        provider: String,
        /// What it said.
        detail: String,
    },
    /// Too many requests.
    #[error("{provider} limits the rate: {detail}")]
    RateLimited {
        /// The provider's configured name.
        provider: String,
        /// What it said.
        detail: String,
        /// Seconds to wait, if it said so.
        retry_after_secs: Option<u64>,
    },
    /// Overloaded, unreachable, cut off or silent.
    #[error("{provider} cannot be used now: {detail}")]
    Unavailable {
        /// The provider's configured name.
        provider: String,
        /// What happened.
        detail: String,
    },
    /// The conversation does not fit.
    #[error("the conversation is too long for {provider}: {detail}")]
    TooLong {
        /// The provider's configured name.
        provider: String,
        /// What it said.
        detail: String,
    },
    /// The request or the answer was not understood.
    #[error("{provider}: {detail}")]
    Invalid {
        /// The provider's configured name.
        provider: String,
        /// What was wrong.
        detail: String,
    },
    /// A budget has no room for the call; it was not made.
    #[error("{detail}")]
    Unpaid {
        /// Which budget, with the amounts.
        detail: String,
        /// It is the run's own budget, which a person may raise.
        of_run: bool,
    },
    /// No such provider or model is configured.
    #[error("{detail}")]
    Unknown {
        /// What was asked for and what there is.
        detail: String,
    },
}
