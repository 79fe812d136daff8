//! Agent Client Protocol v1: JSON-RPC lines. Gemini, opencode, the adapters of Claude and Codex, and any configured agent.
//!
//! Most adapters report neither the HTTP status of an error nor its retries, and Gemini calls a shell that was cancelled
//! in mid-run `completed`: what a turn came to is judged with the tree, never from tool states.

use crate::{
    cli::{
        asked::{Asked, of_acp},
        notes::{Notes, Step},
    },
    outcome::seen::End,
};
use agent_client_protocol_schema::v1::StopReason;
use maestria_kernel::{
    money::{Cost, Tokens, Usage},
    permission::Action,
};
use serde_json::Value;
use std::collections::HashMap;

/// What a reader of this dialect must remember between lines.
#[derive(Debug, Default)]
pub struct Acp {
    /// Tool calls by id: updates and permission requests name only what has changed.
    calls: HashMap<String, Value>,
    /// What the session has cost, as far as it was told.
    spent: Cost,
    /// The cost that no model call was noted for yet.
    owed: Cost,
}

impl Acp {
    pub(super) fn read(&mut self, line: &Value, notes: &mut Notes) {
        let params = &line["params"];
        match (line["method"].as_str(), line.get("id")) {
            (Some("session/request_permission"), Some(id)) => self.asked(id, params, notes),
            (Some(method), Some(id)) => notes.step(Step::Strange {
                id: id.clone(),
                method: method.to_owned(),
            }),
            (Some("session/update"), None) => self.update(&params["update"], notes),
            (Some(_), None) | (None, None) => {}
            (None, Some(id)) => self.replied(id, line, notes),
        }
    }

    fn update(&mut self, update: &Value, notes: &mut Notes) {
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => notes.chunk(text(&update["content"]["text"])),
            "tool_call" | "tool_call_update" => self.tool(update, notes),
            "usage_update" => self.cost(&update["cost"]),
            _ => {}
        }
    }

    fn tool(&mut self, update: &Value, notes: &mut Notes) {
        notes.seen.begun = true;
        let id = text(&update["toolCallId"]).to_owned();
        let call = self.merged(&id, update);
        let question = of_acp(&call);
        let status = text(&call["status"]);
        // Some agents announce a call before they know its input.
        if !matches!(status, "pending" | "") || has_input(&call) {
            notes.started(&id, &question);
        }
        if status == "completed" || status == "failed" {
            let ok = status == "completed";
            if ok && let Action::Write { paths } = &question.action {
                paths.iter().for_each(|path| notes.edited(path));
            }
            notes.finished(&id, ok, &output(&call));
            self.calls.remove(&id);
        }
    }

    fn merged(&mut self, id: &str, update: &Value) -> Value {
        let call = self
            .calls
            .entry(id.to_owned())
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let (Some(known), Some(new)) = (call.as_object_mut(), update.as_object()) {
            for (key, value) in new.iter().filter(|(_, value)| !is_empty(value)) {
                known.insert(key.clone(), value.clone());
            }
        }
        call.clone()
    }

    fn asked(&mut self, id: &Value, params: &Value, notes: &mut Notes) {
        notes.flush();
        let call_id = text(&params["toolCall"]["toolCallId"]).to_owned();
        let call = self.merged(&call_id, &params["toolCall"]);
        let question = of_acp(&call);
        notes.started(&call_id, &question);
        notes.step(Step::Asked(Asked {
            id: id.clone(),
            call: Some(call_id),
            question,
            detail: params["options"].clone(),
        }));
    }

    fn cost(&mut self, cost: &Value) {
        if cost["currency"] != "USD" {
            return;
        }
        // The amount counts over the whole session.
        let total = Cost((cost["amount"].as_f64().unwrap_or(0.0) * 1e6).round() as i64);
        self.owed += Cost((total.0 - self.spent.0).max(0));
        self.spent = total.max(self.spent);
    }

    fn replied(&mut self, id: &Value, line: &Value, notes: &mut Notes) {
        if let Some(error) = line.get("error") {
            rpc_error(error, notes);
            let (id, result) = (id.clone(), Err(error.clone()));
            notes.step(Step::Replied { id, result });
            return;
        }
        let result = line["result"].clone();
        if let Some(session) = result["sessionId"].as_str() {
            notes.session(session);
        }
        if let Some(reason) = result.get("stopReason") {
            notes.flush();
            self.count(&result, notes);
            stopped(reason, notes);
        }
        notes.step(Step::Replied {
            id: id.clone(),
            result: Ok(result),
        });
    }

    /// Gemini tells its counts under `_meta`, with other names.
    fn count(&mut self, result: &Value, notes: &mut Notes) {
        let (usage, quota) = (&result["usage"], &result["_meta"]["quota"]["token_count"]);
        let other = |key: &str| match key {
            "inputTokens" => quota["input_tokens"].as_u64(),
            "outputTokens" => quota["output_tokens"].as_u64(),
            _ => None,
        };
        let count = |key: &str| usage[key].as_u64().or_else(|| other(key)).unwrap_or(0);
        let cached = count("cachedReadTokens");
        let usage = Usage {
            input: Tokens(count("inputTokens") + cached + count("cachedWriteTokens")),
            cached: Tokens(cached),
            output: Tokens(count("outputTokens")),
            cost: std::mem::take(&mut self.owed),
        };
        notes.called(usage, 0);
    }
}

/// Null says "unknown", and an empty list or object says no more than the fuller one that came before.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn has_input(call: &Value) -> bool {
    ["rawInput", "locations", "content"]
        .iter()
        .any(|key| call.get(*key).is_some())
}

fn output(call: &Value) -> String {
    let shown = call["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = shown.filter_map(|part| part["content"]["text"].as_str()).collect();
    let raw = &call["rawOutput"];
    let raw = raw
        .as_str()
        .or_else(|| raw["output"].as_str())
        .or_else(|| raw["error"].as_str());
    if texts.is_empty() {
        raw.unwrap_or_default().to_owned()
    } else {
        texts.join("\n")
    }
}

fn stopped(reason: &Value, notes: &mut Notes) {
    notes.seen.begun = true;
    let end = match serde_json::from_value(reason.clone()) {
        Ok(StopReason::EndTurn) => End::Success,
        Ok(StopReason::MaxTokens | StopReason::MaxTurnRequests) => End::Limit,
        Ok(StopReason::Cancelled) => End::Interrupted,
        // A refusal, or a reason of a newer protocol.
        Ok(_) | Err(_) => {
            notes.trouble(None, &format!("the agent stopped: {reason}"));
            End::Error
        }
    };
    notes.end(end);
}

/// JSON-RPC codes are negative; some agents put the HTTP status there.
fn rpc_error(error: &Value, notes: &mut Notes) {
    let code = error["code"].as_i64();
    let status = code
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code));
    let detail = &error["data"];
    let detail = detail["details"]
        .as_str()
        .or_else(|| detail.as_str())
        .unwrap_or_default();
    let auth = if code == Some(-32000) {
        " (authentication required)"
    } else {
        ""
    };
    notes.trouble(status, &format!("{} {detail}{auth}", text(&error["message"])));
    if notes.seen.begun || status.is_some() {
        notes.end(End::Error);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
