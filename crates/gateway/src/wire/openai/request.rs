//! Requests, both ways.

use crate::wire::{
    Dialect,
    ask::Losses,
    ask::{
        Ask, Choice, Effort, Fields, Format, Part, Proof, Source, Thinking, Tool, Turn, Unreadable, any_schema,
        arguments, texts,
    },
    media, proof, text,
};
use maestria_kernel::model::Speaker;
use serde_json::{Value, json};

const FACE: Dialect = Dialect::OpenAi;

pub(in crate::wire) fn read(body: &Value) -> Result<Ask, Unreadable> {
    let mut f = Fields::of(body)?;
    let mut ask = Ask {
        model: f
            .text("model")?
            .ok_or_else(|| Unreadable::new("model", "is missing"))?
            .to_owned(),
        stream: f.flag("stream")?.unwrap_or(false),
        ..Ask::default()
    };
    let messages = f.list("messages")?;
    if messages.is_empty() {
        return Err(Unreadable::new("messages", "is missing or empty"));
    }
    for message in messages {
        read_message(&mut ask, message)?;
    }
    for tool in f.list("tools")? {
        read_tool(&mut ask, tool)?;
    }
    ask.choice = f.get("tool_choice").map_or(Ok(Choice::Auto), read_choice)?;
    ask.parallel = f.flag("parallel_tool_calls")?;
    if let Some(format) = f.get("response_format") {
        ask.format = read_format(format)?;
    }
    let older = f.count("max_tokens")?;
    ask.max_tokens = f.count("max_completion_tokens")?.or(older);
    ask.temperature = f.number("temperature")?;
    ask.top_p = f.number("top_p")?;
    ask.stop = f.get("stop").map(texts).unwrap_or_default();
    ask.seed = f.get("seed").and_then(Value::as_i64);
    ask.presence_penalty = f.number("presence_penalty")?;
    ask.frequency_penalty = f.number("frequency_penalty")?;
    ask.user = f.text("user")?.map(str::to_owned);
    ask.cache_key = f.text("prompt_cache_key")?.map(str::to_owned);
    if let Some(word) = f.text("reasoning_effort")? {
        ask.thinking = Some(Thinking {
            effort: Some(effort(word)?),
            budget: None,
            shown: false,
        });
    }
    if let Some(options) = f.get("stream_options") {
        ask.stream_usage = options["include_usage"].as_bool().unwrap_or(false);
    }
    if f.count("n")?.is_some_and(|n| n > 1) {
        ask.losses.note("n");
    }
    f.ignore(&["store", "prompt_cache_retention", "safety_identifier"]);
    f.rest("", &mut ask.losses);
    Ok(ask)
}

pub(in crate::wire) fn effort(word: &str) -> Result<Effort, Unreadable> {
    Ok(match word {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" | "max" => Effort::Most,
        other => {
            let what = format!("is `{other}`; there are none, minimal, low, medium, high, xhigh");
            return Err(Unreadable::new("reasoning effort", what));
        }
    })
}

pub(in crate::wire) const fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Most => "xhigh",
    }
}

fn read_message(ask: &mut Ask, message: &Value) -> Result<(), Unreadable> {
    let content = &message["content"];
    match message["role"].as_str().unwrap_or_default() {
        "system" | "developer" => {
            let parts = read_content(content, &mut ask.losses)?;
            ask.system.extend(parts);
        }
        "user" => {
            let parts = read_content(content, &mut ask.losses)?;
            ask.say(Speaker::User, parts);
        }
        "assistant" => {
            let mut parts = Vec::new();
            if let Some(thought) = text(message, "/reasoning_content").or_else(|| text(message, "/reasoning")) {
                parts.push(Part::Thought {
                    text: thought.to_owned(),
                    proof: None,
                });
            }
            parts.extend(read_content(content, &mut ask.losses)?);
            parts.extend(text(message, "/refusal").map(Part::text));
            let calls = message["tool_calls"].as_array();
            parts.extend(calls.into_iter().flatten().map(read_call));
            ask.losses
                .note_if(message["function_call"].is_object(), "messages.function_call");
            ask.say(Speaker::Assistant, parts);
        }
        "tool" => {
            let id = text(message, "/tool_call_id").unwrap_or_default().to_owned();
            let result = Part::Result {
                name: ask.tool_of(&id).unwrap_or_default().to_owned(),
                id,
                parts: read_content(content, &mut ask.losses)?,
                failed: false,
                cached: false,
            };
            ask.say(Speaker::User, [result]);
        }
        other => {
            let what = format!("is `{other}`; there are system, developer, user, assistant, tool");
            return Err(Unreadable::new("messages.role", what));
        }
    }
    Ok(())
}

