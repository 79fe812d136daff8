//! Requests, both ways.

use crate::wire::{
    Dialect,
    ask::{
        Ask, Choice, Fields, Format, Losses, Part, Source, Thinking, Tool, Turn, Unreadable, any_schema, arguments,
        free_schema,
    },
    media,
    openai::{effort, effort_word},
    proof, text,
};
use maestria_kernel::model::Speaker;
use serde_json::{Value, json};

const FACE: Dialect = Dialect::Responses;

pub(in crate::wire) fn read(body: &Value) -> Result<Ask, Unreadable> {
    let mut f = Fields::of(body)?;
    for stored in ["previous_response_id", "conversation", "prompt"] {
        if f.get(stored).is_some() {
            return Err(Unreadable::new(
                stored,
                "refers to what another provider stores; send the whole conversation",
            ));
        }
    }
    if f.flag("background")?.unwrap_or(false) {
        return Err(Unreadable::new("background", "cannot be carried to another dialect"));
    }
    let mut ask = Ask {
        model: f
            .text("model")?
            .ok_or_else(|| Unreadable::new("model", "is missing"))?
            .to_owned(),
        stream: f.flag("stream")?.unwrap_or(false),
        max_tokens: f.count("max_output_tokens")?,
        ..Ask::default()
    };
    if let Some(instructions) = f.text("instructions")?.filter(|t| !t.is_empty()) {
        ask.system.push(Part::text(instructions));
    }
    match f.get("input") {
        Some(Value::String(text)) => ask.say(Speaker::User, [Part::text(text.clone())]),
        Some(Value::Array(items)) => {
            for item in items {
                read_item(&mut ask, item)?;
            }
        }
        _ => return Err(Unreadable::new("input", "is missing")),
    }
    for tool in f.list("tools")? {
        read_tool(&mut ask, tool)?;
    }
    ask.choice = f.get("tool_choice").map_or(Ok(Choice::Auto), read_choice)?;
    ask.parallel = f.flag("parallel_tool_calls")?;
    ask.temperature = f.number("temperature")?;
    ask.top_p = f.number("top_p")?;
    ask.user = f.text("user")?.map(str::to_owned);
    ask.cache_key = f.text("prompt_cache_key")?.map(str::to_owned);
    if let Some(reasoning) = f.get("reasoning") {
        ask.thinking = Some(Thinking {
            effort: text(reasoning, "/effort").map(effort).transpose()?,
            budget: None,
            shown: reasoning["summary"].is_string(),
        });
    }
    if let Some(output) = f.get("text") {
        ask.format = read_format(output)?;
        ask.losses.note_if(
            output["verbosity"].as_str().is_some_and(|v| v != "medium"),
            "text.verbosity",
        );
    }
    // Whether an answer is stored, and what an answer shows besides itself, does not change it.
    f.ignore(&[
        "store",
        "include",
        "metadata",
        "client_metadata",
        "safety_identifier",
        "stream_options",
    ]);
    f.ignore(&["prompt_cache_retention", "truncation"]);
    f.rest("", &mut ask.losses);
    Ok(ask)
}

fn read_item(ask: &mut Ask, item: &Value) -> Result<(), Unreadable> {
    let field = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str().unwrap_or("message") {
        "message" => {
            let parts = read_content(&item["content"], &mut ask.losses);
            match item["role"].as_str().unwrap_or_default() {
                "user" => ask.say(Speaker::User, parts),
                "assistant" => ask.say(Speaker::Assistant, parts),
                "system" | "developer" => ask.system.extend(parts),
                other => {
                    let what = format!("is `{other}`; there are system, developer, user, assistant");
                    return Err(Unreadable::new("input.role", what));
                }
            }
        }
        "function_call" => ask.say(
            Speaker::Assistant,
            [Part::Call {
                id: field("call_id"),
                name: field("name"),
                arguments: arguments(&field("arguments")),
                proof: None,
            }],
        ),
        "custom_tool_call" => ask.say(
            Speaker::Assistant,
            [Part::Call {
                id: field("call_id"),
                name: field("name"),
                arguments: json!({"input": field("input")}),
                proof: None,
            }],
        ),
        "function_call_output" | "custom_tool_call_output" => {
            let id = field("call_id");
            let result = Part::Result {
                name: ask.tool_of(&id).unwrap_or_default().to_owned(),
                id,
                parts: read_content(&item["output"], &mut ask.losses),
                failed: false,
                cached: false,
            };
            ask.say(Speaker::User, [result]);
        }
        "reasoning" => {
            let summary = item["summary"].as_array().into_iter().flatten();
            let texts: Vec<&str> = summary.filter_map(|s| text(s, "/text")).collect();
            ask.say(
                Speaker::Assistant,
                [Part::Thought {
                    text: texts.join("\n"),
                    proof: text(item, "/encrypted_content").map(|seal| proof::unseal(seal, FACE)),
                }],
            );
        }
        "item_reference" => {
            return Err(Unreadable::new(
                "input.item_reference",
                "refers to what another provider stores",
            ));
        }
        other => ask.losses.note(format!("input.{other}")),
    }
    Ok(())
}

