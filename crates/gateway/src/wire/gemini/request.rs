//! Requests, both ways.

use crate::wire::{
    Dialect,
    ask::{Ask, Choice, Effort, Fields, Format, Losses, Part, Source, Thinking, Tool, Unreadable, any_schema, texts},
    media, proof, text,
};
use maestria_kernel::model::Speaker;
use serde_json::{Value, json};
use std::collections::VecDeque;

const FACE: Dialect = Dialect::Gemini;

/// What the vendor lets stand for the seal of a call that another model made.
const UNSEALED: &str = "skip_thought_signature_validator";

/// Reads a request; the model and the wish for a stream are in the path.
pub(in crate::wire) fn read(body: &Value, model: &str, stream: bool) -> Result<Ask, Unreadable> {
    let mut f = Fields::of(body)?;
    let mut ask = Ask {
        model: model.to_owned(),
        stream,
        ..Ask::default()
    };
    if f.either("cachedContent", "cached_content").is_some() {
        return Err(Unreadable::new(
            "cachedContent",
            "refers to what another provider stores; send the whole prompt",
        ));
    }
    if let Some(system) = f.either("systemInstruction", "system_instruction") {
        let mut calls = Calls::default();
        ask.system = read_parts(system, &mut calls, &mut ask.losses);
    }
    let contents = f.list("contents")?;
    if contents.is_empty() {
        return Err(Unreadable::new("contents", "is missing or empty"));
    }
    let mut calls = Calls::default();
    for content in contents {
        let speaker = match content["role"].as_str() {
            Some("model") => Speaker::Assistant,
            Some("user" | "function" | "tool") | None => Speaker::User,
            Some(other) => {
                return Err(Unreadable::new(
                    "contents.role",
                    format!("is `{other}`; there are user, model"),
                ));
            }
        };
        let parts = read_parts(content, &mut calls, &mut ask.losses);
        ask.say(speaker, parts);
    }
    for tool in f.list("tools")? {
        read_tools(&mut ask, tool);
    }
    if let Some(config) = f.either("toolConfig", "tool_config") {
        ask.choice = read_choice(config);
    }
    if let Some(config) = f.either("generationConfig", "generation_config") {
        read_config(&mut ask, config)?;
    }
    f.ignore(&["model", "labels"]);
    f.rest("", &mut ask.losses);
    Ok(ask)
}

/// Calls that wait for their results: this dialect often leaves out the ids.
#[derive(Default)]
struct Calls {
    made: usize,
    open: VecDeque<(String, String)>,
}

impl Calls {
    fn call(&mut self, id: Option<&str>, name: &str) -> String {
        let id = id.map_or_else(|| format!("call_{}", self.made), str::to_owned);
        self.made += 1;
        self.open.push_back((id.clone(), name.to_owned()));
        id
    }

    fn result(&mut self, id: Option<&str>, name: &str) -> String {
        let place = self
            .open
            .iter()
            .position(|(open, of)| id.map_or(of == name, |id| open == id));
        let waiting = place.and_then(|place| self.open.remove(place)).map(|(id, _)| id);
        waiting
            .or_else(|| id.map(str::to_owned))
            .unwrap_or_else(|| format!("call_{name}"))
    }
}

/// A field in either spelling.
fn field<'a>(value: &'a Value, camel: &str, snake: &str) -> &'a Value {
    match value.get(camel) {
        Some(found) => found,
        None => &value[snake],
    }
}

