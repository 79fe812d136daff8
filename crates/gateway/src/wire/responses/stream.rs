//! Streams to a client: every item is opened, told piece by piece, and closed with the whole of it.

use super::speak;
use crate::wire::{
    Manner,
    ask::Proof,
    piece::{Counts, Fault, Piece, Stop},
    sse,
};
use serde_json::{Value, json};

/// The item that is open.
#[derive(Debug)]
enum Item {
    Text(String),
    Thought {
        text: String,
        proof: Option<Proof>,
    },
    Call {
        id: String,
        name: String,
        arguments: String,
    },
}

/// Writes a stream, piece by piece.
#[derive(Debug)]
pub(in crate::wire) struct Writer {
    manner: Manner,
    begun: bool,
    failed: bool,
    number: u64,
    open: Option<Item>,
    output: Vec<Value>,
    stop: Option<Stop>,
    counts: Counts,
}

impl Writer {
    pub(in crate::wire) fn new(manner: Manner) -> Self {
        Self {
            manner,
            begun: false,
            failed: false,
            number: 0,
            open: None,
            output: Vec::new(),
            stop: None,
            counts: Counts::default(),
        }
    }

    pub(in crate::wire) fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Begin { .. } => self.begin(out),
            Piece::Text(text) => self.text(text, out),
            Piece::Thought(text) => self.thought(text, out),
            Piece::Proof(seal) => {
                if !matches!(self.open, Some(Item::Thought { .. })) {
                    self.open_thought(out);
                }
                if let Some(Item::Thought { proof, .. }) = &mut self.open {
                    *proof = Some(seal.clone());
                }
                self.close(out);
            }
            Piece::Call { id, name, .. } => {
                self.begin(out);
                self.close(out);
                let item = speak::call(&self.manner, &self.item(), id, name, "in_progress", "");
                self.emit(
                    "response.output_item.added",
                    json!({"output_index": self.output.len(), "item": item}),
                    out,
                );
                self.open = Some(Item::Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                });
            }
            Piece::Arguments(json) => self.arguments(json, out),
            Piece::Stop(stop) => self.stop = Some(*stop),
            Piece::Counts(counts) => self.counts.merge(*counts),
            Piece::Fault(fault) => self.fail(fault, out),
        }
    }

    pub(in crate::wire) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        self.begin(out);
        self.close(out);
        let response = speak::ended(&self.manner, &self.output, self.stop, &self.counts);
        let kind = if response["status"] == "incomplete" {
            "response.incomplete"
        } else {
            "response.completed"
        };
        self.emit(kind, json!({ "response": response }), out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let response = speak::response(&self.manner, "in_progress", &[], None);
            self.emit("response.created", json!({ "response": response }), out);
            self.emit("response.in_progress", json!({ "response": response }), out);
        }
    }

    fn item(&self) -> String {
        self.manner.item(self.output.len())
    }

    fn text(&mut self, new: &str, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Item::Text(_))) {
            self.begin(out);
            self.close(out);
            let item = speak::message(&self.item(), "in_progress", None);
            self.emit(
                "response.output_item.added",
                json!({"output_index": self.output.len(), "item": item}),
                out,
            );
            self.about(
                "response.content_part.added",
                json!({"content_index": 0, "part": speak::text_part("")}),
                out,
            );
            self.open = Some(Item::Text(String::new()));
        }
        if let Some(Item::Text(text)) = &mut self.open {
            text.push_str(new);
        }
        self.about(
            "response.output_text.delta",
            json!({"content_index": 0, "delta": new, "logprobs": []}),
            out,
        );
    }

    fn thought(&mut self, new: &str, out: &mut Vec<u8>) {
        let fresh = !matches!(&self.open, Some(Item::Thought { .. }));
        if fresh {
            self.open_thought(out);
        }
        if let Some(Item::Thought { text, .. }) = &mut self.open {
            let first = text.is_empty();
            text.push_str(new);
            if first {
                let part = json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}});
                self.about("response.reasoning_summary_part.added", part, out);
            }
        }
        self.about(
            "response.reasoning_summary_text.delta",
            json!({"summary_index": 0, "delta": new}),
            out,
        );
    }

    fn open_thought(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close(out);
        let item = speak::reasoning(&self.item(), "", None);
        self.emit(
            "response.output_item.added",
            json!({"output_index": self.output.len(), "item": item}),
            out,
        );
        self.open = Some(Item::Thought {
            text: String::new(),
            proof: None,
        });
    }

    fn arguments(&mut self, json: &str, out: &mut Vec<u8>) {
        let Some(Item::Call { name, arguments, .. }) = &mut self.open else {
            return;
        };
        arguments.push_str(json);
        // Plain text is inside a JSON object here; it is told when the object is whole.
        if !self.manner.is_free(name) {
            self.about("response.function_call_arguments.delta", json!({ "delta": json }), out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let id = self.item();
        let done = match self.open.take() {
            None => return,
            Some(Item::Text(text)) => {
                let whole = json!({"content_index": 0, "text": text, "logprobs": []});
                self.about("response.output_text.done", whole, out);
                let part = json!({"content_index": 0, "part": speak::text_part(&text)});
                self.about("response.content_part.done", part, out);
                speak::message(&id, "completed", Some(&text))
            }
            Some(Item::Thought { text, proof }) => {
                if !text.is_empty() {
                    self.about(
                        "response.reasoning_summary_text.done",
                        json!({"summary_index": 0, "text": text}),
                        out,
                    );
                    let part = json!({"summary_index": 0, "part": {"type": "summary_text", "text": text}});
                    self.about("response.reasoning_summary_part.done", part, out);
                }
                speak::reasoning(&id, &text, proof.as_ref())
            }
            Some(Item::Call {
                id: call,
                name,
                arguments,
            }) => {
                let whole = if arguments.is_empty() { "{}" } else { &arguments };
                let item = speak::call(&self.manner, &id, &call, &name, "completed", whole);
                if self.manner.is_free(&name) {
                    self.about(
                        "response.custom_tool_call_input.delta",
                        json!({"delta": item["input"]}),
                        out,
                    );
                    self.about(
                        "response.custom_tool_call_input.done",
                        json!({"input": item["input"]}),
                        out,
                    );
                } else {
                    let done = json!({"name": name, "arguments": whole});
                    self.about("response.function_call_arguments.done", done, out);
                }
                item
            }
        };
        self.emit(
            "response.output_item.done",
            json!({"output_index": self.output.len(), "item": done}),
            out,
        );
        self.output.push(done);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.failed = true;
        self.begin(out);
        let mut response = speak::response(&self.manner, "failed", &self.output, Some(&self.counts));
        response["error"] = json!({"code": fault.kind.code(), "message": fault.message});
        self.emit("response.failed", json!({ "response": response }), out);
    }

    /// An event about the open item.
    fn about(&mut self, kind: &str, mut event: Value, out: &mut Vec<u8>) {
        event["item_id"] = self.item().into();
        event["output_index"] = self.output.len().into();
        self.emit(kind, event, out);
    }

    fn emit(&mut self, kind: &str, mut event: Value, out: &mut Vec<u8>) {
        event["type"] = kind.into();
        event["sequence_number"] = self.number.into();
        self.number += 1;
        sse::named(kind, &event, out);
    }
}