fn read_content(content: &Value, losses: &mut Losses) -> Vec<Part> {
    match content {
        Value::String(text) => vec![Part::text(text.clone())],
        Value::Array(list) => list.iter().filter_map(|block| read_block(block, losses)).collect(),
        _ => Vec::new(),
    }
}

fn read_block(block: &Value, losses: &mut Losses) -> Option<Part> {
    match block["type"].as_str().unwrap_or_default() {
        "input_text" | "output_text" | "text" => Some(Part::text(text(block, "/text")?)),
        "refusal" => Some(Part::text(text(block, "/refusal")?)),
        "input_image" if block["image_url"].is_string() => Some(media::of_url(text(block, "/image_url")?, None)),
        "input_file" if block["file_data"].is_string() => {
            Some(media::of_url(text(block, "/file_data")?, text(block, "/filename")))
        }
        "input_file" if block["file_url"].is_string() => Some(Part::Media {
            mime: "application/pdf".to_owned(),
            source: Source::Url(text(block, "/file_url")?.to_owned()),
            name: text(block, "/filename").map(str::to_owned),
            cached: false,
        }),
        other => {
            losses.note(format!("input.content.{other}"));
            None
        }
    }
}

fn read_tool(ask: &mut Ask, tool: &Value) -> Result<(), Unreadable> {
    let kind = tool["type"].as_str().unwrap_or("unnamed");
    let free = kind == "custom";
    if !free && kind != "function" {
        ask.losses.note(format!("tools.{kind}"));
        return Ok(());
    }
    let name = text(tool, "/name").ok_or_else(|| Unreadable::new("tools.name", "is missing"))?;
    let mut description = text(tool, "/description").unwrap_or_default().to_owned();
    if let Some(grammar) = text(tool, "/format/definition") {
        // Where nobody enforces the grammar, the model is at least told it.
        description = format!("{description}\n\nThe `input` must follow this grammar:\n{grammar}");
    }
    ask.tools.push(Tool {
        name: name.to_owned(),
        description,
        parameters: match tool.get("parameters").filter(|p| p.is_object()) {
            Some(parameters) => parameters.clone(),
            None if free => free_schema(),
            None => any_schema(),
        },
        strict: tool["strict"].as_bool(),
        free,
        cached: false,
    });
    Ok(())
}

fn read_choice(choice: &Value) -> Result<Choice, Unreadable> {
    match choice.as_str() {
        Some("auto") => Ok(Choice::Auto),
        Some("none") => Ok(Choice::None),
        Some("required") => Ok(Choice::Any),
        Some(other) => Err(Unreadable::new(
            "tool_choice",
            format!("is `{other}`; there are auto, none, required"),
        )),
        None => text(choice, "/name")
            .map(|name| Choice::Named(name.to_owned()))
            .ok_or_else(|| Unreadable::new("tool_choice", "names no function")),
    }
}

fn read_format(output: &Value) -> Result<Format, Unreadable> {
    match text(output, "/format/type") {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => Ok(Format::Schema {
            name: text(output, "/format/name").unwrap_or("answer").to_owned(),
            schema: output
                .pointer("/format/schema")
                .cloned()
                .ok_or_else(|| Unreadable::new("text.format.schema", "is missing"))?,
            strict: output
                .pointer("/format/strict")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        }),
        Some(other) => Err(Unreadable::new("text.format.type", format!("is `{other}`"))),
    }
}

