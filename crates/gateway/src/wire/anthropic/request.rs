//! Requests, both ways.

use super::ANSWER;
use crate::wire::{
    Dialect,
    ask::{Ask, Choice, Effort, Fields, Format, Losses, Part, Source, Thinking, Tool, Unreadable, any_schema, texts},
    media, proof, text,
};
use maestria_kernel::model::Speaker;
use serde_json::{Value, json};

const FACE: Dialect = Dialect::Anthropic;

/// Marks the seal of a thought that the provider does not show at all.
pub(super) const REDACTED: &str = "redacted:";

/// What is answered with at most when the client does not say: this dialect insists on a figure.
const MOST: u64 = 16_384;

pub(in crate::wire) fn read(body: &Value) -> Result<Ask, Unreadable> {
    let mut f = Fields::of(body)?;
    let mut ask = Ask {
        model: f
            .text("model")?
            .ok_or_else(|| Unreadable::new("model", "is missing"))?
            .to_owned(),
        stream: f.flag("stream")?.unwrap_or(false),
        max_tokens: f.count("max_tokens")?,
        ..Ask::default()
    };
    ask.system = f
        .get("system")
        .map_or(Ok(Vec::new()), |s| read_content(s, &mut ask.losses))?;
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
    if let Some(choice) = f.get("tool_choice") {
        ask.choice = read_choice(choice)?;
        ask.parallel = choice["disable_parallel_tool_use"].as_bool().map(|off| !off);
    }
    ask.temperature = f.number("temperature")?;
    ask.top_p = f.number("top_p")?;
    ask.top_k = f.count("top_k")?;
    ask.stop = f.get("stop_sequences").map(texts).unwrap_or_default();
    ask.user = f.get("metadata").and_then(|m| text(m, "/user_id")).map(str::to_owned);
    ask.thinking = f.get("thinking").and_then(read_thinking);
    let output = f.get("output_config");
    if let Some(word) = output.and_then(|o| text(o, "/effort")) {
        let effort = crate::wire::openai::effort(word)?;
        ask.thinking
            .get_or_insert(Thinking {
                effort: None,
                budget: None,
                shown: false,
            })
            .effort = Some(effort);
    }
    let older = f.get("output_format");
    if let Some(schema) = output
        .and_then(|o| o.pointer("/format/schema"))
        .or_else(|| older?.get("schema"))
    {
        ask.format = Format::Schema {
            name: "answer".to_owned(),
            schema: schema.clone(),
            strict: true,
        };
    }
    if f.get("cache_control").is_some() {
        mark_end(&mut ask);
    }
    f.rest("", &mut ask.losses);
    Ok(ask)
}

/// The cache should reach to the end of the conversation.
fn mark_end(ask: &mut Ask) {
    if let Some(part) = ask.turns.last_mut().and_then(|t| t.parts.last_mut()) {
        part.mark();
    }
}

fn read_thinking(thinking: &Value) -> Option<Thinking> {
    let shown = thinking["display"].as_str() != Some("omitted");
    match thinking["type"].as_str() {
        Some("enabled") => Some(Thinking {
            effort: None,
            budget: thinking["budget_tokens"].as_u64(),
            shown,
        }),
        Some("adaptive") => Some(Thinking {
            effort: None,
            budget: None,
            shown,
        }),
        // Not to think is what happens anyway.
        _ => None,
    }
}

fn read_message(ask: &mut Ask, message: &Value) -> Result<(), Unreadable> {
    let speaker = match message["role"].as_str().unwrap_or_default() {
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "system" => {
            let parts = read_content(&message["content"], &mut ask.losses)?;
            ask.system.extend(parts);
            return Ok(());
        }
        other => {
            return Err(Unreadable::new(
                "messages.role",
                format!("is `{other}`; there are user, assistant"),
            ));
        }
    };
    let mut parts = read_content(&message["content"], &mut ask.losses)?;
    for part in &mut parts {
        if let Part::Result { id, name, .. } = part {
            ask.tool_of(id).unwrap_or_default().clone_into(name);
        }
    }
    ask.say(speaker, parts);
    Ok(())
}

