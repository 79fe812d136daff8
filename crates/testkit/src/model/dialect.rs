//! The four dialects behind one face.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::ask::Ask;
use super::{anthropic, chat, gemini, responses};

/// A vendor's way of asking a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions and everything compatible with it.
    #[serde(alias = "openai")]
    Chat,
    /// Google Gemini.
    Gemini,
}

impl Dialect {
    /// The base URL as clients of this dialect expect it.
    pub(crate) fn base_url(self, root: &str) -> String {
        match self {
            Self::Anthropic | Self::Gemini => root.to_owned(),
            Self::Responses | Self::Chat => format!("{root}/v1"),
        }
    }

    /// Reads a request; `path` matters to Gemini only, which names the model there.
    pub(crate) fn read(self, path: &str, body: &Value) -> Ask {
        match self {
            Self::Anthropic => anthropic::read(body),
            Self::Responses => responses::read(body),
            Self::Chat => chat::read(body),
            Self::Gemini => gemini::read(path, body),
        }
    }

    /// The answer as a stream of whole SSE frames.
    pub(crate) fn frames(self, ask: &Ask, answer: &Answer) -> Vec<String> {
        match self {
            Self::Anthropic => anthropic::frames(ask, answer),
            Self::Responses => responses::frames(ask, answer),
            Self::Chat => chat::frames(ask, answer),
            Self::Gemini => gemini::frames(ask, answer),
        }
    }

    /// The answer as one document.
    pub(crate) fn document(self, ask: &Ask, answer: &Answer) -> Value {
        match self {
            Self::Anthropic => anthropic::document(ask, answer),
            Self::Responses => responses::document(ask, answer),
            Self::Chat => chat::document(ask, answer),
            Self::Gemini => gemini::document(ask, answer),
        }
    }

    /// The vendor's error document for an HTTP status.
    pub(crate) fn error(self, status: u16, message: &str) -> Value {
        match self {
            Self::Anthropic => {
                json!({"type": "error", "error": {"type": anthropic::error_type(status), "message": message}})
            }
            Self::Responses | Self::Chat => {
                let (kind, code) = openai_error(status);
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Self::Gemini => {
                json!({"error": {"code": status, "message": message, "status": gemini::error_status(status)}})
            }
        }
    }

    /// The vendor's error inside a stream that began with a 200.
    pub(crate) fn error_frame(self, message: &str) -> String {
        match self {
            Self::Anthropic => named("error", &self.error(529, message)),
            Self::Responses => responses::failure(message),
            Self::Chat => data(&self.error(500, message)),
            Self::Gemini => data(&self.error(503, message)),
        }
    }
}

fn openai_error(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", Some("server_error")),
    }
}

/// A frame with only data.
pub(crate) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A frame with an event name.
pub(crate) fn named(event: &str, value: &Value) -> String {
    format!("event: {event}\ndata: {value}\n\n")
}

/// All text of a content field: a string, or a list of blocks with a `text`.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The list at `value[name]`, empty when it is not one.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
