//! OpenAI responses.

use super::{Draft, text, tokens};
use maestria_kernel::model::{ModelRequest, Part, Speaker, Stop};
use serde_json::{Value, json};

/// The request's body.
pub fn encode(request: &ModelRequest) -> Value {
    let mut input = Vec::new();
    for message in &request.messages {
        input.extend(message.parts.iter().map(|part| encode_part(message.speaker, part)));
    }
    let mut body = json!({
        "model": request.model.model,
        "instructions": request.system,
        "input": input,
        "max_output_tokens": request.max_tokens,
        "stream": true,
        "store": false,
    });
    if !request.tools.is_empty() {
        let tool = |t: &maestria_kernel::model::Tool| json!({"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters, "strict": false});
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(schema) = &request.schema {
        body["text"] = json!({"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": false}});
    }
    if let Some(temperature) = request.temperature_percent {
        body["temperature"] = json!(f64::from(temperature) / 100.0);
    }
    body
}

fn encode_part(speaker: Speaker, part: &Part) -> Value {
    match (part, speaker) {
        (Part::Text { text }, Speaker::User) => {
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        }
        (Part::Text { text }, Speaker::Assistant) => {
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
        }
        (Part::Call { id, name, arguments }, _) => {
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments.to_string()})
        }
        (Part::Answer { id, text, .. }, _) => json!({"type": "function_call_output", "call_id": id, "output": text}),
    }
}

/// Takes account of one event.
pub fn decode(draft: &mut Draft, event: &Value) {
    match event["type"].as_str().unwrap_or_default() {
        "response.output_text.delta" => draft.text.push_str(event["delta"].as_str().unwrap_or_default()),
        "response.output_item.done" if text(event, "/item/type") == Some("function_call") => {
            let field = |name: &str| text(event, &format!("/item/{name}")).unwrap_or_default().to_owned();
            draft.calls.push((field("call_id"), field("name"), field("arguments")));
        }
        "response.completed" | "response.incomplete" => {
            let length = text(event, "/response/incomplete_details/reason") == Some("max_output_tokens");
            draft.stop = Some(if length { Stop::Length } else { Stop::End });
            draft.usage.input = tokens(event, "/response/usage/input_tokens").unwrap_or_default();
            draft.usage.cached =
                tokens(event, "/response/usage/input_tokens_details/cached_tokens").unwrap_or_default();
            draft.usage.output = tokens(event, "/response/usage/output_tokens").unwrap_or_default();
        }
        "response.failed" => {
            draft.error = Some(
                text(event, "/response/error/message")
                    .unwrap_or("the response failed")
                    .to_owned(),
            );
        }
        "error" => {
            let message = text(event, "/message").or_else(|| text(event, "/error/message"));
            draft.error = Some(message.unwrap_or("unknown").to_owned());
        }
        _ => {}
    }
}