fn read_content(content: &Value, losses: &mut Losses) -> Result<Vec<Part>, Unreadable> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text.clone())]),
        Value::Array(blocks) => Ok(blocks
            .iter()
            .filter_map(|block| read_block(block, losses).transpose())
            .collect::<Result<_, _>>()?),
        _ => Err(Unreadable::new("content", "is neither text nor a list")),
    }
}

fn read_block(block: &Value, losses: &mut Losses) -> Result<Option<Part>, Unreadable> {
    let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
    let mut part = match block["type"].as_str().unwrap_or_default() {
        "text" => Part::text(field("text")),
        "image" | "document" => match read_source(block) {
            Some(part) => part,
            None => {
                losses.note(format!("messages.content.{}.source", field("type")));
                return Ok(None);
            }
        },
        "thinking" => Part::Thought {
            text: field("thinking"),
            proof: text(block, "/signature")
                .filter(|s| !s.is_empty())
                .map(|s| proof::unseal(s, FACE)),
        },
        "redacted_thinking" => Part::Thought {
            text: String::new(),
            proof: Some(proof::unseal(&format!("{REDACTED}{}", field("data")), FACE)),
        },
        "tool_use" => Part::Call {
            id: field("id"),
            name: field("name"),
            arguments: block["input"].clone(),
            proof: None,
        },
        "tool_result" => Part::Result {
            id: field("tool_use_id"),
            name: String::new(),
            parts: read_content(&block["content"], losses)?,
            failed: block["is_error"].as_bool().unwrap_or(false),
            cached: false,
        },
        other => {
            losses.note(format!("messages.content.{other}"));
            return Ok(None);
        }
    };
    if block["cache_control"].is_object() {
        part.mark();
    }
    Ok(Some(part))
}

fn read_source(block: &Value) -> Option<Part> {
    let source = &block["source"];
    let name = text(block, "/title");
    match source["type"].as_str()? {
        "base64" => Some(media::of_data(
            text(source, "/media_type")?,
            text(source, "/data")?,
            name,
        )),
        "text" => Some(Part::text(text(source, "/data")?)),
        "url" => {
            let mime = if block["type"] == "document" {
                "application/pdf"
            } else {
                ""
            };
            Some(Part::Media {
                mime: mime.to_owned(),
                source: Source::Url(text(source, "/url")?.to_owned()),
                name: name.map(str::to_owned),
                cached: false,
            })
        }
        _ => None,
    }
}

fn read_tool(ask: &mut Ask, tool: &Value) -> Result<(), Unreadable> {
    if let Some(kind) = tool["type"].as_str().filter(|kind| *kind != "custom") {
        ask.losses.note(format!("tools.{kind}"));
        return Ok(());
    }
    let name = text(tool, "/name").ok_or_else(|| Unreadable::new("tools.name", "is missing"))?;
    ask.tools.push(Tool {
        name: name.to_owned(),
        description: text(tool, "/description").unwrap_or_default().to_owned(),
        parameters: tool.get("input_schema").cloned().unwrap_or_else(any_schema),
        strict: tool["strict"].as_bool(),
        free: false,
        cached: tool["cache_control"].is_object(),
    });
    Ok(())
}

fn read_choice(choice: &Value) -> Result<Choice, Unreadable> {
    Ok(match choice["type"].as_str() {
        Some("auto") => Choice::Auto,
        Some("any") => Choice::Any,
        Some("none") => Choice::None,
        Some("tool") => Choice::Named(text(choice, "/name").unwrap_or_default().to_owned()),
        _ => return Err(Unreadable::new("tool_choice.type", "is none of auto, any, tool, none")),
    })
}

