//! Events of `opencode run --format json` (1.18), the one-shot fallback. A tool that needs leave ends the run with exit
//! code 0 and no text: its last step then finishes with `tool-calls`.

use crate::{
    cli::{asked::of_tool, notes::Notes},
    outcome::seen::{End, Reset},
};
use maestria_kernel::money::{Cost, Tokens, Usage};
use serde_json::Value;
use std::time::Duration;

/// Nothing to remember between lines.
#[derive(Debug)]
pub struct Opencode;

impl Opencode {
    pub(super) fn read(line: &Value, notes: &mut Notes) {
        notes.session(text(&line["sessionID"]));
        let part = &line["part"];
        match line["type"].as_str().unwrap_or_default() {
            "step_start" => notes.begin(),
            "text" => notes.said(text(&part["text"])),
            "tool_use" => tool(part, notes),
            "step_finish" => step_finish(part, notes),
            "error" => error(&line["error"], notes),
            _ => {}
        }
    }
}

fn tool(part: &Value, notes: &mut Notes) {
    let (id, state) = (text(&part["callID"]), &part["state"]);
    notes.started(id, &of_tool(text(&part["tool"]), &state["input"]));
    let ok = state["status"] == "completed";
    if ok && let Some(path) = notes.written_path(id) {
        notes.edited(&path);
    }
    let said = state["error"].as_str().unwrap_or_else(|| text(&state["output"]));
    notes.finished(id, ok, said);
}

fn step_finish(part: &Value, notes: &mut Notes) {
    let tokens = &part["tokens"];
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let cached = count(&tokens["cache"]["read"]);
    let usage = Usage {
        input: Tokens(count(&tokens["input"]) + cached + count(&tokens["cache"]["write"])),
        cached: Tokens(cached),
        output: Tokens(count(&tokens["output"]) + count(&tokens["reasoning"])),
        cost: Cost((part["cost"].as_f64().unwrap_or(0.0) * 1e6).round() as i64),
    };
    notes.called(usage, 0);
    match text(&part["reason"]) {
        "stop" => notes.end(End::Success),
        "length" => notes.end(End::Limit),
        _ => {}
    }
}

fn error(error: &Value, notes: &mut Notes) {
    let data = &error["data"];
    let status = data["statusCode"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let message = data["message"].as_str().unwrap_or_else(|| text(&error["name"]));
    let wait = data["responseHeaders"]["retry-after"]
        .as_str()
        .and_then(|wait| wait.parse().ok());
    if let Some(seconds) = wait {
        notes.seen.reset = Some(Reset::After(Duration::from_secs(seconds)));
    }
    notes.seen.begun = true;
    notes.trouble(status, message);
    notes.end(End::Error);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
