//! Anthropic Messages: `POST /v1/messages`.

use serde_json::{Value, json};

use super::answer::{Answer, Input, Part, fresh, pieces};
use super::ask::{Ask, Tool, Turn};
use super::dialect::{Dialect, list, named, text_of};

pub(crate) fn read(body: &Value) -> Ask {
    Ask {
        dialect: Dialect::Anthropic,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        system: text_of(&body["system"]),
        turns: list(body, "messages").iter().map(turn).collect(),
        tools: list(body, "tools").iter().filter_map(tool).collect(),
        schema: schema(body),
        forced: (body["tool_choice"]["type"] == "tool")
            .then(|| body["tool_choice"]["name"].as_str().map(str::to_owned))
            .flatten(),
        size: body.to_string().len(),
    }
}

fn turn(message: &Value) -> Turn {
    let results = list(message, "content")
        .iter()
        .filter(|block| block["type"] == "tool_result")
        .count();
    Turn {
        user: message["role"] == "user",
        text: text_of(&message["content"]),
        results,
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    // Server-side tools (web search) have no schema and cannot be called by a script.
    let parameters = tool.get("input_schema")?;
    Some(Tool {
        name: tool["name"].as_str()?.to_owned(),
        parameters: Some(parameters.clone()),
    })
}

fn schema(body: &Value) -> Option<Value> {
    let format = body
        .pointer("/output_config/format")
        .or_else(|| body.get("output_format"))?;
    format.get("schema").cloned()
}

pub(crate) fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

fn block(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Call { name, input } => {
            let input = match input {
                Input::Json(value) => value.clone(),
                Input::Free(text) => json!({"input": text}),
            };
            json!({"type": "tool_use", "id": fresh("toolu"), "name": name, "input": input})
        }
    }
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.calls() { "tool_use" } else { "end_turn" }
}

fn usage(ask: &Ask, output: usize) -> Value {
    json!({"input_tokens": ask.size / 4, "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0})
}

pub(crate) fn document(ask: &Ask, answer: &Answer) -> Value {
    let mut blocks: Vec<Value> = answer.parts.iter().map(block).collect();
    if answer.bad_tool_json {
        // One document cannot hold broken JSON inside; a string where an object belongs is the nearest.
        blocks
            .iter_mut()
            .filter(|block| block["type"] == "tool_use")
            .for_each(|block| block["input"] = json!(answer.arguments(&block["input"])));
    }
    let mut out = json!({
        "id": fresh("msg"), "type": "message", "role": "assistant", "model": ask.model,
        "content": blocks, "stop_reason": stop_reason(answer), "stop_sequence": null,
    });
    if !answer.no_usage {
        out["usage"] = usage(ask, answer.tokens());
    }
    out
}

pub(crate) fn frames(ask: &Ask, answer: &Answer) -> Vec<String> {
    let mut message = json!({
        "id": fresh("msg"), "type": "message", "role": "assistant", "model": ask.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
    });
    let mut delta =
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null}});
    if !answer.no_usage {
        message["usage"] = usage(ask, 1);
        delta["usage"] = json!({"output_tokens": answer.tokens()});
    }
    let mut out = vec![named(
        "message_start",
        &json!({"type": "message_start", "message": message}),
    )];
    for (index, part) in answer.parts.iter().enumerate() {
        block_frames(index, part, answer, &mut out);
    }
    out.push(named("message_delta", &delta));
    out.push(named("message_stop", &json!({"type": "message_stop"})));
    out
}

fn block_frames(index: usize, part: &Part, answer: &Answer, out: &mut Vec<String>) {
    let whole = block(part);
    let mut start = whole.clone();
    let (field, deltas) = match part {
        Part::Text(text) => {
            start["text"] = json!("");
            (("text_delta", "text"), text.clone())
        }
        Part::Call { .. } => {
            start["input"] = json!({});
            (("input_json_delta", "partial_json"), answer.arguments(&whole["input"]))
        }
    };
    out.push(named(
        "content_block_start",
        &json!({"type": "content_block_start", "index": index, "content_block": start}),
    ));
    for piece in pieces(&deltas) {
        let delta = json!({"type": field.0, field.1: piece});
        out.push(named(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        ));
    }
    out.push(named(
        "content_block_stop",
        &json!({"type": "content_block_stop", "index": index}),
    ));
}