fn read_parts(content: &Value, calls: &mut Calls, losses: &mut Losses) -> Vec<Part> {
    let mut parts = Vec::new();
    for part in content["parts"].as_array().into_iter().flatten() {
        let seal = field(part, "thoughtSignature", "thought_signature").as_str();
        let seal = seal.filter(|s| *s != UNSEALED).map(|s| proof::unseal(s, FACE));
        let (data, file) = (
            field(part, "inlineData", "inline_data"),
            field(part, "fileData", "file_data"),
        );
        let (call, result) = (
            field(part, "functionCall", "function_call"),
            field(part, "functionResponse", "function_response"),
        );
        if part["thought"] == true {
            let text = part["text"].as_str().unwrap_or_default().to_owned();
            parts.push(Part::Thought { text, proof: seal });
        } else if let Some(text) = part["text"].as_str() {
            if seal.is_some() {
                parts.push(Part::Thought {
                    text: String::new(),
                    proof: seal,
                });
            }
            if !text.is_empty() {
                parts.push(Part::text(text));
            }
        } else if call.is_object() {
            let name = call["name"].as_str().unwrap_or_default();
            parts.push(Part::Call {
                id: calls.call(call["id"].as_str(), name),
                name: name.to_owned(),
                arguments: if call["args"].is_object() {
                    call["args"].clone()
                } else {
                    json!({})
                },
                proof: seal,
            });
        } else if result.is_object() {
            parts.push(read_result(result, calls));
        } else if data.is_object() {
            let mime = field(data, "mimeType", "mime_type").as_str().unwrap_or_default();
            parts.push(media::of_data(mime, data["data"].as_str().unwrap_or_default(), None));
        } else if file.is_object() {
            parts.push(Part::Media {
                mime: field(file, "mimeType", "mime_type")
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                source: Source::Url(
                    field(file, "fileUri", "file_uri")
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                ),
                name: None,
                cached: false,
            });
        } else if let Some(kind) = part.as_object().and_then(|p| p.keys().next()) {
            losses.note(format!("contents.parts.{kind}"));
        }
    }
    parts
}

fn read_result(result: &Value, calls: &mut Calls) -> Part {
    let name = result["name"].as_str().unwrap_or_default();
    let response = &result["response"];
    let told = text(response, "/output")
        .or_else(|| text(response, "/result"))
        .or_else(|| text(response, "/error"));
    let told = told.map_or_else(|| response.to_string(), str::to_owned);
    Part::Result {
        id: calls.result(result["id"].as_str(), name),
        name: name.to_owned(),
        parts: vec![Part::text(told)],
        failed: response.get("error").is_some_and(|e| !e.is_null()),
        cached: false,
    }
}

fn read_tools(ask: &mut Ask, tool: &Value) {
    for (kind, value) in tool.as_object().into_iter().flatten() {
        if !matches!(kind.as_str(), "functionDeclarations" | "function_declarations") {
            ask.losses.note(format!("tools.{kind}"));
            continue;
        }
        for declared in value.as_array().into_iter().flatten() {
            let schema = field(declared, "parametersJsonSchema", "parameters_json_schema");
            ask.tools.push(Tool {
                name: declared["name"].as_str().unwrap_or_default().to_owned(),
                description: declared["description"].as_str().unwrap_or_default().to_owned(),
                parameters: match (schema, &declared["parameters"]) {
                    (schema @ Value::Object(_), _) => schema.clone(),
                    (_, parameters @ Value::Object(_)) => lower_types(parameters.clone()),
                    _ => any_schema(),
                },
                strict: None,
                free: false,
                cached: false,
            });
        }
    }
}

/// The dialect's own schemas write `STRING` for `string`.
fn lower_types(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                let taken = value.take();
                *value = match taken {
                    Value::String(kind) if name == "type" => kind.to_lowercase().into(),
                    other => lower_types(other),
                };
            }
        }
        Value::Array(list) => {
            for value in list {
                *value = lower_types(value.take());
            }
        }
        _ => {}
    }
    schema
}

fn read_choice(config: &Value) -> Choice {
    let calling = field(config, "functionCallingConfig", "function_calling_config");
    let named = field(calling, "allowedFunctionNames", "allowed_function_names");
    match calling["mode"].as_str() {
        Some("NONE") => Choice::None,
        Some("ANY") => match texts(named).as_slice() {
            [one] => Choice::Named(one.clone()),
            _ => Choice::Any,
        },
        _ => Choice::Auto,
    }
}

