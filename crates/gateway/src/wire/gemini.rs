//! Gemini generateContent.

use super::{Draft, text, tokens};
use maestria_kernel::{
    Tokens,
    model::{ModelRequest, Part, Speaker, Stop},
};
use serde_json::{Value, json};

/// The request's body.
pub fn encode(request: &ModelRequest) -> Value {
    let contents: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = if message.speaker == Speaker::User {
                "user"
            } else {
                "model"
            };
            json!({"role": role, "parts": message.parts.iter().map(encode_part).collect::<Vec<_>>()})
        })
        .collect();
    let mut generation = json!({"maxOutputTokens": request.max_tokens});
    if let Some(schema) = &request.schema {
        generation["responseMimeType"] = "application/json".into();
        generation["responseJsonSchema"] = schema.clone();
    }
    if let Some(temperature) = request.temperature_percent {
        generation["temperature"] = json!(f64::from(temperature) / 100.0);
    }
    let mut body = json!({
        "systemInstruction": {"parts": [{"text": request.system}]},
        "contents": contents,
        "generationConfig": generation,
    });
    if !request.tools.is_empty() {
        let tool = |t: &maestria_kernel::model::Tool| json!({"name": t.name, "description": t.description, "parametersJsonSchema": t.parameters});
        body["tools"] = json!([{"functionDeclarations": request.tools.iter().map(tool).collect::<Vec<_>>()}]);
    }
    body
}

fn encode_part(part: &Part) -> Value {
    match part {
        Part::Text { text } => json!({"text": text}),
        Part::Call { name, arguments, .. } => json!({"functionCall": {"name": name, "args": arguments}}),
        Part::Answer { name, text, failed, .. } => {
            let key = if *failed { "error" } else { "output" };
            json!({"functionResponse": {"name": name, "response": {key: text}}})
        }
    }
}

/// Takes account of one chunk.
pub fn decode(draft: &mut Draft, event: &Value) {
    if let Some(message) = text(event, "/error/message") {
        draft.error = Some(message.to_owned());
    }
    let parts = event.pointer("/candidates/0/content/parts").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        if part["thought"].as_bool() != Some(true) {
            draft.text.push_str(part["text"].as_str().unwrap_or_default());
        }
        if let Some(name) = text(part, "/functionCall/name") {
            let id = text(part, "/functionCall/id").unwrap_or_default().to_owned();
            draft
                .calls
                .push((id, name.to_owned(), part["functionCall"]["args"].to_string()));
        }
    }
    match text(event, "/candidates/0/finishReason") {
        Some("STOP") => draft.stop = Some(Stop::End),
        Some("MAX_TOKENS") => draft.stop = Some(Stop::Length),
        Some(_) => draft.stop = Some(Stop::Refused),
        None => {}
    }
    if let Some(input) = tokens(event, "/usageMetadata/promptTokenCount") {
        let count = |name: &str| tokens(event, &format!("/usageMetadata/{name}")).unwrap_or_default().0;
        draft.usage.input = input;
        draft.usage.cached = Tokens(count("cachedContentTokenCount"));
        draft.usage.output = Tokens(count("candidatesTokenCount") + count("thoughtsTokenCount"));
    }
}
