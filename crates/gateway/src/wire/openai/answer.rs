//! Answers of a provider.

use crate::wire::{
    Dialect, Usage,
    ask::Proof,
    piece::{Counts, Fault, Kind, Piece, Stop},
    text,
};
use serde::{Deserialize as _, de::IgnoredAny};
use serde_json::Value;

/// Reads a stream, chunk by chunk.
#[derive(Debug, Default)]
pub(in crate::wire) struct Reader {
    begun: bool,
    calls: Vec<Call>,
    /// The call whose arguments go straight on; those of the others wait.
    current: Option<usize>,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    proof: Option<Proof>,
    arguments: String,
    told: bool,
}

impl Reader {
    pub(in crate::wire) fn event(&mut self, event: &Value, out: &mut Vec<Piece>) {
        if let Some(fault) = fault(event) {
            out.push(Piece::Fault(fault));
            return;
        }
        if !self.begun && (event["id"].is_string() || event["choices"].is_array()) {
            self.begun = true;
            out.push(begin(event));
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        said(delta, out);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, out);
        }
        if let Some(word) = choice["finish_reason"].as_str() {
            self.flush(out);
            out.push(Piece::Stop(stop(word)));
        }
        out.extend(counts(event).map(Piece::Counts));
    }

    fn call(&mut self, delta: &Value, out: &mut Vec<Piece>) {
        let newest = self.calls.len().saturating_sub(1);
        let place = delta["index"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(newest)
            .min(256);
        while self.calls.len() <= place {
            self.calls.push(Call::default());
        }
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            text(delta, "/id").unwrap_or_default().clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            text(delta, "/function/name")
                .unwrap_or_default()
                .clone_into(&mut call.name);
        }
        if let Some(seal) = text(delta, "/extra_content/google/thought_signature") {
            call.proof = Some(Proof {
                origin: Dialect::Gemini,
                text: seal.to_owned(),
            });
        }
        let arguments = text(delta, "/function/arguments").unwrap_or_default();
        call.arguments.push_str(arguments);
        match self.current {
            Some(current) if current == place => {
                if !arguments.is_empty() {
                    out.push(Piece::Arguments(arguments.to_owned()));
                }
            }
            Some(current) if !is_whole(&self.calls[current].arguments) => {}
            _ => self.tell(place, out),
        }
    }

    /// Tells a call that was not told yet, with what of its arguments has come.
    fn tell(&mut self, place: usize, out: &mut Vec<Piece>) {
        let call = &mut self.calls[place];
        if call.told || call.name.is_empty() {
            return;
        }
        call.told = true;
        self.current = Some(place);
        let id = if call.id.is_empty() {
            format!("call_{place}")
        } else {
            call.id.clone()
        };
        out.push(Piece::Call {
            id,
            name: call.name.clone(),
            proof: call.proof.take(),
        });
        if !call.arguments.is_empty() {
            out.push(Piece::Arguments(call.arguments.clone()));
        }
    }

    fn flush(&mut self, out: &mut Vec<Piece>) {
        for place in 0..self.calls.len() {
            self.tell(place, out);
        }
    }
}

fn is_whole(arguments: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

fn begin(event: &Value) -> Piece {
    Piece::Begin {
        id: text(event, "/id").unwrap_or_default().to_owned(),
        model: text(event, "/model").unwrap_or_default().to_owned(),
    }
}

fn said(message: &Value, out: &mut Vec<Piece>) {
    let told = |name: &str| message[name].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    out.extend(
        told("reasoning_content")
            .or_else(|| told("reasoning"))
            .map(Piece::Thought),
    );
    out.extend(told("content").map(Piece::Text));
    out.extend(told("refusal").map(Piece::Text));
}

/// Reads a whole answer.
pub(in crate::wire) fn document(body: &Value, out: &mut Vec<Piece>) {
    if let Some(fault) = fault(body) {
        out.push(Piece::Fault(fault));
        return;
    }
    out.push(begin(body));
    let message = &body["choices"][0]["message"];
    said(message, out);
    let mut reader = Reader::default();
    for (place, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let mut call = call.clone();
        call["index"] = place.into();
        reader.call(&call, out);
    }
    reader.flush(out);
    out.extend(
        body["choices"][0]["finish_reason"]
            .as_str()
            .map(|w| Piece::Stop(stop(w))),
    );
    out.extend(counts(body).map(Piece::Counts));
}

fn stop(word: &str) -> Stop {
    match word {
        "stop" => Stop::End,
        "tool_calls" | "function_call" => Stop::Tools,
        "length" => Stop::Length,
        _ => Stop::Refused,
    }
}

/// What the provider counted.
pub(in crate::wire) fn used(usage: &Usage) -> Counts {
    Counts {
        input: usage.prompt_tokens.0,
        // DeepSeek has a field of its own.
        cached: usage
            .prompt_tokens_details
            .0
            .cached_tokens
            .0
            .max(usage.prompt_cache_hit_tokens.0),
        written: 0,
        output: usage.completion_tokens.0,
        reasoning: usage.completion_tokens_details.0.reasoning_tokens.0,
    }
}

fn counts(body: &Value) -> Option<Counts> {
    let usage = body.get("usage").filter(|u| u.is_object())?;
    Usage::deserialize(usage).ok().as_ref().map(used)
}

fn fault(body: &Value) -> Option<Fault> {
    let error = body.get("error").filter(|e| !e.is_null())?;
    let message = text(error, "/message")
        .or_else(|| error.as_str())
        .unwrap_or("the provider failed");
    Some(Fault::new(Kind::Upstream, message))
}