fn read_call(call: &Value) -> Part {
    let field = |pointer: &str| text(call, pointer).unwrap_or_default();
    Part::Call {
        id: field("/id").to_owned(),
        name: field("/function/name").to_owned(),
        arguments: arguments(field("/function/arguments")),
        // Where Google's own compatible endpoint has it.
        proof: text(call, "/extra_content/google/thought_signature").map(|seal| {
            let proof = proof::unseal(seal, FACE);
            Proof {
                origin: if proof.origin == FACE {
                    Dialect::Gemini
                } else {
                    proof.origin
                },
                text: proof.text,
            }
        }),
    }
}

fn read_content(content: &Value, losses: &mut Losses) -> Result<Vec<Part>, Unreadable> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text.clone())]),
        Value::Array(list) => Ok(list.iter().filter_map(|block| read_block(block, losses)).collect()),
        _ => Err(Unreadable::new("messages.content", "is neither text nor a list")),
    }
}

fn read_block(block: &Value, losses: &mut Losses) -> Option<Part> {
    let mut part = match block["type"].as_str().unwrap_or_default() {
        "text" => Part::text(text(block, "/text")?),
        "refusal" => Part::text(text(block, "/refusal")?),
        "image_url" => {
            let url = text(block, "/image_url/url").or_else(|| text(block, "/image_url"))?;
            media::of_url(url, None)
        }
        "file" if block["file"]["file_data"].is_string() => {
            media::of_url(text(block, "/file/file_data")?, text(block, "/file/filename"))
        }
        "input_audio" => {
            let mime = format!("audio/{}", text(block, "/input_audio/format").unwrap_or("wav"));
            media::of_data(&mime, text(block, "/input_audio/data")?, None)
        }
        other => {
            losses.note(format!("messages.content.{other}"));
            return None;
        }
    };
    // Not OpenAI's, but what clients of mixed gateways send.
    if block["cache_control"].is_object() {
        part.mark();
    }
    Some(part)
}

fn read_tool(ask: &mut Ask, tool: &Value) -> Result<(), Unreadable> {
    if tool["type"].as_str() != Some("function") {
        let kind = tool["type"].as_str().unwrap_or("unnamed");
        ask.losses.note(format!("tools.{kind}"));
        return Ok(());
    }
    let name = text(tool, "/function/name").ok_or_else(|| Unreadable::new("tools.function.name", "is missing"))?;
    ask.tools.push(Tool {
        name: name.to_owned(),
        description: text(tool, "/function/description").unwrap_or_default().to_owned(),
        parameters: tool.pointer("/function/parameters").cloned().unwrap_or_else(any_schema),
        strict: tool.pointer("/function/strict").and_then(Value::as_bool),
        free: false,
        cached: tool["cache_control"].is_object(),
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
        None => text(choice, "/function/name")
            .map(|name| Choice::Named(name.to_owned()))
            .ok_or_else(|| Unreadable::new("tool_choice", "names no function")),
    }
}

fn read_format(format: &Value) -> Result<Format, Unreadable> {
    match format["type"].as_str() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => Ok(Format::Schema {
            name: text(format, "/json_schema/name").unwrap_or("answer").to_owned(),
            schema: format
                .pointer("/json_schema/schema")
                .cloned()
                .ok_or_else(|| Unreadable::new("response_format.json_schema.schema", "is missing"))?,
            strict: format
                .pointer("/json_schema/strict")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        }),
        Some(other) => Err(Unreadable::new("response_format.type", format!("is `{other}`"))),
    }
}

