//! Whole answers to a client, and the objects that its stream is made of.

use crate::wire::{
    Dialect, Manner,
    ask::{Part, Proof},
    piece::{Answer, Counts, Stop},
    proof::seal,
};
use serde_json::{Value, json};

const FACE: Dialect = Dialect::Responses;

/// The response object, at any moment of its life.
pub(super) fn response(manner: &Manner, status: &str, output: &[Value], counts: Option<&Counts>) -> Value {
    json!({
        "id": manner.id(), "object": "response", "created_at": manner.now, "status": status, "model": manner.model,
        "output": output, "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "parallel_tool_calls": true, "temperature": null, "top_p": null, "tool_choice": "auto", "tools": [],
        "usage": counts.map(usage),
    })
}

fn usage(counts: &Counts) -> Value {
    json!({
        "input_tokens": counts.input, "input_tokens_details": {"cached_tokens": counts.cached},
        "output_tokens": counts.output, "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.input.saturating_add(counts.output),
    })
}

/// The response object at its end.
pub(super) fn ended(manner: &Manner, output: &[Value], stop: Option<Stop>, counts: &Counts) -> Value {
    let reason = match stop {
        Some(Stop::Length) => Some("max_output_tokens"),
        Some(Stop::Refused) => Some("content_filter"),
        Some(Stop::End | Stop::Word | Stop::Tools) | None => None,
    };
    let status = if reason.is_some() { "incomplete" } else { "completed" };
    let mut response = response(manner, status, output, Some(counts));
    if let Some(reason) = reason {
        response["incomplete_details"] = json!({"reason": reason});
    }
    response
}

/// A text item.
pub(super) fn message(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(text_part).into_iter().collect();
    json!({"type": "message", "id": id, "status": status, "role": "assistant", "content": content})
}

/// The part of a text item.
pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

/// A thought item.
pub(super) fn reasoning(id: &str, text: &str, proof: Option<&Proof>) -> Value {
    let mut summary = Vec::new();
    if !text.is_empty() {
        summary.push(json!({"type": "summary_text", "text": text}));
    }
    json!({"type": "reasoning", "id": id, "summary": summary, "encrypted_content": proof.map(|p| seal(p, FACE))})
}

/// A call item; a call of a tool that takes plain text is one of its own kind.
pub(super) fn call(manner: &Manner, item: &str, id: &str, name: &str, status: &str, arguments: &str) -> Value {
    if manner.is_free(name) {
        let input = serde_json::from_str::<Value>(arguments).ok();
        let input = input
            .and_then(|v| v["input"].as_str().map(str::to_owned))
            .unwrap_or_default();
        return json!({"type": "custom_tool_call", "id": item, "status": status, "call_id": id, "name": name, "input": input});
    }
    json!({"type": "function_call", "id": item, "status": status, "call_id": id, "name": name, "arguments": arguments})
}

/// A whole answer.
pub(in crate::wire) fn document(answer: &Answer, manner: &Manner) -> Value {
    let mut raw = answer.raw.iter();
    let mut output = Vec::new();
    for (index, part) in answer.parts.iter().enumerate() {
        let id = manner.item(index);
        match part {
            Part::Text { text, .. } => output.push(message(&id, "completed", Some(text))),
            Part::Thought { text, proof } => output.push(reasoning(&id, text, proof.as_ref())),
            Part::Call { id: call_id, name, .. } => {
                let arguments = raw.next().map(String::as_str).filter(|r| !r.is_empty()).unwrap_or("{}");
                output.push(call(manner, &id, call_id, name, "completed", arguments));
            }
            Part::Media { .. } | Part::Result { .. } => {}
        }
    }
    ended(manner, &output, answer.stop, &answer.counts.unwrap_or_default())
}