fn read_config(ask: &mut Ask, config: &Value) -> Result<(), Unreadable> {
    let mut f = Fields::of(config)?;
    ask.temperature = f.number("temperature")?;
    ask.top_p = f.either("topP", "top_p").and_then(Value::as_f64);
    ask.top_k = f.either("topK", "top_k").and_then(Value::as_f64).map(whole);
    ask.max_tokens = f.either("maxOutputTokens", "max_output_tokens").and_then(Value::as_u64);
    ask.stop = f
        .either("stopSequences", "stop_sequences")
        .map(texts)
        .unwrap_or_default();
    ask.seed = f.get("seed").and_then(Value::as_i64);
    ask.presence_penalty = f.either("presencePenalty", "presence_penalty").and_then(Value::as_f64);
    ask.frequency_penalty = f
        .either("frequencyPenalty", "frequency_penalty")
        .and_then(Value::as_f64);
    let json = f
        .either("responseMimeType", "response_mime_type")
        .is_some_and(|m| m == "application/json");
    let exact = f.either("responseJsonSchema", "response_json_schema").cloned();
    let own = f.either("responseSchema", "response_schema").cloned().map(lower_types);
    ask.format = match exact.or(own) {
        Some(schema) => Format::Schema {
            name: "answer".to_owned(),
            schema,
            strict: false,
        },
        None if json => Format::Json,
        None => Format::Text,
    };
    if let Some(thinking) = f.either("thinkingConfig", "thinking_config") {
        ask.thinking = Some(read_thinking(thinking));
    }
    if f.either("candidateCount", "candidate_count")
        .and_then(Value::as_u64)
        .is_some_and(|n| n > 1)
    {
        ask.losses.note("generationConfig.candidateCount");
    }
    f.rest("generationConfig.", &mut ask.losses);
    Ok(())
}

/// A count that some clients write as a float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count; the cast saturates"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

fn read_thinking(thinking: &Value) -> Thinking {
    let level = field(thinking, "thinkingLevel", "thinking_level")
        .as_str()
        .unwrap_or_default();
    Thinking {
        effort: match level.to_lowercase().as_str() {
            "minimal" => Some(Effort::Minimal),
            "low" => Some(Effort::Low),
            "medium" => Some(Effort::Medium),
            "high" => Some(Effort::High),
            _ => None,
        },
        // -1 is: as the model likes.
        budget: field(thinking, "thinkingBudget", "thinking_budget").as_u64(),
        shown: field(thinking, "includeThoughts", "include_thoughts") == true,
    }
}

pub(in crate::wire) fn write(ask: &Ask, losses: &mut Losses) -> Value {
    let contents: Vec<Value> = ask
        .turns
        .iter()
        .map(|turn| {
            let role = if turn.speaker == Speaker::User { "user" } else { "model" };
            let mut parts = Vec::new();
            for part in &turn.parts {
                write_part(&mut parts, part);
            }
            if turn.speaker == Speaker::Assistant && ask.model.contains("gemini-3") {
                seal_calls(&mut parts);
            }
            json!({"role": role, "parts": parts})
        })
        .filter(|content| content["parts"].as_array().is_some_and(|p| !p.is_empty()))
        .collect();
    let mut body = json!({"contents": contents});
    let system: Vec<Value> = ask
        .system
        .iter()
        .filter_map(Part::as_text)
        .map(|t| json!({"text": t}))
        .collect();
    if !system.is_empty() {
        body["systemInstruction"] = json!({"parts": system});
    }
    if !ask.tools.is_empty() {
        let declared = ask.tools.iter().map(
            |tool| json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}),
        );
        body["tools"] = json!([{"functionDeclarations": declared.collect::<Vec<_>>()}]);
        let calling = match &ask.choice {
            Choice::Auto => None,
            Choice::None => Some(json!({"mode": "NONE"})),
            Choice::Any => Some(json!({"mode": "ANY"})),
            Choice::Named(name) => Some(json!({"mode": "ANY", "allowedFunctionNames": [name]})),
        };
        if let Some(calling) = calling {
            body["toolConfig"] = json!({"functionCallingConfig": calling});
        }
        losses.note_if(ask.parallel == Some(false), "parallel tool calls");
    }
    let config = write_config(ask);
    if config.as_object().is_some_and(|c| !c.is_empty()) {
        body["generationConfig"] = config;
    }
    losses.note_if(ask.user.is_some(), "user");
    body
}

