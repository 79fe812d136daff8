//! Answers to a client.

use super::request::REDACTED;
use crate::wire::{
    Dialect, Manner,
    ask::{Part, Proof},
    piece::{Answer, Counts, Fault, Kind, Piece, Stop},
    proof::seal,
    sse,
};
use serde_json::{Value, json};

const FACE: Dialect = Dialect::Anthropic;

/// The kind of the block that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thought,
    Call,
}

/// Writes a stream, piece by piece.
#[derive(Debug)]
pub(in crate::wire) struct Writer {
    manner: Manner,
    begun: bool,
    open: Option<Open>,
    index: usize,
    calls: bool,
    failed: bool,
    stop: Option<Stop>,
    counts: Counts,
}

impl Writer {
    pub(in crate::wire) fn new(manner: Manner) -> Self {
        Self {
            manner,
            begun: false,
            open: None,
            index: 0,
            calls: false,
            failed: false,
            stop: None,
            counts: Counts::default(),
        }
    }

    pub(in crate::wire) fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            // Held back until there is content, since by then the provider may have told the usage.
            Piece::Begin { .. } => {}
            Piece::Text(text) => {
                self.ensure(Open::Text, || json!({"type": "text", "text": ""}), out);
                self.delta(&json!({"type": "text_delta", "text": text}), out);
            }
            Piece::Thought(text) => {
                self.ensure(
                    Open::Thought,
                    || json!({"type": "thinking", "thinking": "", "signature": ""}),
                    out,
                );
                self.delta(&json!({"type": "thinking_delta", "thinking": text}), out);
            }
            Piece::Proof(proof) => self.proof(proof, out),
            Piece::Call { id, name, .. } => {
                self.close(out);
                self.calls = true;
                self.start(
                    Open::Call,
                    &json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                    out,
                );
            }
            Piece::Arguments(json) => {
                self.delta(&json!({"type": "input_json_delta", "partial_json": json}), out);
            }
            Piece::Stop(stop) => self.stop = Some(*stop),
            Piece::Counts(counts) => self.counts.merge(*counts),
            Piece::Fault(fault) => {
                self.failed = true;
                sse::named("error", &error(fault, &self.manner.request), out);
            }
        }
    }

    pub(in crate::wire) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        self.begin(out);
        self.close(out);
        let delta = json!({"stop_reason": stop_word(self.stop, self.calls), "stop_sequence": null});
        let event = json!({"type": "message_delta", "delta": delta, "usage": usage(&self.counts)});
        sse::named("message_delta", &event, out);
        sse::named("message_stop", &json!({"type": "message_stop"}), out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        let message = json!({
            "id": self.manner.id(), "type": "message", "role": "assistant", "model": self.manner.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(&self.counts),
        });
        sse::named(
            "message_start",
            &json!({"type": "message_start", "message": message}),
            out,
        );
    }

    fn proof(&mut self, proof: &Proof, out: &mut Vec<u8>) {
        let text = seal(proof, FACE);
        if let Some(data) = text.strip_prefix(REDACTED) {
            self.close(out);
            self.start(Open::Thought, &json!({"type": "redacted_thinking", "data": data}), out);
        } else {
            self.ensure(
                Open::Thought,
                || json!({"type": "thinking", "thinking": "", "signature": ""}),
                out,
            );
            self.delta(&json!({"type": "signature_delta", "signature": text}), out);
        }
        self.close(out);
    }

    fn ensure(&mut self, kind: Open, block: impl FnOnce() -> Value, out: &mut Vec<u8>) {
        if self.open != Some(kind) {
            self.close(out);
            self.start(kind, &block(), out);
        }
    }

    fn start(&mut self, kind: Open, block: &Value, out: &mut Vec<u8>) {
        self.begin(out);
        self.open = Some(kind);
        let event = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        sse::named("content_block_start", &event, out);
    }

    fn delta(&self, delta: &Value, out: &mut Vec<u8>) {
        let event = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        sse::named("content_block_delta", &event, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            sse::named(
                "content_block_stop",
                &json!({"type": "content_block_stop", "index": self.index}),
                out,
            );
            self.index += 1;
        }
    }
}

fn stop_word(stop: Option<Stop>, calls: bool) -> &'static str {
    match stop {
        Some(Stop::Length) => "max_tokens",
        Some(Stop::Refused) => "refusal",
        Some(Stop::Tools) => "tool_use",
        Some(Stop::End) | None if calls => "tool_use",
        Some(Stop::Word) => "stop_sequence",
        Some(Stop::End) | None => "end_turn",
    }
}

fn usage(counts: &Counts) -> Value {
    json!({
        "input_tokens": counts.input.saturating_sub(counts.cached.saturating_add(counts.written)),
        "cache_read_input_tokens": counts.cached,
        "cache_creation_input_tokens": counts.written,
        "output_tokens": counts.output,
    })
}

/// A whole answer.
pub(in crate::wire) fn document(answer: &Answer, manner: &Manner) -> Value {
    let content: Vec<Value> = answer.parts.iter().filter_map(block).collect();
    let stop = stop_word(answer.stop, !answer.raw.is_empty());
    json!({
        "id": manner.id(), "type": "message", "role": "assistant", "model": manner.model,
        "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": usage(&answer.counts.unwrap_or_default()),
    })
}

fn block(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text, .. } => Some(json!({"type": "text", "text": text})),
        Part::Thought { text, proof } => {
            let sealed = proof.as_ref().map(|p| seal(p, FACE)).unwrap_or_default();
            Some(match sealed.strip_prefix(REDACTED) {
                Some(data) => json!({"type": "redacted_thinking", "data": data}),
                None => json!({"type": "thinking", "thinking": text, "signature": sealed}),
            })
        }
        Part::Call {
            id, name, arguments, ..
        } => Some(json!({"type": "tool_use", "id": id, "name": name, "input": arguments})),
        Part::Media { .. } | Part::Result { .. } => None,
    }
}

/// A failure.
pub(in crate::wire) fn error(fault: &Fault, request: &str) -> Value {
    let kind = match fault.kind {
        Kind::Invalid | Kind::TooLong => "invalid_request_error",
        Kind::Unauthorised => "authentication_error",
        Kind::Unpaid => "billing_error",
        Kind::Forbidden => "permission_error",
        Kind::NotFound => "not_found_error",
        Kind::TooLarge => "request_too_large",
        Kind::Limited => "rate_limit_error",
        Kind::Overloaded => "overloaded_error",
        Kind::TimedOut => "timeout_error",
        Kind::Upstream | Kind::Internal => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": fault.message, "code": fault.kind.code()}, "request_id": request})
}
