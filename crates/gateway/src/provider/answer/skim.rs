//! The little that the gateway itself needs to know of a whole answer that it passes on unread.

use crate::wire::{Counts, Dialect, Fault, Kind, Stop};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

/// The ends of an answer; its content is skipped.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Skimmed<'a> {
    #[serde(default)]
    usage: Value,
    #[serde(default, rename = "usageMetadata")]
    usage_metadata: Value,
    #[serde(default)]
    error: Value,
    // Read only as far as they are what they should be: an odd answer is the client's to judge.
    #[serde(default, borrow)]
    choices: Option<&'a RawValue>,
    #[serde(default, borrow)]
    candidates: Option<&'a RawValue>,
    #[serde(default, borrow)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    stop_reason: Value,
    #[serde(default)]
    incomplete_details: Value,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: String,
}

#[derive(Deserialize)]
struct Candidate {
    #[serde(rename = "finishReason")]
    finish_reason: String,
    #[serde(default)]
    content: Content,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default, rename = "functionCall")]
    call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
}

/// Reads only what is needed of a whole answer.
pub(super) fn skim(whole: &[u8]) -> Result<Skimmed<'_>, String> {
    serde_json::from_slice(whole).map_err(|e| e.to_string())
}

fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

impl Skimmed<'_> {
    pub(super) fn fault(&self) -> Option<Fault> {
        let message = match &self.error {
            Value::Null => return None,
            Value::String(message) => message.as_str(),
            error => error["message"].as_str().unwrap_or("the provider failed"),
        };
        Some(Fault::new(Kind::Upstream, message))
    }

    /// Why the model stopped, if the answer says so.
    pub(super) fn stop(&self, dialect: Dialect) -> Option<Stop> {
        match dialect {
            Dialect::OpenAi => {
                let choices: Vec<Choice> = list(self.choices);
                Some(match choices.first()?.finish_reason.as_str() {
                    "stop" => Stop::End,
                    "tool_calls" | "function_call" => Stop::Tools,
                    "length" => Stop::Length,
                    _ => Stop::Refused,
                })
            }
            Dialect::Anthropic => Some(match self.stop_reason.as_str()? {
                "end_turn" | "pause_turn" => Stop::End,
                "stop_sequence" => Stop::Word,
                "tool_use" => Stop::Tools,
                "max_tokens" | "model_context_window_exceeded" => Stop::Length,
                _ => Stop::Refused,
            }),
            Dialect::Gemini => {
                let candidates: Vec<Candidate> = list(self.candidates);
                let first = candidates.first()?;
                Some(match first.finish_reason.as_str() {
                    "STOP" if first.content.parts.iter().any(|part| part.call.is_some()) => Stop::Tools,
                    "STOP" => Stop::End,
                    "MAX_TOKENS" => Stop::Length,
                    _ => Stop::Refused,
                })
            }
            Dialect::Responses => {
                let items: Vec<Item> = list(self.output);
                match self.incomplete_details["reason"].as_str() {
                    Some("max_output_tokens") => Some(Stop::Length),
                    Some(_) => Some(Stop::Refused),
                    None if items.is_empty() => None,
                    None if items.iter().any(|item| item.kind.ends_with("_call")) => Some(Stop::Tools),
                    None => Some(Stop::End),
                }
            }
        }
    }

    /// What the provider counted, if it did.
    pub(super) fn counts(self, dialect: Dialect) -> Option<Counts> {
        let mut body = serde_json::json!({});
        body["usage"] = self.usage;
        body["usageMetadata"] = self.usage_metadata;
        dialect.counts(&body)
    }
}

#[cfg(test)]
mod tests;
