//! The dialects: pure translation between the kernel's request and reply and each vendor's JSON.

pub mod anthropic;
pub mod gemini;
pub mod openai;
pub mod responses;
pub mod sse;

use maestria_kernel::model::{ModelReply, ModelRequest, Part, Stop};
use maestria_kernel::{Tokens, Usage};
use serde_json::Value;

/// A vendor's way of speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenAi,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Anthropic,
    /// Gemini generateContent.
    Gemini,
}

impl Dialect {
    /// The dialect of a configured name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "responses" => Some(Self::Responses),
            "anthropic" => Some(Self::Anthropic),
            "gemini" => Some(Self::Gemini),
            _ => None,
        }
    }

    /// Where the vendor itself listens.
    pub const fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi | Self::Responses => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com"),
        }
    }

    /// The path of a streamed call, from the base URL.
    pub fn path(self, model: &str) -> String {
        match self {
            Self::OpenAi => "/chat/completions".to_owned(),
            Self::Responses => "/responses".to_owned(),
            Self::Anthropic => "/v1/messages".to_owned(),
            Self::Gemini => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        }
    }

    /// The header that carries the key.
    pub fn key_header(self, key: &str) -> (&'static str, String) {
        match self {
            Self::OpenAi | Self::Responses => ("authorization", format!("Bearer {key}")),
            Self::Anthropic => ("x-api-key", key.to_owned()),
            Self::Gemini => ("x-goog-api-key", key.to_owned()),
        }
    }

    /// The request's body.
    pub fn encode(self, request: &ModelRequest) -> Value {
        match self {
            Self::OpenAi => openai::encode(request),
            Self::Responses => responses::encode(request),
            Self::Anthropic => anthropic::encode(request),
            Self::Gemini => gemini::encode(request),
        }
    }

    /// Takes account of one event of the answer's stream.
    pub fn decode(self, draft: &mut Draft, event: &Value) {
        match self {
            Self::OpenAi => openai::decode(draft, event),
            Self::Responses => responses::decode(draft, event),
            Self::Anthropic => anthropic::decode(draft, event),
            Self::Gemini => gemini::decode(draft, event),
        }
    }
}

/// An answer as it grows.
#[derive(Debug, Default)]
pub struct Draft {
    /// The text so far.
    pub text: String,
    /// Tool calls by their place in the answer: id, name, arguments as JSON text.
    pub calls: Vec<(String, String, String)>,
    /// Why it stopped, once it has.
    pub stop: Option<Stop>,
    /// What it used, as far as it is known.
    pub usage: Usage,
    /// An error that came in the stream.
    pub error: Option<String>,
}

impl Draft {
    /// The call at a place; made when it is new.
    pub fn call(&mut self, place: usize) -> &mut (String, String, String) {
        while self.calls.len() <= place {
            self.calls.push(Default::default());
        }
        &mut self.calls[place]
    }

    /// The finished answer.
    ///
    /// # Errors
    /// When a tool call's arguments are no JSON object.
    pub fn finish(self) -> Result<ModelReply, String> {
        let mut parts = Vec::new();
        if !self.text.is_empty() {
            parts.push(Part::Text { text: self.text });
        }
        for (index, (id, name, arguments)) in self
            .calls
            .into_iter()
            .enumerate()
            .filter(|(_, (_, name, _))| !name.is_empty())
        {
            let text = if arguments.trim().is_empty() { "{}" } else { &arguments };
            let arguments: Value = serde_json::from_str(text)
                .map_err(|e| format!("the arguments of the call of {name} are no JSON: {e}"))?;
            let id = if id.is_empty() { format!("call_{index}") } else { id };
            parts.push(Part::Call { id, name, arguments });
        }
        let calls = parts.iter().any(|p| matches!(p, Part::Call { .. }));
        let stop = if calls {
            Stop::Tools
        } else {
            self.stop.unwrap_or(Stop::End)
        };
        Ok(ModelReply {
            parts,
            stop,
            usage: self.usage,
            scripted: false,
        })
    }
}

/// A count at a place in a JSON value, if it is there.
pub(crate) fn tokens(value: &Value, pointer: &str) -> Option<Tokens> {
    value.pointer(pointer).and_then(Value::as_u64).map(Tokens)
}

/// A text at a place in a JSON value.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
