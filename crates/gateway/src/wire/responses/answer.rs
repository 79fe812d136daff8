//! Answers of a provider.

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
    /// Arguments of the open call came in pieces, so that the whole is not needed.
    pieces: bool,
    /// The same for the open text.
    said: bool,
    /// The open item is a call that was told.
    told: bool,
    calls: bool,
}

impl Reader {
    pub(in crate::wire) fn event(&mut self, event: &Value, out: &mut Vec<Piece>) {
        let delta = || event["delta"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "response.created" => out.push(begin(&event["response"])),
            "response.output_text.delta" | "response.refusal.delta" => {
                self.said = true;
                out.push(Piece::Text(delta()));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.said = true;
                out.push(Piece::Thought(delta()));
            }
            "response.output_item.added" => self.open(&event["item"], out),
            "response.function_call_arguments.delta" => {
                self.pieces = true;
                out.push(Piece::Arguments(delta()));
            }
            "response.output_item.done" => self.close(&event["item"], out),
            "response.completed" | "response.incomplete" => {
                let response = &event["response"];
                out.push(Piece::Stop(stop(response, self.calls)));
                out.extend(counts(response).map(Piece::Counts));
            }
            "response.failed" => out.push(Piece::Fault(fault(&event["response"]["error"]))),
            "error" => {
                let error = if event["error"].is_object() {
                    &event["error"]
                } else {
                    event
                };
                out.push(Piece::Fault(fault(error)));
            }
            _ => {}
        }
    }

    fn open(&mut self, item: &Value, out: &mut Vec<Piece>) {
        self.pieces = false;
        self.said = false;
        self.told = item["type"] == "function_call";
        if self.told {
            self.calls = true;
            out.push(call(item));
        }
    }

    /// Servers differ in how much they tell before an item is done; what was not told yet is told now.
    fn close(&mut self, item: &Value, out: &mut Vec<Piece>) {
        let (pieces, said) = (self.pieces, self.said);
        (self.pieces, self.said) = (false, false);
        match item["type"].as_str().unwrap_or_default() {
            "function_call" => {
                if !std::mem::take(&mut self.told) {
                    self.calls = true;
                    out.push(call(item));
                }
                if !pieces {
                    out.push(Piece::Arguments(text(item, "/arguments").unwrap_or("{}").to_owned()));
                }
            }
            "message" if !said => out.extend(texts(&item["content"]).map(Piece::Text)),
            "reasoning" => thought(item, !said, out),
            _ => {}
        }
    }
}

fn call(item: &Value) -> Piece {
    Piece::Call {
        id: text(item, "/call_id").unwrap_or_default().to_owned(),
        name: text(item, "/name").unwrap_or_default().to_owned(),
        proof: None,
    }
}

fn texts(content: &Value) -> impl Iterator<Item = String> {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter_map(|b| text(b, "/text").or_else(|| text(b, "/refusal")).map(str::to_owned))
}

fn thought(item: &Value, whole: bool, out: &mut Vec<Piece>) {
    if whole {
        out.extend(texts(&item["summary"]).map(Piece::Thought));
    }
    if let Some(seal) = text(item, "/encrypted_content") {
        out.push(Piece::Proof(Proof {
            origin: Dialect::Responses,
            text: seal.to_owned(),
        }));
    }
}

fn begin(response: &Value) -> Piece {
    Piece::Begin {
        id: text(response, "/id").unwrap_or_default().to_owned(),
        model: text(response, "/model").unwrap_or_default().to_owned(),
    }
}

/// Reads a whole answer.
pub(in crate::wire) fn document(body: &Value, out: &mut Vec<Piece>) {
    if body["error"].is_object() {
        out.push(Piece::Fault(fault(&body["error"])));
        return;
    }
    out.push(begin(body));
    let mut calls = false;
    for item in body["output"].as_array().into_iter().flatten() {
        match item["type"].as_str().unwrap_or_default() {
            "message" => out.extend(texts(&item["content"]).map(Piece::Text)),
            "reasoning" => thought(item, true, out),
            "function_call" => {
                calls = true;
                out.push(call(item));
                out.push(Piece::Arguments(text(item, "/arguments").unwrap_or("{}").to_owned()));
            }
            _ => {}
        }
    }
    if body["status"].is_string() {
        out.push(Piece::Stop(stop(body, calls)));
    }
    out.extend(counts(body).map(Piece::Counts));
}

fn stop(response: &Value, calls: bool) -> Stop {
    match text(response, "/incomplete_details/reason") {
        Some("max_output_tokens") => Stop::Length,
        Some(_) => Stop::Refused,
        None if calls => Stop::Tools,
        None => Stop::End,
    }
}

/// What the provider counted.
pub(in crate::wire) fn used(usage: &Usage) -> Counts {
    Counts {
        input: usage.input_tokens.0,
        cached: usage.input_tokens_details.0.cached_tokens.0,
        written: 0,
        output: usage.output_tokens.0,
        reasoning: usage.output_tokens_details.0.reasoning_tokens.0,
    }
}

fn counts(response: &Value) -> Option<Counts> {
    let usage = response.get("usage").filter(|u| u.is_object())?;
    Usage::deserialize(usage).ok().as_ref().map(used)
}

fn fault(error: &Value) -> Fault {
    let message = text(error, "/message").unwrap_or("the provider failed");
    let kind = match text(error, "/code") {
        Some("rate_limit_exceeded") => Kind::Limited,
        Some("server_is_overloaded" | "server_error") => Kind::Overloaded,
        _ => Kind::Upstream,
    };
    Fault::new(kind, message)
}