pub(in crate::wire) fn write(ask: &Ask, losses: &mut Losses) -> Value {
    let mut input = Vec::new();
    for turn in &ask.turns {
        write_turn(&mut input, turn, losses);
    }
    let mut body = json!({"model": ask.model, "input": input, "store": false});
    let system = ask.system_text();
    if !system.is_empty() {
        body["instructions"] = system.into();
    }
    if ask.stream {
        body["stream"] = true.into();
    }
    if !ask.tools.is_empty() {
        body["tools"] = ask.tools.iter().map(write_tool).collect();
        body["tool_choice"] = match &ask.choice {
            Choice::Auto => "auto".into(),
            Choice::None => "none".into(),
            Choice::Any => "required".into(),
            Choice::Named(name) => json!({"type": "function", "name": name}),
        };
        if let Some(parallel) = ask.parallel {
            body["parallel_tool_calls"] = parallel.into();
        }
    }
    match &ask.format {
        Format::Text => {}
        Format::Json => body["text"] = json!({"format": {"type": "json_object"}}),
        Format::Schema { name, schema, strict } => {
            body["text"] = json!({"format": {"type": "json_schema", "name": name, "schema": schema, "strict": strict}});
        }
    }
    if let Some(thinking) = ask.thinking {
        let mut reasoning = json!({});
        if let Some(effort) = thinking.effort() {
            reasoning["effort"] = effort_word(effort).into();
        }
        if thinking.shown {
            reasoning["summary"] = "auto".into();
        }
        body["reasoning"] = reasoning;
        // So that a later turn can give the thoughts back although nothing is stored.
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    set("max_output_tokens", ask.max_tokens.map(Value::from));
    set("temperature", ask.temperature.map(Value::from));
    set("top_p", ask.top_p.map(Value::from));
    set("user", ask.user.clone().map(Value::from));
    set("prompt_cache_key", ask.cache_key.clone().map(Value::from));
    losses.note_if(!ask.stop.is_empty(), "stop");
    losses.note_if(ask.top_k.is_some(), "top_k");
    losses.note_if(ask.seed.is_some(), "seed");
    losses.note_if(ask.presence_penalty.is_some_and(|p| p != 0.0), "presence_penalty");
    losses.note_if(ask.frequency_penalty.is_some_and(|p| p != 0.0), "frequency_penalty");
    body
}

fn write_tool(tool: &Tool) -> Value {
    json!({
        "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters,
        "strict": tool.strict.unwrap_or(false),
    })
}

fn write_turn(input: &mut Vec<Value>, turn: &Turn, losses: &mut Losses) {
    let (role, text_type) = match turn.speaker {
        Speaker::User => ("user", "input_text"),
        Speaker::Assistant => ("assistant", "output_text"),
    };
    let mut content: Vec<Value> = Vec::new();
    let flush = |content: &mut Vec<Value>, input: &mut Vec<Value>| {
        if !content.is_empty() {
            input.push(json!({"type": "message", "role": role, "content": std::mem::take(content)}));
        }
    };
    for part in &turn.parts {
        match part {
            Part::Text { text, .. } => content.push(json!({"type": text_type, "text": text})),
            Part::Media { mime, source, name, .. } => content.push(write_media(mime, source, name.as_deref())),
            Part::Thought { text, proof } => {
                if let Some(seal) = proof::own(proof.as_ref(), FACE) {
                    flush(&mut content, input);
                    let mut summary = Vec::new();
                    if !text.is_empty() {
                        summary.push(json!({"type": "summary_text", "text": text}));
                    }
                    input.push(json!({"type": "reasoning", "summary": summary, "encrypted_content": seal}));
                }
            }
            Part::Call {
                id, name, arguments, ..
            } => {
                flush(&mut content, input);
                input.push(
                    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments.to_string()}),
                );
            }
            Part::Result { id, parts, .. } => {
                flush(&mut content, input);
                input.push(
                    json!({"type": "function_call_output", "call_id": id, "output": write_output(parts, losses)}),
                );
            }
        }
    }
    flush(&mut content, input);
}

fn write_output(parts: &[Part], losses: &mut Losses) -> Value {
    if parts.iter().all(|p| p.as_text().is_some()) {
        let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
        return texts.join("\n").into();
    }
    let blocks = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(json!({"type": "input_text", "text": text})),
        Part::Media { mime, source, name, .. } => Some(write_media(mime, source, name.as_deref())),
        Part::Thought { .. } | Part::Call { .. } | Part::Result { .. } => {
            losses.note("tool result content");
            None
        }
    });
    blocks.collect()
}

fn write_media(mime: &str, source: &Source, name: Option<&str>) -> Value {
    if media::is_image(mime, source) {
        return json!({"type": "input_image", "image_url": media::url(mime, source)});
    }
    match source {
        Source::Data(_) => {
            let name = name.unwrap_or("document.pdf");
            json!({"type": "input_file", "filename": name, "file_data": media::url(mime, source)})
        }
        Source::Url(url) => json!({"type": "input_file", "file_url": url}),
    }
}
