//! Answers of a provider.

use crate::wire::{
    Dialect, Usage,
    ask::Proof,
    piece::{Counts, Fault, Kind, Piece, Stop},
    text,
};
use serde::Deserialize as _;
use serde_json::Value;

/// Reads a stream, chunk by chunk.
#[derive(Debug, Default)]
pub(in crate::wire) struct Reader {
    begun: bool,
    calls: usize,
}

impl Reader {
    pub(in crate::wire) fn event(&mut self, event: &Value, out: &mut Vec<Piece>) {
        if event["error"].is_object() {
            out.push(Piece::Fault(fault(&event["error"])));
            return;
        }
        if !self.begun {
            self.begun = true;
            out.push(Piece::Begin {
                id: text(event, "/responseId").unwrap_or_default().to_owned(),
                model: text(event, "/modelVersion").unwrap_or_default().to_owned(),
            });
        }
        let candidate = &event["candidates"][0];
        let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            self.part(part, out);
        }
        if let Some(word) = candidate["finishReason"].as_str() {
            out.push(Piece::Stop(self.stop(word)));
        } else if text(event, "/promptFeedback/blockReason").is_some() {
            out.push(Piece::Stop(Stop::Refused));
        }
        out.extend(counts(event).map(Piece::Counts));
    }

    fn part(&mut self, part: &Value, out: &mut Vec<Piece>) {
        let seal = text(part, "/thoughtSignature").map(|seal| Proof {
            origin: Dialect::Gemini,
            text: seal.to_owned(),
        });
        if let Some(name) = text(part, "/functionCall/name") {
            let id =
                text(part, "/functionCall/id").map_or_else(|| format!("call_{}_{name}", self.calls), str::to_owned);
            self.calls += 1;
            out.push(Piece::Call {
                id,
                name: name.to_owned(),
                proof: seal,
            });
            let arguments = &part["functionCall"]["args"];
            out.push(Piece::Arguments(if arguments.is_null() {
                "{}".to_owned()
            } else {
                arguments.to_string()
            }));
            return;
        }
        let said = part["text"].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        if part["thought"] == true {
            out.extend(said.map(Piece::Thought));
            out.extend(seal.map(Piece::Proof));
        } else {
            out.extend(seal.map(Piece::Proof));
            out.extend(said.map(Piece::Text));
        }
    }

    fn stop(&self, word: &str) -> Stop {
        match word {
            "STOP" if self.calls > 0 => Stop::Tools,
            "STOP" => Stop::End,
            "MAX_TOKENS" => Stop::Length,
            _ => Stop::Refused,
        }
    }
}

/// What the provider counted.
pub(in crate::wire) fn used(usage: &Usage) -> Counts {
    let thought = usage.thoughts.0;
    Counts {
        input: usage.prompt.0 + usage.tool_prompt.0,
        cached: usage.cached_content.0,
        written: 0,
        output: usage.candidates.0 + thought,
        reasoning: thought,
    }
}

fn counts(event: &Value) -> Option<Counts> {
    let usage = event.get("usageMetadata").filter(|u| u.is_object())?;
    Usage::deserialize(usage).ok().as_ref().map(used)
}

fn fault(error: &Value) -> Fault {
    let message = text(error, "/message").unwrap_or("the provider failed");
    let kind = match text(error, "/status") {
        Some("UNAVAILABLE") => Kind::Overloaded,
        Some("RESOURCE_EXHAUSTED") => Kind::Limited,
        Some("INVALID_ARGUMENT") => Kind::Invalid,
        _ => Kind::Upstream,
    };
    Fault::new(kind, message)
}

/// Reads a whole answer.
pub(in crate::wire) fn document(body: &Value, out: &mut Vec<Piece>) {
    Reader::default().event(body, out);
}