pub(in crate::wire) fn write(ask: &Ask, losses: &mut Losses) -> Value {
    let mut messages = Vec::new();
    let system = ask.system_text();
    if !system.is_empty() {
        messages.push(json!({"role": "system", "content": system}));
    }
    for turn in &ask.turns {
        write_turn(&mut messages, turn, losses);
    }
    let mut body = json!({"model": ask.model, "messages": messages});
    if ask.stream {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    }
    if !ask.tools.is_empty() {
        body["tools"] = ask.tools.iter().map(write_tool).collect();
        body["tool_choice"] = match &ask.choice {
            Choice::Auto => "auto".into(),
            Choice::None => "none".into(),
            Choice::Any => "required".into(),
            Choice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        };
        if let Some(parallel) = ask.parallel {
            body["parallel_tool_calls"] = parallel.into();
        }
    }
    match &ask.format {
        Format::Text => {}
        Format::Json => body["response_format"] = json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            body["response_format"] =
                json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}});
        }
    }
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    set("max_completion_tokens", ask.max_tokens.map(Value::from));
    set("temperature", ask.temperature.map(Value::from));
    set("top_p", ask.top_p.map(Value::from));
    set("stop", (!ask.stop.is_empty()).then(|| ask.stop.clone().into()));
    set("seed", ask.seed.map(Value::from));
    set("presence_penalty", ask.presence_penalty.map(Value::from));
    set("frequency_penalty", ask.frequency_penalty.map(Value::from));
    set("user", ask.user.clone().map(Value::from));
    set("prompt_cache_key", ask.cache_key.clone().map(Value::from));
    let effort = ask.thinking.and_then(|t| t.effort());
    set("reasoning_effort", effort.map(|e| effort_word(e).into()));
    losses.note_if(ask.top_k.is_some(), "top_k");
    body
}

fn write_tool(tool: &Tool) -> Value {
    let mut function = json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    json!({"type": "function", "function": function})
}

fn write_turn(messages: &mut Vec<Value>, turn: &Turn, losses: &mut Losses) {
    let mut content = Vec::new();
    let mut calls = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text { text, .. } => content.push(json!({"type": "text", "text": text})),
            Part::Media { mime, source, name, .. } => {
                content.extend(write_media(mime, source, name.as_deref(), losses))
            }
            Part::Thought { .. } => {}
            Part::Call {
                id,
                name,
                arguments,
                proof,
            } => calls.push(write_call(id, name, arguments, proof.as_ref())),
            Part::Result { id, parts, .. } => {
                let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": texts.join("\n")}));
                // Tools answer in text only; what they show is shown by the user right after.
                for part in parts {
                    if let Part::Media { mime, source, name, .. } = part {
                        content.extend(write_media(mime, source, name.as_deref(), losses));
                    }
                }
            }
        }
    }
    if content.is_empty() && calls.is_empty() {
        return;
    }
    let role = if turn.speaker == Speaker::User {
        "user"
    } else {
        "assistant"
    };
    let mut message = json!({"role": role, "content": plain(content)});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    messages.push(message);
}

/// Text alone is written as text, which the oldest servers understand.
fn plain(mut content: Vec<Value>) -> Value {
    if content.is_empty() {
        return Value::Null;
    }
    if content.iter().all(|block| block["type"] == "text") {
        let texts: Vec<&str> = content.iter().filter_map(|b| b["text"].as_str()).collect();
        return texts.join("\n").into();
    }
    Value::Array(std::mem::take(&mut content))
}

fn write_call(id: &str, name: &str, arguments: &Value, seal: Option<&Proof>) -> Value {
    let mut call =
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
    if let Some(seal) = seal.filter(|s| s.origin == Dialect::Gemini) {
        call["extra_content"] = json!({"google": {"thought_signature": seal.text}});
    }
    call
}

fn write_media(mime: &str, source: &Source, name: Option<&str>, losses: &mut Losses) -> Option<Value> {
    if media::is_image(mime, source) {
        return Some(json!({"type": "image_url", "image_url": {"url": media::url(mime, source)}}));
    }
    match source {
        Source::Data(data) if mime.starts_with("audio/") => {
            let format = mime.trim_start_matches("audio/");
            Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
        }
        Source::Data(_) => {
            let name = name.unwrap_or("document.pdf");
            Some(json!({"type": "file", "file": {"filename": name, "file_data": media::url(mime, source)}}))
        }
        Source::Url(_) => {
            losses.note("document URL");
            None
        }
    }
}
