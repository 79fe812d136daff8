//! Claude Code's stream-json (2.1), with and without the two-way control protocol; Qwen writes the same.
//!
//! `type` is not always a line's first key, `system/init` repeats every turn, and `total_cost_usd` counts over the whole
//! process, `usage` over the turn.

use crate::cli::{
    asked::{Asked, of_tool, paths},
    notes::{Notes, Step},
};
use crate::outcome::seen::{By, End, Reset};
use maestria_kernel::{
    money::{Cost, Tokens, Usage},
    time::At,
};
use serde_json::Value;

/// What a reader of this dialect must remember between lines.
#[derive(Debug, Default)]
pub struct Claude {
    /// What the process has cost so far.
    spent: Cost,
}

impl Claude {
    pub(super) fn read(&mut self, line: &Value, notes: &mut Notes) {
        if let Some(id) = line["session_id"].as_str() {
            notes.session(id);
        }
        match line["type"].as_str().unwrap_or_default() {
            "system" => system(line, notes),
            "assistant" => assistant(line, notes),
            "user" => user(line, notes),
            "result" => self.result(line, notes),
            "control_request" => asked(line, notes),
            "control_response" => replied(&line["response"], notes),
            "control_cancel_request" => notes.step(Step::Withdrawn(line["request_id"].clone())),
            "rate_limit_event" => reset(&line["rate_limit_info"]["resetsAt"], notes),
            // Partial messages, keep-alives and what newer versions add: said again in whole messages.
            _ => {}
        }
    }

    fn result(&mut self, line: &Value, notes: &mut Notes) {
        notes.called(self.usage(line), line["duration_api_ms"].as_u64().unwrap_or(0));
        for denial in line["permission_denials"].as_array().into_iter().flatten() {
            let path = paths(&denial["tool_input"]).into_iter().next();
            let outside = notes.lies_outside(path.as_deref());
            let what = format!("{} {}", text(&denial["tool_name"]), path.as_deref().unwrap_or_default());
            notes.deny(denial["tool_use_id"].as_str(), &what, path, outside, By::Agent);
        }
        if let Some(answer) = line.get("structured_output").filter(|answer| !answer.is_null()) {
            notes.seen.structured = Some(answer.clone());
        }
        let said = text(&line["result"]);
        if !said.is_empty() {
            notes.seen.report = crate::cli::text::clip(said, 64 << 10);
        }
        let end = ending(line, notes.seen.interrupted);
        if end == End::Error {
            let status = status(&line["api_error_status"]);
            notes.trouble(status, &complaint(line));
            usage_limit(said, notes);
        }
        notes.end(end);
    }

    fn usage(&mut self, line: &Value) -> Usage {
        let count = |key: &str| line["usage"][key].as_u64().unwrap_or(0);
        let cached = count("cache_read_input_tokens");
        // Dollars as a float are the wire's, not ours: from here on they are whole micro-dollars.
        let spent = Cost((line["total_cost_usd"].as_f64().unwrap_or(0.0) * 1e6).round() as i64);
        let cost = Cost((spent.0 - self.spent.0).max(0));
        self.spent = spent.max(self.spent);
        Usage {
            input: Tokens(count("input_tokens") + count("cache_creation_input_tokens") + cached),
            cached: Tokens(cached),
            output: Tokens(count("output_tokens")),
            cost,
        }
    }
}

fn ending(line: &Value, interrupted: bool) -> End {
    let subtype = text(&line["subtype"]);
    let reason = text(&line["terminal_reason"]);
    match (subtype, reason) {
        ("error_max_turns" | "error_max_budget_usd", _) | (_, "max_turns" | "budget_exhausted") => End::Limit,
        ("error_during_execution", _) if interrupted => End::Interrupted,
        (_, reason) if reason.starts_with("aborted") || reason == "interrupted" => End::Interrupted,
        ("success", _) if line["is_error"] == false => End::Success,
        _ => End::Error,
    }
}

/// The error in words: the reason, the errors, the result text.
fn complaint(line: &Value) -> String {
    let errors = line["errors"].as_array().into_iter().flatten().map(text);
    let parts = [
        text(&line["terminal_reason"]),
        text(&line["api_error_type"]),
        text(&line["result"]),
    ];
    let words: Vec<&str> = errors
        .chain(parts)
        .filter(|part| !part.is_empty() && *part != "api_error")
        .collect();
    words.join(": ")
}

