//! Answers of a provider.

use super::ANSWER;
use crate::wire::{
    Dialect, Usage,
    ask::Proof,
    piece::{Counts, Fault, Kind, Piece, Stop},
    text,
};
use serde::Deserialize as _;
use serde_json::Value;

/// Reads a stream, event by event.
#[derive(Debug, Default)]
pub(in crate::wire) struct Reader {
    /// The open block is the answer of a schema: its arguments are text.
    answering: bool,
    answered: bool,
    counts: Counts,
}

impl Reader {
    pub(in crate::wire) fn event(&mut self, event: &Value, out: &mut Vec<Piece>) {
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                out.push(begin(&event["message"]));
                self.count(&event["message"]["usage"], out);
            }
            "content_block_start" => self.open(&event["content_block"], out),
            "content_block_delta" => self.delta(&event["delta"], out),
            "content_block_stop" => self.answering = false,
            "message_delta" => {
                out.extend(text(event, "/delta/stop_reason").map(|word| self.stop(word)));
                self.count(&event["usage"], out);
            }
            "error" => out.push(Piece::Fault(fault(event))),
            _ => {}
        }
    }

    fn open(&mut self, block: &Value, out: &mut Vec<Piece>) {
        let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str().unwrap_or_default() {
            "tool_use" if block["name"] == ANSWER => {
                self.answering = true;
                self.answered = true;
            }
            "tool_use" => out.push(Piece::Call {
                id: field("id"),
                name: field("name"),
                proof: None,
            }),
            "text" if !field("text").is_empty() => out.push(Piece::Text(field("text"))),
            "thinking" if !field("thinking").is_empty() => out.push(Piece::Thought(field("thinking"))),
            "redacted_thinking" => out.push(Piece::Proof(Proof {
                origin: Dialect::Anthropic,
                text: format!("{}{}", super::request::REDACTED, field("data")),
            })),
            _ => {}
        }
    }

    fn delta(&self, delta: &Value, out: &mut Vec<Piece>) {
        let field = |name: &str| delta[name].as_str().unwrap_or_default().to_owned();
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => out.push(Piece::Text(field("text"))),
            "thinking_delta" => out.push(Piece::Thought(field("thinking"))),
            "signature_delta" => out.push(Piece::Proof(Proof {
                origin: Dialect::Anthropic,
                text: field("signature"),
            })),
            "input_json_delta" if field("partial_json").is_empty() => {}
            "input_json_delta" if self.answering => out.push(Piece::Text(field("partial_json"))),
            "input_json_delta" => out.push(Piece::Arguments(field("partial_json"))),
            _ => {}
        }
    }

    fn stop(&self, word: &str) -> Piece {
        Piece::Stop(match word {
            "tool_use" if self.answered => Stop::End,
            "tool_use" => Stop::Tools,
            "end_turn" | "pause_turn" => Stop::End,
            "stop_sequence" => Stop::Word,
            "max_tokens" | "model_context_window_exceeded" => Stop::Length,
            _ => Stop::Refused,
        })
    }

    /// The start tells what was sent, the end what was received; each may tell only a part.
    fn count(&mut self, usage: &Value, out: &mut Vec<Piece>) {
        if usage.is_object() {
            self.counts.merge(used(&Usage::deserialize(usage).unwrap_or_default()));
            out.push(Piece::Counts(self.counts));
        }
    }
}

/// What the provider counted.
pub(in crate::wire) fn used(usage: &Usage) -> Counts {
    let cached = usage.cache_read_input_tokens.0;
    let written = usage.cache_creation_input_tokens.0;
    Counts {
        input: usage.input_tokens.0 + cached + written,
        cached,
        written,
        output: usage.output_tokens.0,
        reasoning: 0,
    }
}

fn begin(message: &Value) -> Piece {
    Piece::Begin {
        id: text(message, "/id").unwrap_or_default().to_owned(),
        model: text(message, "/model").unwrap_or_default().to_owned(),
    }
}

fn fault(body: &Value) -> Fault {
    let message = text(body, "/error/message").unwrap_or("the provider failed");
    let kind = match text(body, "/error/type") {
        Some("overloaded_error") => Kind::Overloaded,
        Some("rate_limit_error") => Kind::Limited,
        Some("invalid_request_error") => Kind::Invalid,
        _ => Kind::Upstream,
    };
    Fault::new(kind, message)
}

/// Reads a whole answer.
pub(in crate::wire) fn document(body: &Value, out: &mut Vec<Piece>) {
    if body["type"] == "error" || body["error"].is_object() {
        out.push(Piece::Fault(fault(body)));
        return;
    }
    let mut reader = Reader::default();
    out.push(begin(body));
    for block in body["content"].as_array().into_iter().flatten() {
        reader.open(block, out);
        if block["type"] == "tool_use" {
            let json = block["input"].to_string();
            out.push(if reader.answering {
                Piece::Text(json)
            } else {
                Piece::Arguments(json)
            });
        }
        if let Some(seal) = text(block, "/signature").filter(|s| !s.is_empty()) {
            out.push(Piece::Proof(Proof {
                origin: Dialect::Anthropic,
                text: seal.to_owned(),
            }));
        }
        reader.answering = false;
    }
    out.extend(text(body, "/stop_reason").map(|word| reader.stop(word)));
    reader.count(&body["usage"], out);
}
