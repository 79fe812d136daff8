//! The little that the gateway itself needs to know of a whole answer that it passes on unread. That it is JSON is looked
//! at on the way, but for the escapes in texts that are skipped: those are the client's to read.

use crate::wire::{Counts, Dialect, Fault, Kind, Stop, Usage};
use serde::Deserialize;
use sonic_rs::{JsonValueTrait as _, LazyValue, pointer};

/// The ends of an answer; its content is skipped. They are read only as far as they are what they should be: an odd
/// answer is the client's to judge.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Skimmed<'a> {
    #[serde(borrow)]
    usage: LazyValue<'a>,
    #[serde(borrow, rename = "usageMetadata")]
    usage_metadata: LazyValue<'a>,
    #[serde(borrow)]
    error: LazyValue<'a>,
    #[serde(borrow)]
    choices: LazyValue<'a>,
    #[serde(borrow)]
    candidates: LazyValue<'a>,
    #[serde(borrow)]
    output: LazyValue<'a>,
    #[serde(borrow)]
    stop_reason: LazyValue<'a>,
    #[serde(borrow)]
    incomplete_details: LazyValue<'a>,
}

/// Reads only what is needed of a whole answer.
pub(super) fn skim(whole: &[u8]) -> Result<Skimmed<'_>, String> {
    // The reader takes bytes for text before it has looked at all of them, and a list for the fields in their order.
    let text = std::str::from_utf8(whole).map_err(|e| e.to_string())?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err("it is no object".to_owned());
    }
    sonic_rs::from_str(text).map_err(|e| e.to_string())
}

impl Skimmed<'_> {
    pub(super) fn fault(&self) -> Option<Fault> {
        if self.error.is_null() {
            return None;
        }
        let message = self.error.get("message");
        let message = message.as_ref().and_then(LazyValue::as_str);
        let message = message.or_else(|| self.error.as_str()).unwrap_or("the provider failed");
        Some(Fault::new(Kind::Upstream, message))
    }

    /// Why the model stopped, if the answer says so.
    pub(super) fn stop(&self, dialect: Dialect) -> Option<Stop> {
        match dialect {
            Dialect::OpenAi => Some(match self.choices.pointer(pointer![0, "finish_reason"])?.as_str()? {
                "stop" => Stop::End,
                "tool_calls" | "function_call" => Stop::Tools,
                "length" => Stop::Length,
                _ => Stop::Refused,
            }),
            Dialect::Anthropic => Some(match self.stop_reason.as_str()? {
                "end_turn" | "pause_turn" => Stop::End,
                "stop_sequence" => Stop::Word,
                "tool_use" => Stop::Tools,
                "max_tokens" | "model_context_window_exceeded" => Stop::Length,
                _ => Stop::Refused,
            }),
            Dialect::Gemini => {
                let reason = self.candidates.pointer(pointer![0, "finishReason"])?;
                Some(match reason.as_str()? {
                    "STOP" if self.calls_a_function() => Stop::Tools,
                    "STOP" => Stop::End,
                    "MAX_TOKENS" => Stop::Length,
                    _ => Stop::Refused,
                })
            }
            Dialect::Responses => {
                let incomplete = self.incomplete_details.get("reason");
                match incomplete.as_ref().and_then(LazyValue::as_str) {
                    Some("max_output_tokens") => Some(Stop::Length),
                    Some(_) => Some(Stop::Refused),
                    None => self.last_step(),
                }
            }
        }
    }

    /// Whether a Gemini answer has a call in it.
    fn calls_a_function(&self) -> bool {
        let parts = self.candidates.pointer(pointer![0, "content", "parts"]);
        let mut parts = parts
            .and_then(LazyValue::into_array_iter)
            .into_iter()
            .flatten()
            .flatten();
        parts.any(|part| part.get("functionCall").is_some())
    }

    /// Why a Responses answer that is complete has ended.
    fn last_step(&self) -> Option<Stop> {
        let items = self.output.clone().into_array_iter()?;
        let mut stop = None;
        for item in items.flatten() {
            let kind = item.get("type")?;
            if kind.as_str()?.ends_with("_call") {
                return Some(Stop::Tools);
            }
            stop = Some(Stop::End);
        }
        stop
    }

    /// What the provider counted, if it did.
    pub(super) fn counts(&self, dialect: Dialect) -> Option<Counts> {
        let usage = match dialect {
            Dialect::Gemini => &self.usage_metadata,
            Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic => &self.usage,
        };
        if !usage.is_object() {
            return None;
        }
        let usage: Usage = serde_json::from_str(usage.as_raw_str()).ok()?;
        Some(dialect.used(&usage))
    }
}

#[cfg(test)]
mod tests;
