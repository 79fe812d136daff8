//! Anthropic messages.

use super::{Draft, text, tokens};
use maestria_kernel::{
    Tokens,
    model::{ModelRequest, Part, Speaker, Stop},
};
use serde_json::{Value, json};

/// The request's body. A schema becomes a tool that the model must call.
pub fn encode(request: &ModelRequest) -> Value {
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = if message.speaker == Speaker::User {
                "user"
            } else {
                "assistant"
            };
            json!({"role": role, "content": message.parts.iter().map(encode_part).collect::<Vec<_>>()})
        })
        .collect();
    let mut body = json!({
        "model": request.model.model,
        "system": request.system,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "stream": true,
    });
    let mut tools: Vec<Value> = request
        .tools
        .iter()
        .map(|t| json!({"name": t.name, "description": t.description, "input_schema": t.parameters}))
        .collect();
    if let Some(schema) = &request.schema {
        tools.push(json!({"name": ANSWER, "description": "Gives the answer.", "input_schema": schema}));
        body["tool_choice"] = json!({"type": "tool", "name": ANSWER});
    }
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    if let Some(temperature) = request.temperature_percent {
        body["temperature"] = json!(f64::from(temperature.min(100)) / 100.0);
    }
    body
}

/// The tool that carries an answer of a schema.
const ANSWER: &str = "answer_with_json";

fn encode_part(part: &Part) -> Value {
    match part {
        Part::Text { text } => json!({"type": "text", "text": text}),
        Part::Call { id, name, arguments } => json!({"type": "tool_use", "id": id, "name": name, "input": arguments}),
        Part::Answer { id, text, failed, .. } => {
            json!({"type": "tool_result", "tool_use_id": id, "content": text, "is_error": failed})
        }
    }
}

/// Takes account of one event.
pub fn decode(draft: &mut Draft, event: &Value) {
    let place = event["index"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
        .min(256);
    match event["type"].as_str().unwrap_or_default() {
        "message_start" => {
            let count = |name: &str| tokens(event, &format!("/message/usage/{name}")).unwrap_or_default().0;
            let cached = count("cache_read_input_tokens");
            draft.usage.input = Tokens(count("input_tokens") + cached + count("cache_creation_input_tokens"));
            draft.usage.cached = Tokens(cached);
        }
        "content_block_start" if text(event, "/content_block/type") == Some("tool_use") => {
            let entry = draft.call(place);
            entry.0 = text(event, "/content_block/id").unwrap_or_default().to_owned();
            entry.1 = text(event, "/content_block/name").unwrap_or_default().to_owned();
        }
        "content_block_delta" => {
            draft.text.push_str(text(event, "/delta/text").unwrap_or_default());
            if let Some(json) = text(event, "/delta/partial_json") {
                draft.call(place).2.push_str(json);
            }
        }
        "message_delta" => {
            draft.stop = match text(event, "/delta/stop_reason") {
                Some("end_turn" | "stop_sequence") => Some(Stop::End),
                Some("tool_use") => Some(Stop::Tools),
                Some("max_tokens") => Some(Stop::Length),
                Some(_) => Some(Stop::Refused),
                None => draft.stop,
            };
            if let Some(output) = tokens(event, "/usage/output_tokens") {
                draft.usage.output = output;
            }
        }
        "message_stop" => {
            draft.stop = draft.stop.or(Some(Stop::End));
            answer_as_text(draft);
        }
        "error" => draft.error = Some(text(event, "/error/message").unwrap_or("unknown").to_owned()),
        _ => {}
    }
}

/// The answer of a schema was asked for as text, and is handed over as text.
fn answer_as_text(draft: &mut Draft) {
    if let Some(place) = draft.calls.iter().position(|(_, name, _)| name == ANSWER) {
        let (_, _, arguments) = draft.calls.remove(place);
        draft.text = arguments;
        draft.stop = Some(Stop::End);
    }
}