/// Subscriptions name the moment of the reset behind a bar: `usage limit reached|1795217480`.
fn usage_limit(said: &str, notes: &mut Notes) {
    if let Some((_, moment)) = said.rsplit_once('|')
        && let Ok(seconds) = moment.trim().parse::<i64>()
    {
        notes.seen.reset = Some(Reset::At(At(seconds.saturating_mul(1000))));
    }
}

fn reset(moment: &Value, notes: &mut Notes) {
    if let Some(seconds) = moment.as_i64() {
        notes.seen.reset = Some(Reset::At(At(seconds.saturating_mul(1000))));
    }
}

fn system(line: &Value, notes: &mut Notes) {
    match line["subtype"].as_str().unwrap_or_default() {
        "init" => {
            notes.begin();
            notes.seen.model = line["model"].as_str().map(str::to_owned);
            notes.seen.cwd = line["cwd"].as_str().map(str::to_owned);
        }
        "permission_denied" => {
            let id = line["tool_use_id"].as_str();
            let path = id.and_then(|id| notes.path_of(id));
            let outside = line["decision_reason_type"] == "workingDir" || notes.lies_outside(path.as_deref());
            let what = format!("{}: {}", text(&line["tool_name"]), text(&line["message"]));
            notes.deny(id, &what, path, outside, By::Agent);
        }
        "api_retry" => notes.retrying(status(&line["error_status"]), text(&line["error"])),
        _ => {}
    }
}

fn assistant(line: &Value, notes: &mut Notes) {
    let message = &line["message"];
    let failed = line["error"].as_str();
    if failed.is_none()
        && let Some(model) = message["model"].as_str()
    {
        notes.seen.model = Some(model.to_owned());
    }
    for block in message["content"].as_array().into_iter().flatten() {
        match block["type"].as_str().unwrap_or_default() {
            "text" => match failed {
                Some(error) => {
                    let said = format!("{error}: {}", text(&block["text"]));
                    notes.trouble(status(&line["api_error_status"]), &said);
                }
                None => notes.said(text(&block["text"])),
            },
            "tool_use" => notes.started(text(&block["id"]), &of_tool(text(&block["name"]), &block["input"])),
            _ => {}
        }
    }
}

fn user(line: &Value, notes: &mut Notes) {
    let content = &line["message"]["content"];
    let said = content.as_str().into_iter().map(str::to_owned);
    let blocks = content.as_array().into_iter().flatten();
    let texts = blocks
        .clone()
        .filter_map(|block| block["text"].as_str())
        .map(str::to_owned);
    if said
        .chain(texts)
        .any(|text| text.contains("[Request interrupted by user"))
    {
        notes.seen.interrupted = true;
    }
    for block in blocks.filter(|block| block["type"] == "tool_result") {
        let id = text(&block["tool_use_id"]);
        let ok = block["is_error"] != true;
        if ok {
            edited(&line["tool_use_result"], id, notes);
        } else if rejected(line, id) {
            let path = notes.path_of(id);
            let outside = notes.lies_outside(path.as_deref());
            notes.deny(Some(id), &result_text(&block["content"]), path, outside, By::Agent);
        }
        notes.finished(id, ok, &result_text(&block["content"]));
    }
}

/// Whether the line says that a tool call was turned down, by a rule or by a person.
fn rejected(line: &Value, id: &str) -> bool {
    let metas = line["tool_result_meta"].as_array().into_iter().flatten();
    metas
        .filter(|meta| meta["id"] == id)
        .any(|meta| meta["permission_decision"]["decision"] == "reject")
}

fn edited(result: &Value, id: &str, notes: &mut Notes) {
    let is_edit = result.get("structuredPatch").is_some();
    if let Some(path) = result["filePath"].as_str().filter(|_| is_edit) {
        notes.edited(path);
    } else if result.is_null()
        && let Some(path) = notes.written_path(id)
    {
        notes.edited(&path);
    }
}

fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|b| b["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn asked(line: &Value, notes: &mut Notes) {
    let (id, request) = (line["request_id"].clone(), &line["request"]);
    let subtype = text(&request["subtype"]);
    notes.flush();
    notes.step(if subtype == "can_use_tool" {
        Step::Asked(Asked {
            id,
            call: request["tool_use_id"].as_str().map(str::to_owned),
            question: of_tool(text(&request["tool_name"]), &request["input"]),
            detail: request["input"].clone(),
        })
    } else {
        let method = subtype.to_owned();
        Step::Strange { id, method }
    });
}

fn replied(response: &Value, notes: &mut Notes) {
    let id = response["request_id"].clone();
    let result = if response["subtype"] == "success" {
        Ok(response["response"].clone())
    } else {
        Err(response["error"].clone())
    };
    notes.step(Step::Replied { id, result });
}

fn status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
