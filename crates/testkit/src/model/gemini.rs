//! Gemini: `POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent`.

use serde_json::{Value, json};

use super::answer::{Answer, Input, Part, fresh, pieces};
use super::ask::{Ask, Tool, Turn};
use super::dialect::{Dialect, data, list, text_of};

pub(crate) fn read(path: &str, body: &Value) -> Ask {
    let (model, verb) = path
        .rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once(':'))
        .unwrap_or((path, ""));
    let config = &body["generationConfig"];
    let declared = list(body, "tools")
        .iter()
        .flat_map(|tool| list(tool, "functionDeclarations"));
    Ask {
        dialect: Dialect::Gemini,
        model: model.to_owned(),
        stream: verb == "streamGenerateContent",
        system: text_of(&body["systemInstruction"]["parts"]),
        turns: list(body, "contents").iter().map(turn).collect(),
        tools: declared.filter_map(tool).collect(),
        schema: schema(config),
        forced: None,
        size: body.to_string().len(),
    }
}

fn turn(content: &Value) -> Turn {
    let results = list(content, "parts")
        .iter()
        .filter(|part| part.get("functionResponse").is_some())
        .count();
    Turn {
        user: content["role"] != "model",
        text: text_of(&content["parts"]),
        results,
    }
}

fn tool(function: &Value) -> Option<Tool> {
    let parameters = function
        .get("parametersJsonSchema")
        .or_else(|| function.get("parameters"));
    let parameters = parameters.cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(Tool {
        name: function["name"].as_str()?.to_owned(),
        parameters: Some(parameters),
    })
}

fn schema(config: &Value) -> Option<Value> {
    let given = ["responseJsonSchema", "responseSchema"]
        .into_iter()
        .find_map(|name| config.get(name));
    let wants_json = config["responseMimeType"] == "application/json";
    given.cloned().or_else(|| wants_json.then(|| json!({"type": "object"})))
}

pub(crate) fn error_status(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

fn part(part: &Part, answer: &Answer) -> Value {
    match part {
        Part::Text(text) => json!({"text": text}),
        Part::Call { name, input } => {
            let whole = match input {
                Input::Json(value) => value.clone(),
                Input::Free(text) => json!({"input": text}),
            };
            // Arguments are an object here; a string in its place is the nearest to broken JSON.
            let args = if answer.bad_tool_json {
                json!(answer.arguments(&whole))
            } else {
                whole
            };
            json!({"functionCall": {"id": fresh("call"), "name": name, "args": args}})
        }
    }
}

fn chunk(ask: &Ask, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if let Some(reason) = finish {
        candidate["finishReason"] = json!(reason);
    }
    json!({"candidates": [candidate], "modelVersion": ask.model, "responseId": "scripted"})
}

fn with_usage(mut value: Value, ask: &Ask, answer: &Answer) -> Value {
    if !answer.no_usage {
        let (input, output) = (ask.size / 4, answer.tokens());
        value["usageMetadata"] =
            json!({"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output});
    }
    value
}

pub(crate) fn document(ask: &Ask, answer: &Answer) -> Value {
    let parts: Vec<Value> = answer.parts.iter().map(|piece| part(piece, answer)).collect();
    with_usage(chunk(ask, &parts, Some("STOP")), ask, answer)
}

pub(crate) fn frames(ask: &Ask, answer: &Answer) -> Vec<String> {
    let mut out = Vec::new();
    for whole in &answer.parts {
        match whole {
            Part::Text(text) => out.extend(
                pieces(text)
                    .into_iter()
                    .map(|piece| data(&chunk(ask, &[json!({"text": piece})], None))),
            ),
            call @ Part::Call { .. } => out.push(data(&chunk(ask, &[part(call, answer)], None))),
        }
    }
    out.push(data(&with_usage(
        chunk(ask, &[json!({"text": ""})], Some("STOP")),
        ask,
        answer,
    )));
    out
}
