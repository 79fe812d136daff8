//! OpenAI Responses: `POST /v1/responses`.

use serde_json::{Value, json};

use super::answer::{Answer, Input, Part, fresh, pieces};
use super::ask::{Ask, Tool, Turn};
use super::dialect::{Dialect, list, named, text_of};

pub(crate) fn read(body: &Value) -> Ask {
    let mut tools = Vec::new();
    declared(list(body, "tools"), &mut tools);
    Ask {
        dialect: Dialect::Responses,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        system: body["instructions"].as_str().unwrap_or_default().to_owned(),
        turns: turns(&body["input"]),
        tools,
        schema: schema(&body["text"]["format"]),
        forced: body["tool_choice"]["name"].as_str().map(str::to_owned),
        size: body.to_string().len(),
    }
}

fn turns(input: &Value) -> Vec<Turn> {
    match input {
        Value::String(text) => vec![Turn {
            user: true,
            text: text.clone(),
            results: 0,
        }],
        Value::Array(items) => items.iter().map(turn).collect(),
        _ => Vec::new(),
    }
}

fn turn(item: &Value) -> Turn {
    let kind = item["type"].as_str().unwrap_or("message");
    if kind.ends_with("_call_output") {
        return Turn {
            user: true,
            text: String::new(),
            results: 1,
        };
    }
    Turn {
        user: item["role"] == "user",
        text: text_of(&item["content"]),
        results: 0,
    }
}

/// Functions, free-form tools, and both again inside namespaces.
fn declared(tools: &[Value], out: &mut Vec<Tool>) {
    for tool in tools {
        let Some(name) = tool["name"].as_str() else { continue };
        match tool["type"].as_str() {
            Some("function") => out.push(Tool {
                name: name.to_owned(),
                parameters: Some(tool["parameters"].clone()),
            }),
            Some("custom") => out.push(Tool {
                name: name.to_owned(),
                parameters: None,
            }),
            Some("namespace") => declared(list(tool, "tools"), out),
            _ => {}
        }
    }
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => format.get("schema").cloned(),
        "json_object" => Some(json!({"type": "object"})),
        _ => None,
    }
}

fn item(part: &Part, answer: &Answer) -> Value {
    match part {
        Part::Text(text) => json!({
            "type": "message", "id": fresh("msg"), "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
        }),
        Part::Call {
            name,
            input: Input::Json(value),
        } => json!({
            "type": "function_call", "id": fresh("fc"), "status": "completed", "call_id": fresh("call"),
            "name": name, "arguments": answer.arguments(value),
        }),
        Part::Call {
            name,
            input: Input::Free(text),
        } => json!({
            "type": "custom_tool_call", "id": fresh("ctc"), "status": "completed", "call_id": fresh("call"),
            "name": name, "input": text,
        }),
    }
}

fn envelope(id: &str, ask: &Ask, status: &str) -> Value {
    json!({"id": id, "object": "response", "created_at": 1_700_000_000, "status": status, "model": ask.model, "output": [], "error": null})
}

fn finished(id: &str, ask: &Ask, answer: &Answer, items: Vec<Value>) -> Value {
    let mut out = envelope(id, ask, "completed");
    out["output"] = Value::Array(items);
    if !answer.no_usage {
        let (input, output) = (ask.size / 4, answer.tokens());
        out["usage"] = json!({
            "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output,
        });
    }
    out
}

pub(crate) fn document(ask: &Ask, answer: &Answer) -> Value {
    let items = answer.parts.iter().map(|part| item(part, answer)).collect();
    finished(&fresh("resp"), ask, answer, items)
}

pub(crate) fn frames(ask: &Ask, answer: &Answer) -> Vec<String> {
    let id = fresh("resp");
    let items: Vec<Value> = answer.parts.iter().map(|part| item(part, answer)).collect();
    let mut events = vec![
        json!({"type": "response.created", "response": envelope(&id, ask, "in_progress")}),
        json!({"type": "response.in_progress", "response": envelope(&id, ask, "in_progress")}),
    ];
    for (index, item) in items.iter().enumerate() {
        item_events(index, item, &mut events);
    }
    events.push(json!({"type": "response.completed", "response": finished(&id, ask, answer, items)}));
    events.into_iter().enumerate().map(numbered).collect()
}

fn item_events(index: usize, item: &Value, out: &mut Vec<Value>) {
    let (field, event) = match item["type"].as_str() {
        Some("function_call") => ("arguments", "response.function_call_arguments"),
        Some("custom_tool_call") => ("input", "response.custom_tool_call_input"),
        _ => ("content", "response.output_text"),
    };
    let whole = item[field]
        .as_str()
        .or_else(|| item.pointer("/content/0/text")?.as_str())
        .unwrap_or_default();
    let mut start = item.clone();
    start["status"] = json!("in_progress");
    start[field] = if field == "content" { json!([]) } else { json!("") };
    out.push(json!({"type": "response.output_item.added", "output_index": index, "item": start}));
    let here = |kind: &str, field: &str, text: &str| json!({"type": format!("{event}.{kind}"), "item_id": item["id"], "output_index": index, "content_index": 0, field: text});
    let empty_part = json!({"type": "output_text", "text": "", "annotations": []});
    if field == "content" {
        out.push(json!({"type": "response.content_part.added", "item_id": item["id"], "output_index": index, "content_index": 0, "part": empty_part}));
    }
    out.extend(pieces(whole).into_iter().map(|piece| here("delta", "delta", piece)));
    out.push(here("done", if field == "content" { "text" } else { field }, whole));
    if field == "content" {
        out.push(json!({"type": "response.content_part.done", "item_id": item["id"], "output_index": index, "content_index": 0, "part": item["content"][0]}));
    }
    out.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
}

fn numbered((number, mut event): (usize, Value)) -> String {
    event["sequence_number"] = json!(number);
    let name = event["type"].as_str().unwrap_or_default().to_owned();
    named(&name, &event)
}

/// A stream's own way to fail after a 200.
pub(crate) fn failure(message: &str) -> String {
    let error = json!({"code": "server_error", "message": message});
    let response = json!({"id": fresh("resp"), "object": "response", "status": "failed", "output": [], "error": error});
    named(
        "response.failed",
        &json!({"type": "response.failed", "sequence_number": 0, "response": response}),
    )
}
