//! A request in no vendor's words: what every dialect is read into and written from.

use maestria_kernel::model::{ModelRequest, Part as Said, Speaker};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A request that makes no sense, or that asks for what cannot be carried without changing its meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct Unreadable {
    /// The field, as the client wrote it.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl Unreadable {
    /// A field and what is wrong with it.
    pub fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            what: what.into(),
        }
    }
}

/// Fields that one dialect has and the other cannot carry, by the names the client used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(BTreeSet<String>);

impl Losses {
    /// Notes a field that is left out.
    pub fn note(&mut self, field: impl Into<String>) {
        self.0.insert(field.into());
    }

    /// Notes a field when it is there.
    pub fn note_if(&mut self, there: bool, field: &str) {
        if there {
            self.note(field);
        }
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Takes over what another list has.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl std::fmt::Display for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(", "))
    }
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// The model as it was asked for.
    pub model: String,
    /// The answer is to come piece by piece.
    pub stream: bool,
    /// The stream is to end with the usage (OpenAI chat only).
    pub stream_usage: bool,
    /// The system prompt.
    pub system: Vec<Part>,
    /// The conversation; no two neighbours have the same speaker.
    pub turns: Vec<Turn>,
    /// Tools on offer.
    pub tools: Vec<Tool>,
    /// Which of them must be called.
    pub choice: Choice,
    /// Several calls in one answer are allowed; `None` leaves it to the provider.
    pub parallel: Option<bool>,
    /// The shape of the answer.
    pub format: Format,
    /// The most tokens to answer with.
    pub max_tokens: Option<u64>,
    /// Randomness.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// The most candidates a token.
    pub top_k: Option<u64>,
    /// Words that end the answer.
    pub stop: Vec<String>,
    /// How much to think before answering.
    pub thinking: Option<Thinking>,
    /// Repeatability.
    pub seed: Option<i64>,
    /// Penalty for what was said at all.
    pub presence_penalty: Option<f64>,
    /// Penalty for what was said often.
    pub frequency_penalty: Option<f64>,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// What calls that share a prompt prefix have in common.
    pub cache_key: Option<String>,
    /// What the reader had to leave out.
    pub losses: Losses,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub parts: Vec<Part>,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// The prompt cache should reach to here.
        cached: bool,
    },
    /// A picture, a document or a sound.
    Media {
        /// Its media type; empty when it is not known.
        mime: String,
        /// Where it is.
        source: Source,
        /// Its file name.
        name: Option<String>,
        /// The prompt cache should reach to here.
        cached: bool,
    },
    /// What the model thought.
    Thought {
        /// In words; may be empty.
        text: String,
        /// The provider's seal on it.
        proof: Option<Proof>,
    },
    /// The model wants a tool called.
    Call {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// An object.
        arguments: Value,
        /// The provider's seal on it.
        proof: Option<Proof>,
    },
    /// What a tool answered.
    Result {
        /// The call's id.
        id: String,
        /// The tool; empty where the dialect does not say.
        name: String,
        /// The answer: text and media.
        parts: Vec<Part>,
        /// It failed.
        failed: bool,
        /// The prompt cache should reach to here.
        cached: bool,
    },
}

impl Part {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            cached: false,
        }
    }

    /// The text, if it is some.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Marks the end of what the prompt cache should hold.
    pub(crate) fn mark(&mut self) {
        match self {
            Self::Text { cached, .. } | Self::Media { cached, .. } | Self::Result { cached, .. } => *cached = true,
            Self::Thought { .. } | Self::Call { .. } => {}
        }
    }

    /// Whether the prompt cache should reach to here.
    pub(crate) const fn is_marked(&self) -> bool {
        matches!(
            self,
            Self::Text { cached: true, .. } | Self::Media { cached: true, .. } | Self::Result { cached: true, .. }
        )
    }
}

/// Where a picture or document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Here, in base 64.
    Data(String),
    /// There.
    Url(String),
}

