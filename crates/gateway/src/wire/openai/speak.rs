//! Answers to a client.

use super::stop_word;
use crate::wire::{
    Dialect, Manner,
    ask::{Part, Proof},
    piece::{Answer, Counts, Fault, Kind, Piece, Stop},
    proof::seal,
    sse,
};
use serde_json::{Value, json};

/// Writes a stream, piece by piece.
#[derive(Debug)]
pub(in crate::wire) struct Writer {
    manner: Manner,
    calls: usize,
    begun: bool,
    failed: bool,
    stop: Option<Stop>,
    counts: Counts,
}

impl Writer {
    pub(in crate::wire) fn new(manner: Manner) -> Self {
        Self {
            manner,
            calls: 0,
            begun: false,
            failed: false,
            stop: None,
            counts: Counts::default(),
        }
    }

    pub(in crate::wire) fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Begin { .. } => self.begin(out),
            Piece::Text(text) => self.delta(&json!({"content": text}), out),
            Piece::Thought(text) => self.delta(&json!({"reasoning_content": text}), out),
            Piece::Proof(_) => {}
            Piece::Call { id, name, proof } => {
                let index = self.calls;
                self.calls += 1;
                let mut call = call(id, name, "", proof.as_ref());
                call["index"] = index.into();
                self.delta(&json!({"tool_calls": [call]}), out);
            }
            Piece::Arguments(json) => {
                let index = self.calls.saturating_sub(1);
                self.delta(
                    &json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]}),
                    out,
                );
            }
            Piece::Stop(stop) => self.stop = Some(*stop),
            Piece::Counts(counts) => self.counts.merge(*counts),
            Piece::Fault(fault) => {
                self.failed = true;
                sse::data(&error(fault, &self.manner.request), out);
            }
        }
    }

    pub(in crate::wire) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        self.begin(out);
        let word = stop_word(stop_of(self.stop, self.calls));
        self.chunk(&json!([{"index": 0, "delta": {}, "finish_reason": word}]), None, out);
        if self.manner.stream_usage {
            self.chunk(&json!([]), Some(usage(&self.counts)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            self.delta(&json!({"role": "assistant", "content": ""}), out);
        }
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<u8>) {
        self.begin(out);
        self.chunk(&json!([{"index": 0, "delta": delta, "finish_reason": null}]), None, out);
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let mut chunk = json!({
            "id": self.manner.id(), "object": "chat.completion.chunk", "created": self.manner.now,
            "model": self.manner.model, "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        sse::data(&chunk, out);
    }
}

fn stop_of(stop: Option<Stop>, calls: usize) -> Stop {
    match stop {
        Some(Stop::End) | None if calls > 0 => Stop::Tools,
        Some(stop) => stop,
        None => Stop::End,
    }
}

fn call(id: &str, name: &str, arguments: &str, proof: Option<&Proof>) -> Value {
    let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    if let Some(proof) = proof {
        // Google's own compatible endpoint has it here, and clients give it back; others' seals are marked.
        let text = if proof.origin == Dialect::Gemini {
            proof.text.clone()
        } else {
            seal(proof, Dialect::OpenAi)
        };
        call["extra_content"] = json!({"google": {"thought_signature": text}});
    }
    call
}

fn usage(counts: &Counts) -> Value {
    json!({
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input.saturating_add(counts.output),
        "prompt_tokens_details": {"cached_tokens": counts.cached},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    })
}

/// A whole answer.
pub(in crate::wire) fn document(answer: &Answer, manner: &Manner) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let texts: Vec<&str> = answer.parts.iter().filter_map(Part::as_text).collect();
    if !texts.is_empty() {
        message["content"] = texts.concat().into();
    }
    let thoughts = answer.parts.iter().filter_map(|part| match part {
        Part::Thought { text, .. } if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    let thoughts = thoughts.collect::<Vec<_>>().join("\n");
    if !thoughts.is_empty() {
        message["reasoning_content"] = thoughts.into();
    }
    let calls = answer.parts.iter().filter_map(|part| match part {
        Part::Call { id, name, proof, .. } => Some((id, name, proof)),
        _ => None,
    });
    let calls: Vec<Value> = calls
        .zip(&answer.raw)
        .map(|((id, name, proof), raw)| call(id, name, if raw.is_empty() { "{}" } else { raw }, proof.as_ref()))
        .collect();
    let stop = stop_word(stop_of(answer.stop, calls.len()));
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({
        "id": manner.id(), "object": "chat.completion", "created": manner.now, "model": manner.model,
        "choices": [{"index": 0, "message": message, "finish_reason": stop, "logprobs": null}],
        "usage": usage(&answer.counts.unwrap_or_default()),
    })
}

/// A failure.
pub(in crate::wire) fn error(fault: &Fault, request: &str) -> Value {
    let kind = match fault.kind {
        Kind::Limited => "rate_limit_error",
        Kind::Unpaid => "insufficient_quota",
        Kind::Upstream | Kind::Overloaded | Kind::TimedOut | Kind::Internal => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": fault.message, "type": kind, "param": null, "code": fault.kind.code(), "request_id": request}})
}
