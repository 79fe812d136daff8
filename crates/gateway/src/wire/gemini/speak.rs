//! Answers to a client.

use crate::wire::{
    Dialect, Manner,
    ask::{Part, Proof, arguments},
    piece::{Answer, Counts, Fault, Kind, Piece, Stop},
    proof::seal,
    sse,
};
use serde_json::{Value, json};

const FACE: Dialect = Dialect::Gemini;

/// Writes a stream, piece by piece. Calls are told whole, as the dialect wants it.
#[derive(Debug)]
pub(in crate::wire) struct Writer {
    manner: Manner,
    call: Option<(Value, String)>,
    told: bool,
    failed: bool,
    stop: Option<Stop>,
    counts: Counts,
}

impl Writer {
    pub(in crate::wire) fn new(manner: Manner) -> Self {
        Self {
            manner,
            call: None,
            told: false,
            failed: false,
            stop: None,
            counts: Counts::default(),
        }
    }

    pub(in crate::wire) fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Begin { .. } => {}
            Piece::Text(text) => self.part(&json!({"text": text}), out),
            Piece::Thought(text) => self.part(&json!({"text": text, "thought": true}), out),
            Piece::Proof(proof) => self.part(&json!({"text": "", "thoughtSignature": seal(proof, FACE)}), out),
            Piece::Call { id, name, proof } => {
                self.flush(out);
                self.call = Some((call(id, name, proof.as_ref()), String::new()));
            }
            Piece::Arguments(json) => {
                if let Some((_, arguments)) = &mut self.call {
                    arguments.push_str(json);
                }
            }
            Piece::Stop(stop) => self.stop = Some(*stop),
            Piece::Counts(counts) => self.counts.merge(*counts),
            Piece::Fault(fault) => {
                self.failed = true;
                self.emit(&error(fault, &self.manner.request), out);
            }
        }
    }

    pub(in crate::wire) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.failed {
            self.flush(out);
            let mut last = chunk(&self.manner, &[], &self.counts);
            last["candidates"][0]["finishReason"] = stop_word(self.stop).into();
            self.emit(&last, out);
        }
        if self.manner.array {
            out.extend_from_slice(if self.told { b"]" } else { b"[]" });
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some((mut call, text)) = self.call.take() {
            call["functionCall"]["args"] = arguments(&text);
            self.emit(&chunk(&self.manner, &[call], &self.counts), out);
        }
    }

    fn part(&mut self, part: &Value, out: &mut Vec<u8>) {
        self.flush(out);
        self.emit(&chunk(&self.manner, std::slice::from_ref(part), &self.counts), out);
    }

    fn emit(&mut self, event: &Value, out: &mut Vec<u8>) {
        if self.manner.array {
            out.extend_from_slice(if self.told { b",\n" } else { b"[" });
            out.extend_from_slice(event.to_string().as_bytes());
        } else {
            sse::data(event, out);
        }
        self.told = true;
    }
}

fn call(id: &str, name: &str, proof: Option<&Proof>) -> Value {
    let mut part = json!({"functionCall": {"id": id, "name": name, "args": {}}});
    if let Some(proof) = proof {
        part["thoughtSignature"] = seal(proof, FACE).into();
    }
    part
}

fn chunk(manner: &Manner, parts: &[Value], counts: &Counts) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "usageMetadata": usage(counts), "modelVersion": manner.model, "responseId": manner.id(),
    })
}

fn usage(counts: &Counts) -> Value {
    let mut usage = json!({
        "promptTokenCount": counts.input,
        "candidatesTokenCount": counts.output.saturating_sub(counts.reasoning),
        "totalTokenCount": counts.input.saturating_add(counts.output),
    });
    if counts.cached > 0 {
        usage["cachedContentTokenCount"] = counts.cached.into();
    }
    if counts.reasoning > 0 {
        usage["thoughtsTokenCount"] = counts.reasoning.into();
    }
    usage
}

fn stop_word(stop: Option<Stop>) -> &'static str {
    match stop {
        Some(Stop::End | Stop::Word | Stop::Tools) | None => "STOP",
        Some(Stop::Length) => "MAX_TOKENS",
        Some(Stop::Refused) => "SAFETY",
    }
}

/// A whole answer.
pub(in crate::wire) fn document(answer: &Answer, manner: &Manner) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text { text, .. } => parts.push(json!({"text": text})),
            Part::Thought { text, proof } => {
                let mut thought = json!({"text": text, "thought": true});
                if let Some(proof) = proof {
                    thought["thoughtSignature"] = seal(proof, FACE).into();
                }
                parts.push(thought);
            }
            Part::Call {
                id,
                name,
                arguments,
                proof,
            } => {
                let mut call = call(id, name, proof.as_ref());
                call["functionCall"]["args"] = arguments.clone();
                parts.push(call);
            }
            Part::Media { .. } | Part::Result { .. } => {}
        }
    }
    let mut document = chunk(manner, &parts, &answer.counts.unwrap_or_default());
    document["candidates"][0]["finishReason"] = stop_word(answer.stop).into();
    document
}

/// A failure.
pub(in crate::wire) fn error(fault: &Fault, request: &str) -> Value {
    let status = match fault.kind {
        Kind::Invalid | Kind::TooLarge | Kind::TooLong => "INVALID_ARGUMENT",
        Kind::Unauthorised => "UNAUTHENTICATED",
        Kind::Unpaid | Kind::Limited => "RESOURCE_EXHAUSTED",
        Kind::Forbidden => "PERMISSION_DENIED",
        Kind::NotFound => "NOT_FOUND",
        Kind::Upstream | Kind::Internal => "INTERNAL",
        Kind::Overloaded => "UNAVAILABLE",
        Kind::TimedOut => "DEADLINE_EXCEEDED",
    };
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.kind.code(),
        "metadata": {"request_id": request},
    });
    json!({"error": {"code": fault.kind.status(), "message": fault.message, "status": status, "details": [info]}})
}