/// A provider's seal on a thought or a call; only the dialect that made it can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose it is.
    pub origin: super::Dialect,
    /// The seal.
    pub text: String,
}

/// A tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
    /// The provider is to hold the model to the schema.
    pub strict: Option<bool>,
    /// It takes plain text (OpenAI responses); elsewhere an object with the one text `input`.
    pub free: bool,
    /// The prompt cache should reach to here.
    pub cached: bool,
}

/// Which tool must be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// As the model likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Any,
    /// This one.
    Named(String),
}

/// The shape of the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// Some JSON.
    Json,
    /// JSON of a schema.
    Schema {
        /// The schema's name.
        name: String,
        /// The schema.
        schema: Value,
        /// The provider is to hold the model to it.
        strict: bool,
    },
}

/// How hard to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as possible.
    Most,
}

/// How much to think before answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinking {
    /// How hard; `None`: as the model likes.
    pub effort: Option<Effort>,
    /// The most tokens to think with.
    pub budget: Option<u64>,
    /// The client wants to read the thoughts.
    pub shown: bool,
}

impl Thinking {
    /// The effort: as given, or by the budget.
    pub fn effort(&self) -> Option<Effort> {
        self.effort.or_else(|| {
            self.budget.map(|budget| match budget {
                0 => Effort::None,
                1..=1_024 => Effort::Minimal,
                1_025..=4_096 => Effort::Low,
                4_097..=16_384 => Effort::Medium,
                16_385..=32_768 => Effort::High,
                _ => Effort::Most,
            })
        })
    }

    /// The budget: as given, or by the effort.
    pub fn budget(&self) -> Option<u64> {
        self.budget.or_else(|| {
            self.effort.map(|effort| match effort {
                Effort::None => 0,
                Effort::Minimal => 1_024,
                Effort::Low => 4_096,
                Effort::Medium => 12_288,
                Effort::High => 24_576,
                Effort::Most => 49_152,
            })
        })
    }
}

impl Ask {
    /// Adds to the conversation; a speaker who goes on speaking does not begin a new turn.
    pub fn say(&mut self, speaker: Speaker, parts: impl IntoIterator<Item = Part>) {
        let mut parts = parts.into_iter().peekable();
        if parts.peek().is_none() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.speaker == speaker => turn.parts.extend(parts),
            _ => self.turns.push(Turn {
                speaker,
                parts: parts.collect(),
            }),
        }
    }

    /// The name of the tool that a call's id belongs to.
    pub(crate) fn tool_of(&self, call: &str) -> Option<&str> {
        let parts = self.turns.iter().rev().flat_map(|t| &t.parts);
        parts.into_iter().find_map(|part| match part {
            Part::Call { id, name, .. } if id == call => Some(name.as_str()),
            _ => None,
        })
    }

    /// All text of the system prompt.
    pub fn system_text(&self) -> String {
        let texts: Vec<&str> = self.system.iter().filter_map(Part::as_text).collect();
        texts.join("\n\n")
    }

    /// The words that are asked at last; `None` when the last turn is not only words of the user.
    pub fn asked_last(&self) -> Option<&str> {
        let last = self.turns.last().filter(|turn| turn.speaker == Speaker::User)?;
        match last.parts.as_slice() {
            [Part::Text { text, .. }] => Some(text),
            _ => None,
        }
    }
}

impl From<&ModelRequest> for Ask {
    fn from(request: &ModelRequest) -> Self {
        let mut ask = Self {
            model: request.model.model.clone(),
            stream: true,
            stream_usage: true,
            max_tokens: Some(request.max_tokens.into()),
            temperature: request.temperature_percent.map(|t| f64::from(t) / 100.0),
            ..Self::default()
        };
        if !request.system.is_empty() {
            ask.system.push(Part::text(request.system.clone()));
        }
        for message in &request.messages {
            ask.say(message.speaker, message.parts.iter().map(said));
        }
        ask.tools = request
            .tools
            .iter()
            .map(|tool| Tool {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: None,
                free: false,
                cached: false,
            })
            .collect();
        if let Some(schema) = &request.schema {
            ask.format = Format::Schema {
                name: "answer".to_owned(),
                schema: schema.clone(),
                strict: false,
            };
        }
        ask
    }
}