pub(in crate::wire) fn write(ask: &Ask, losses: &mut Losses) -> Value {
    let marks = ask.cache_key.is_some() && !is_marked(ask);
    let messages: Vec<Value> = ask
        .turns
        .iter()
        .map(|turn| {
            let role = if turn.speaker == Speaker::User {
                "user"
            } else {
                "assistant"
            };
            let blocks: Vec<Value> = turn.parts.iter().filter_map(|part| write_part(part, losses)).collect();
            json!({"role": role, "content": blocks})
        })
        .filter(|message| message["content"].as_array().is_some_and(|c| !c.is_empty()))
        .collect();
    let max = ask.max_tokens.unwrap_or(MOST);
    let mut body = json!({"model": ask.model, "messages": messages, "max_tokens": max});
    let system: Vec<Value> = ask.system.iter().filter_map(|part| write_part(part, losses)).collect();
    if !system.is_empty() {
        body["system"] = system.into();
    }
    if ask.stream {
        body["stream"] = true.into();
    }
    write_tools(ask, &mut body);
    let thinks = write_thinking(ask, max, &mut body, losses);
    write_format(ask, thinks, &mut body, losses);
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    // A model that thinks takes no other temperature than its own.
    set(
        "temperature",
        ask.temperature.filter(|_| !thinks).map(|t| t.min(1.0).into()),
    );
    losses.note_if(
        thinks && ask.temperature.is_some_and(|t| (t - 1.0).abs() > f64::EPSILON),
        "temperature",
    );
    set("top_p", ask.top_p.filter(|_| !thinks).map(Value::from));
    set("top_k", ask.top_k.filter(|_| !thinks).map(Value::from));
    set(
        "stop_sequences",
        (!ask.stop.is_empty()).then(|| ask.stop.clone().into()),
    );
    set("metadata", ask.user.as_ref().map(|user| json!({"user_id": user})));
    set("cache_control", marks.then(|| json!({"type": "ephemeral"})));
    losses.note_if(ask.seed.is_some(), "seed");
    losses.note_if(ask.presence_penalty.is_some_and(|p| p != 0.0), "presence_penalty");
    losses.note_if(ask.frequency_penalty.is_some_and(|p| p != 0.0), "frequency_penalty");
    body
}

fn is_marked(ask: &Ask) -> bool {
    let said = ask.turns.iter().flat_map(|t| &t.parts);
    said.chain(&ask.system).any(Part::is_marked) || ask.tools.iter().any(|t| t.cached)
}

fn write_tools(ask: &Ask, body: &mut Value) {
    if ask.tools.is_empty() {
        return;
    }
    let tools = ask.tools.iter().map(|tool| {
        let mut written = json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters});
        if tool.strict == Some(true) {
            written["strict"] = true.into();
        }
        if tool.cached {
            written["cache_control"] = json!({"type": "ephemeral"});
        }
        written
    });
    body["tools"] = tools.collect();
    let mut choice = match &ask.choice {
        Choice::Auto => json!({"type": "auto"}),
        Choice::None => json!({"type": "none"}),
        Choice::Any => json!({"type": "any"}),
        Choice::Named(name) => json!({"type": "tool", "name": name}),
    };
    if ask.parallel == Some(false) && ask.choice != Choice::None {
        choice["disable_parallel_tool_use"] = true.into();
    }
    if choice != json!({"type": "auto"}) {
        body["tool_choice"] = choice;
    }
}

/// Writes how hard to think; tells whether the model will.
fn write_thinking(ask: &Ask, max: u64, body: &mut Value, losses: &mut Losses) -> bool {
    let Some(thinking) = ask.thinking.filter(|t| t.effort() != Some(Effort::None)) else {
        return false;
    };
    if calls_without_thoughts(ask) || matches!(ask.choice, Choice::Any | Choice::Named(_)) {
        // The provider refuses a conversation whose calls lack the thoughts before them, and forced calls.
        losses.note("thinking");
        return false;
    }
    if thinking.budget.is_none() && is_adaptive(&ask.model) {
        body["thinking"] = json!({"type": "adaptive"});
        if let Some(effort) = thinking.effort {
            let word = match effort {
                Effort::None | Effort::Minimal | Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High => "high",
                Effort::Most => "max",
            };
            body["output_config"] = json!({"effort": word});
        }
        return true;
    }
    let budget = thinking
        .budget()
        .unwrap_or(12_288)
        .max(1_024)
        .min(max.saturating_sub(1));
    if budget < 1_024 {
        losses.note("thinking");
        return false;
    }
    body["thinking"] = json!({"type": "enabled", "budget_tokens": budget});
    true
}

