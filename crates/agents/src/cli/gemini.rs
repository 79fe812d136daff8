//! Gemini's stream-json (0.61), the one-shot fallback. A rate limit shows on stderr only, and a signal ends it with exit
//! code 0 and without its `result`.

use crate::{
    cli::{asked::of_tool, notes::Notes},
    outcome::seen::End,
};
use maestria_kernel::money::{Cost, Tokens, Usage};
use serde_json::Value;

/// Nothing to remember between lines.
#[derive(Debug)]
pub struct Gemini;

impl Gemini {
    pub(super) fn read(line: &Value, notes: &mut Notes) {
        match line["type"].as_str().unwrap_or_default() {
            "init" => {
                notes.begin();
                notes.seen.model = line["model"].as_str().map(str::to_owned);
                notes.session(text(&line["session_id"]));
            }
            "message" if line["role"] == "assistant" => notes.chunk(text(&line["content"])),
            "tool_use" => {
                let question = of_tool(text(&line["tool_name"]), &line["parameters"]);
                notes.started(text(&line["tool_id"]), &question);
            }
            "tool_result" => tool_result(line, notes),
            "error" => notes.warn(text(&line["message"])),
            "result" => result(line, notes),
            _ => {}
        }
    }
}

fn tool_result(line: &Value, notes: &mut Notes) {
    let id = text(&line["tool_id"]);
    let ok = line["status"] == "success";
    if ok && let Some(path) = notes.written_path(id) {
        notes.edited(&path);
    }
    let said = line["error"]["message"]
        .as_str()
        .unwrap_or_else(|| text(&line["output"]));
    notes.finished(id, ok, said);
}

fn result(line: &Value, notes: &mut Notes) {
    let count = |key: &str| Tokens(line["stats"][key].as_u64().unwrap_or(0));
    let usage = Usage {
        input: count("input_tokens"),
        cached: count("cached"),
        output: count("output_tokens"),
        cost: Cost::ZERO,
    };
    notes.flush();
    notes.called(usage, line["stats"]["duration_ms"].as_u64().unwrap_or(0));
    if line["status"] == "success" {
        notes.end(End::Success);
        return;
    }
    let message = text(&line["error"]["message"]);
    notes.trouble(None, message);
    let limit = text(&line["error"]["type"]).contains("MaxSessionTurns") || message.contains("max session turns");
    notes.end(if limit { End::Limit } else { End::Error });
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