fn said(part: &Said) -> Part {
    match part {
        Said::Text { text } => Part::text(text.clone()),
        Said::Call { id, name, arguments } => Part::Call {
            id: id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            proof: None,
        },
        Said::Answer { id, name, text, failed } => Part::Result {
            id: id.clone(),
            name: name.clone(),
            parts: vec![Part::text(text.clone())],
            failed: *failed,
            cached: false,
        },
    }
}

/// An object's fields, taken one by one; what nobody has taken is a loss.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    taken: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of a request's body.
    pub(crate) fn of(body: &'a Value) -> Result<Self, Unreadable> {
        let map = body
            .as_object()
            .ok_or_else(|| Unreadable::new("body", "is no JSON object"))?;
        Ok(Self {
            map,
            taken: Vec::with_capacity(map.len()),
        })
    }

    /// A field; null is as good as none.
    pub(crate) fn get(&mut self, name: &'a str) -> Option<&'a Value> {
        self.taken.push(name);
        self.map.get(name).filter(|v| !v.is_null())
    }

    /// A field in either spelling: `maxOutputTokens` or `max_output_tokens`.
    pub(crate) fn either(&mut self, camel: &'a str, snake: &'a str) -> Option<&'a Value> {
        let first = self.get(camel);
        let second = self.get(snake);
        first.or(second)
    }

    /// Fields that say nothing about the answer.
    pub(crate) fn ignore(&mut self, names: &[&'a str]) {
        self.taken.extend_from_slice(names);
    }

    pub(crate) fn text(&mut self, name: &'a str) -> Result<Option<&'a str>, Unreadable> {
        self.convert(name, "is no text", Value::as_str)
    }

    pub(crate) fn number(&mut self, name: &'a str) -> Result<Option<f64>, Unreadable> {
        self.convert(name, "is no number", Value::as_f64)
    }

    pub(crate) fn count(&mut self, name: &'a str) -> Result<Option<u64>, Unreadable> {
        self.convert(name, "is no whole number", Value::as_u64)
    }

    pub(crate) fn flag(&mut self, name: &'a str) -> Result<Option<bool>, Unreadable> {
        self.convert(name, "is neither true nor false", Value::as_bool)
    }

    pub(crate) fn list(&mut self, name: &'a str) -> Result<&'a [Value], Unreadable> {
        let list = self.convert(name, "is no list", Value::as_array)?;
        Ok(list.map_or(&[], Vec::as_slice))
    }

    fn convert<T>(
        &mut self,
        name: &'a str,
        what: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        self.get(name)
            .map(|value| convert(value).ok_or_else(|| Unreadable::new(name, what)))
            .transpose()
    }

    /// Notes what nobody has taken.
    pub(crate) fn rest(self, prefix: &str, losses: &mut Losses) {
        let left = self
            .map
            .iter()
            .filter(|(name, value)| !value.is_null() && !self.taken.contains(&name.as_str()));
        for (name, _) in left {
            losses.note(format!("{prefix}{name}"));
        }
    }
}

/// One text or a list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A call's arguments from their JSON text; what does not parse is kept under a name that says so.
pub(crate) fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Value::Object(map),
        Ok(other) => serde_json::json!({ "value": other }),
        Err(_) => serde_json::json!({ "invalid_json": text }),
    }
}

/// The schema of a tool that takes plain text.
pub(crate) fn free_schema() -> Value {
    serde_json::json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]})
}

/// A schema for a tool that has none.
pub(crate) fn any_schema() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}
