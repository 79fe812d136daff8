//! OpenAI chat completions.

use super::{Draft, text, tokens};
use maestria_kernel::model::{ModelRequest, Part, Speaker, Stop};
use serde_json::{Value, json};

/// The request's body.
pub fn encode(request: &ModelRequest) -> Value {
    let mut messages = vec![json!({"role": "system", "content": request.system})];
    for message in &request.messages {
        messages.extend(encode_message(message.speaker, &message.parts));
    }
    let mut body = json!({
        "model": request.model.model,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_completion_tokens": request.max_tokens,
    });
    if !request.tools.is_empty() {
        let tool = |t: &maestria_kernel::model::Tool| json!({"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}});
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(schema) = &request.schema {
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": false}});
    }
    if let Some(temperature) = request.temperature_percent {
        body["temperature"] = json!(f64::from(temperature) / 100.0);
    }
    body
}

fn encode_message(speaker: Speaker, parts: &[Part]) -> Vec<Value> {
    let said: Vec<&str> = parts
        .iter()
        .filter_map(|p| {
            if let Part::Text { text } = p {
                Some(text.as_str())
            } else {
                None
            }
        })
        .collect();
    let calls: Vec<Value> = parts
        .iter()
        .filter_map(|p| match p {
            Part::Call { id, name, arguments } => Some(
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}}),
            ),
            Part::Text { .. } | Part::Answer { .. } => None,
        })
        .collect();
    let mut out: Vec<Value> = parts
        .iter()
        .filter_map(|p| match p {
            Part::Answer { id, text, .. } => Some(json!({"role": "tool", "tool_call_id": id, "content": text})),
            Part::Text { .. } | Part::Call { .. } => None,
        })
        .collect();
    let role = if speaker == Speaker::User { "user" } else { "assistant" };
    if !said.is_empty() || !calls.is_empty() {
        let content = if said.is_empty() {
            Value::Null
        } else {
            said.join("\n").into()
        };
        let mut message = json!({"role": role, "content": content});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        out.push(message);
    }
    out
}

/// Takes account of one chunk.
pub fn decode(draft: &mut Draft, event: &Value) {
    if let Some(message) = text(event, "/error/message") {
        draft.error = Some(message.to_owned());
    }
    draft
        .text
        .push_str(text(event, "/choices/0/delta/content").unwrap_or_default());
    let calls = event.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array);
    for call in calls.into_iter().flatten() {
        let place = call["index"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0)
            .min(256);
        let entry = draft.call(place);
        entry.0.push_str(call["id"].as_str().unwrap_or_default());
        entry.1.push_str(text(call, "/function/name").unwrap_or_default());
        entry.2.push_str(text(call, "/function/arguments").unwrap_or_default());
    }
    match text(event, "/choices/0/finish_reason") {
        Some("stop") => draft.stop = Some(Stop::End),
        Some("tool_calls") => draft.stop = Some(Stop::Tools),
        Some("length") => draft.stop = Some(Stop::Length),
        Some(_) => draft.stop = Some(Stop::Refused),
        None => {}
    }
    if let Some(input) = tokens(event, "/usage/prompt_tokens") {
        draft.usage.input = input;
        draft.usage.cached = tokens(event, "/usage/prompt_tokens_details/cached_tokens").unwrap_or_default();
        draft.usage.output = tokens(event, "/usage/completion_tokens").unwrap_or_default();
    }
}