fn write_config(ask: &Ask) -> Value {
    let mut config = json!({});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config[name] = value;
        }
    };
    set("maxOutputTokens", ask.max_tokens.map(Value::from));
    set("temperature", ask.temperature.map(Value::from));
    set("topP", ask.top_p.map(Value::from));
    set("topK", ask.top_k.map(Value::from));
    set("stopSequences", (!ask.stop.is_empty()).then(|| ask.stop.clone().into()));
    set("seed", ask.seed.map(Value::from));
    set("presencePenalty", ask.presence_penalty.map(Value::from));
    set("frequencyPenalty", ask.frequency_penalty.map(Value::from));
    if ask.format != Format::Text {
        set("responseMimeType", Some("application/json".into()));
    }
    if let Format::Schema { schema, .. } = &ask.format {
        set("responseJsonSchema", Some(schema.clone()));
    }
    set(
        "thinkingConfig",
        ask.thinking.map(|thinking| write_thinking(thinking, &ask.model)),
    );
    config
}

/// Models from the third generation on take a level, earlier ones a budget.
fn write_thinking(thinking: Thinking, model: &str) -> Value {
    let mut config = json!({});
    if thinking.shown {
        config["includeThoughts"] = true.into();
    }
    let older = ["gemini-1", "gemini-2"].iter().any(|mark| model.contains(mark));
    if older || thinking.effort.is_none() {
        if let Some(budget) = thinking.budget() {
            config["thinkingBudget"] = budget.into();
        }
    } else if let Some(effort) = thinking.effort {
        config["thinkingLevel"] = match effort {
            Effort::None | Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::Most => "high",
        }
        .into();
    }
    config
}

fn write_part(parts: &mut Vec<Value>, part: &Part) {
    match part {
        Part::Text { text, .. } if text.is_empty() => {}
        Part::Text { text, .. } => {
            // A seal alone is the seal on the text that follows it.
            match parts
                .last_mut()
                .filter(|last| last["text"] == "" && last.get("thoughtSignature").is_some())
            {
                Some(last) => last["text"] = text.clone().into(),
                None => parts.push(json!({"text": text})),
            }
        }
        Part::Media {
            mime,
            source: Source::Data(data),
            ..
        } => {
            parts.push(json!({"inlineData": {"mimeType": mime, "data": data}}));
        }
        Part::Media {
            mime,
            source: Source::Url(url),
            ..
        } => {
            let mut file = json!({"fileUri": url});
            if !mime.is_empty() {
                file["mimeType"] = mime.clone().into();
            }
            parts.push(json!({"fileData": file}));
        }
        Part::Thought { proof, .. } => {
            if let Some(seal) = proof::own(proof.as_ref(), FACE) {
                parts.push(json!({"text": "", "thoughtSignature": seal}));
            }
        }
        Part::Call {
            name, arguments, proof, ..
        } => {
            let mut call = json!({"functionCall": {"name": name, "args": arguments}});
            if let Some(seal) = proof::own(proof.as_ref(), FACE) {
                call["thoughtSignature"] = seal.into();
            }
            parts.push(call);
        }
        Part::Result {
            name,
            parts: told,
            failed,
            ..
        } => {
            let texts: Vec<&str> = told.iter().filter_map(Part::as_text).collect();
            let key = if *failed { "error" } else { "output" };
            parts.push(json!({"functionResponse": {"name": name, "response": {key: texts.join("\n")}}}));
            for shown in told.iter().filter(|p| matches!(p, Part::Media { .. })) {
                write_part(parts, shown);
            }
        }
    }
}

/// The vendor wants a seal on the first call of each turn.
fn seal_calls(parts: &mut [Value]) {
    if let Some(first) = parts.iter_mut().find(|part| part["functionCall"].is_object())
        && first.get("thoughtSignature").is_none()
    {
        first["thoughtSignature"] = UNSEALED.into();
    }
}