/// Models up to 4.5 want a budget; later ones choose for themselves.
fn is_adaptive(model: &str) -> bool {
    let older = ["claude-3", "-4-0", "-4-1", "-4-5", "-4-2025", "claude-2"];
    !older.iter().any(|mark| model.contains(mark))
}

/// Whether the newest turn of the model called tools without a thought that can be shown to the provider.
fn calls_without_thoughts(ask: &Ask) -> bool {
    let newest = ask.turns.iter().rev().find(|t| t.speaker == Speaker::Assistant);
    newest.is_some_and(|turn| {
        let calls = turn.parts.iter().any(|p| matches!(p, Part::Call { .. }));
        let thought = turn
            .parts
            .iter()
            .any(|p| matches!(p, Part::Thought { proof, .. } if proof::own(proof.as_ref(), FACE).is_some()));
        calls && !thought
    })
}

fn write_format(ask: &Ask, thinks: bool, body: &mut Value, losses: &mut Losses) {
    match &ask.format {
        Format::Text => {}
        Format::Json => losses.note("response_format"),
        // A tool that must be called serves every model and every schema, but not together with other tools.
        Format::Schema {
            schema, strict: false, ..
        } if ask.tools.is_empty() && !thinks => {
            body["tools"] = json!([{"name": ANSWER, "description": "Gives the answer.", "input_schema": schema}]);
            body["tool_choice"] = json!({"type": "tool", "name": ANSWER});
        }
        Format::Schema { schema, .. } => {
            let mut schema = schema.clone();
            close_objects(&mut schema);
            body["output_config"]["format"] = json!({"type": "json_schema", "schema": schema});
        }
    }
}

/// The provider insists on objects that take nothing else.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("type").is_some_and(|t| t == "object") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), false.into());
            }
            map.values_mut().for_each(close_objects);
        }
        Value::Array(list) => list.iter_mut().for_each(close_objects),
        _ => {}
    }
}

fn write_part(part: &Part, losses: &mut Losses) -> Option<Value> {
    let mut block = match part {
        // Empty text is refused.
        Part::Text { text, .. } if text.is_empty() => return None,
        Part::Text { text, .. } => json!({"type": "text", "text": text}),
        Part::Media { mime, source, name, .. } => write_media(mime, source, name.as_deref(), losses)?,
        Part::Thought { text, proof } => match proof::own(proof.as_ref(), FACE)? {
            seal if seal.starts_with(REDACTED) => {
                json!({"type": "redacted_thinking", "data": seal.trim_start_matches(REDACTED)})
            }
            seal => json!({"type": "thinking", "thinking": text, "signature": seal}),
        },
        Part::Call {
            id, name, arguments, ..
        } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
        }
        Part::Result { id, parts, failed, .. } => {
            let content: Vec<Value> = parts.iter().filter_map(|p| write_part(p, losses)).collect();
            let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
            if *failed {
                block["is_error"] = true.into();
            }
            block
        }
    };
    if part.is_marked() {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
    Some(block)
}

fn write_media(mime: &str, source: &Source, name: Option<&str>, losses: &mut Losses) -> Option<Value> {
    let kind = if media::is_image(mime, source) {
        "image"
    } else if mime == "application/pdf" {
        "document"
    } else {
        losses.note(format!("content of type {mime}"));
        return None;
    };
    let source = match source {
        Source::Data(data) => json!({"type": "base64", "media_type": mime, "data": data}),
        Source::Url(url) => json!({"type": "url", "url": url}),
    };
    let mut block = json!({"type": kind, "source": source});
    if let Some(name) = name.filter(|_| kind == "document") {
        block["title"] = name.into();
    }
    Some(block)
}
