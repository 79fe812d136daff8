//! `codex app-server`, shaped after recorded streams of 0.169.0.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::act::{Agent, End, Verdict};
use super::wire::{Input, Wire};

const INTERNAL: i64 = -32601;

/// A fake codex.
#[derive(Debug, Default)]
pub(crate) struct Codex {
    thread: String,
    turn: String,
    next: u64,
    /// The item in question.
    item: Value,
    said: Vec<Value>,
    tokens: u64,
}

impl Codex {
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_fake_{:06}", self.next)
    }

    fn notify(&self, wire: &mut Wire, method: &str, mut params: Value) {
        params["threadId"] = json!(self.thread);
        wire.tell(&json!({"method": method, "params": params}));
    }

    fn turn_value(&self, status: &str, error: &Value) -> Value {
        json!({"id": self.turn, "items": self.said, "itemsView": "summary", "status": status, "error": error})
    }

    fn item(&mut self, wire: &mut Wire, stage: &str) {
        let params = json!({"item": self.item, "turnId": self.turn});
        self.notify(wire, stage, params);
    }

    fn status(&self, wire: &mut Wire, status: &Value) {
        self.notify(wire, "thread/status/changed", json!({"status": status}));
    }

    fn ask(&mut self, wire: &mut Wire, method: &str, more: Value) -> Verdict {
        self.item(wire, "item/started");
        self.status(wire, &json!({"type": "active", "activeFlags": ["waitingOnApproval"]}));
        self.next += 1;
        let id = self.next;
        let mut params =
            json!({"threadId": self.thread, "turnId": self.turn, "itemId": self.item["id"], "reason": null});
        if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
            params.extend(more);
        }
        wire.tell(&json!({"method": method, "id": id, "params": params}));
        loop {
            let Input::Line(line) = wire.hear() else {
                return Verdict::Interrupted;
            };
            if self.interrupted(wire, &line) {
                return Verdict::Interrupted;
            }
            if line["id"] == id && line.get("method").is_none() {
                self.notify(wire, "serverRequest/resolved", json!({"requestId": id}));
                self.status(wire, &json!({"type": "active", "activeFlags": []}));
                return match line["result"]["decision"].as_str() {
                    Some("accept" | "acceptForSession") => Verdict::Allowed(None),
                    Some("cancel") => Verdict::Interrupted,
                    other => Verdict::Denied(other.unwrap_or("decline").to_owned()),
                };
            }
            self.answer(wire, &line);
        }
    }

    /// Any request that is not part of a turn.
    fn answer(&mut self, wire: &mut Wire, line: &Value) {
        let (Some(method), Some(id)) = (line["method"].as_str(), line.get("id")) else {
            return;
        };
        let cwd = line["params"]["cwd"].clone();
        let result = match method {
            "initialize" => {
                json!({"userAgent": "fake/0.169.0", "codexHome": "", "platformFamily": "unix", "platformOs": "linux"})
            }
            "thread/start" | "thread/resume" | "thread/fork" => {
                let given = line["params"]["threadId"]
                    .as_str()
                    .filter(|_| method == "thread/resume");
                self.thread = given.map_or_else(
                    || format!("00000000-0000-7000-8000-{:012x}", std::process::id()),
                    str::to_owned,
                );
                json!({"thread": {"id": self.thread, "cwd": cwd, "cliVersion": "0.169.0", "turns": []}, "model": "fake-model", "cwd": cwd})
            }
            "account/read" => json!({"account": {"type": "apiKey"}, "requiresOpenaiAuth": false}),
            "account/rateLimits/read" => {
                json!({"rateLimits": {"limitId": "codex", "primary": null, "secondary": null}})
            }
            "turn/steer" => json!({"turnId": self.turn}),
            _ => {
                let error = json!({"code": INTERNAL, "message": format!("fake codex does not know {method}")});
                return wire.tell(&json!({"id": id, "error": error}));
            }
        };
        wire.tell(&json!({"id": id, "result": result}));
        if method == "thread/start" {
            let thread = json!({"id": self.thread, "cwd": cwd});
            self.notify(wire, "thread/started", json!({"thread": thread}));
        }
    }

    fn begin(&mut self, wire: &mut Wire, line: &Value) -> String {
        self.turn = self.id("turn");
        self.said.clear();
        wire.tell(&json!({"id": line["id"], "result": {"turn": self.turn_value("inProgress", &Value::Null)}}));
        self.status(wire, &json!({"type": "active", "activeFlags": []}));
        let turn = self.turn_value("inProgress", &Value::Null);
        self.notify(wire, "turn/started", json!({"turn": turn}));
        let input = line["params"]["input"].as_array().into_iter().flatten();
        input.filter_map(|piece| piece["text"].as_str()).collect()
    }

    fn complete(&mut self, wire: &mut Wire, verdict: &Verdict, code: Option<i32>) {
        let failed = code.is_some_and(|code| code != 0);
        self.item["status"] = json!(match verdict {
            Verdict::Allowed(_) if failed => "failed",
            Verdict::Allowed(_) => "completed",
            Verdict::Denied(_) | Verdict::Interrupted => "declined",
        });
        self.item(wire, "item/completed");
    }
}

impl Agent for Codex {
    fn prompt(&mut self, wire: &mut Wire) -> Option<String> {
        loop {
            let Input::Line(line) = wire.hear() else { return None };
            match line["method"].as_str() {
                Some("turn/start") => return Some(self.begin(wire, &line)),
                Some(_) => self.answer(wire, &line),
                None => {}
            }
        }
    }

    fn say(&mut self, wire: &mut Wire, text: &str) {
        let id = self.id("item");
        self.item = json!({"type": "agentMessage", "id": id, "text": "", "phase": null});
        self.item(wire, "item/started");
        let delta = json!({"turnId": self.turn, "itemId": id, "delta": text});
        self.notify(wire, "item/agentMessage/delta", delta);
        self.item["text"] = json!(text);
        self.said.push(self.item.clone());
        self.item(wire, "item/completed");
    }

    fn ask_write(&mut self, wire: &mut Wire, path: &Path, content: &str) -> Verdict {
        let kind = if path.exists() { "update" } else { "add" };
        let changes = json!([{"path": path, "kind": {"type": kind}, "diff": content}]);
        self.item = json!({"type": "fileChange", "id": self.id("call"), "changes": changes, "status": "inProgress"});
        self.ask(wire, "item/fileChange/requestApproval", json!({"grantRoot": null}))
    }

    fn wrote(&mut self, wire: &mut Wire, _: &Path, _: &str, verdict: &Verdict) {
        if let Verdict::Denied(_) = verdict {
            eprintln!("2026-11-20T23:31:37.003589Z ERROR codex_core::tools::router: error=patch rejected by user");
        }
        self.complete(wire, verdict, None);
    }

    fn ask_shell(&mut self, wire: &mut Wire, command: &str) -> Verdict {
        let cwd = std::env::current_dir().unwrap_or_default();
        let shown = format!("/bin/bash -lc '{command}'");
        self.item = json!({
            "type": "commandExecution", "id": self.id("call"), "command": shown, "cwd": cwd, "source": "agent",
            "status": "inProgress", "aggregatedOutput": null, "exitCode": null,
        });
        let more = json!({"command": shown, "cwd": cwd, "availableDecisions": ["accept", "cancel"]});
        self.ask(wire, "item/commandExecution/requestApproval", more)
    }

    fn ran(&mut self, wire: &mut Wire, _: &str, output: &str, code: Option<i32>, verdict: &Verdict) {
        self.item["aggregatedOutput"] = json!(output);
        self.item["exitCode"] = json!(code);
        self.complete(wire, verdict, code);
    }

    /// The real one sends no item at all then: only stderr tells.
    fn refuse_write(&mut self, _: &mut Wire, _: &Path) {
        eprintln!(
            "2026-11-20T23:31:37.003589Z ERROR codex_core::tools::router: error=patch rejected: writing outside of the project; \
             rejected by user approval settings"
        );
    }

    fn interrupted(&mut self, wire: &mut Wire, line: &Value) -> bool {
        let yes = line["method"] == "turn/interrupt";
        if yes {
            wire.tell(&json!({"id": line["id"], "result": {}}));
        }
        yes
    }

    fn end(&mut self, wire: &mut Wire, end: End) {
        let (status, error) = match end {
            End::Done => ("completed", Value::Null),
            End::Interrupted => ("interrupted", Value::Null),
            End::Failed(failure) => {
                let status = failure.status();
                let (message, kind) = match status {
                    429 => (
                        "exceeded retry limit, last status: 429 Too Many Requests".to_owned(),
                        "responseTooManyFailedAttempts",
                    ),
                    _ => (
                        format!("unexpected status {status}: fake refusal"),
                        "httpConnectionFailed",
                    ),
                };
                let error = json!({"message": message, "codexErrorInfo": {kind: {"httpStatusCode": status}}, "additionalDetails": null});
                self.notify(
                    wire,
                    "error",
                    json!({"error": error, "willRetry": false, "turnId": self.turn}),
                );
                ("failed", error)
            }
        };
        self.tokens += 110;
        let total = json!({"totalTokens": self.tokens, "inputTokens": self.tokens - 10, "cachedInputTokens": 0, "outputTokens": 10});
        let usage =
            json!({"turnId": self.turn, "tokenUsage": {"total": total, "last": total, "modelContextWindow": 258_400}});
        self.notify(wire, "thread/tokenUsage/updated", usage);
        self.status(wire, &json!({"type": "idle"}));
        let turn = self.turn_value(status, &error);
        self.notify(wire, "turn/completed", json!({"turn": turn}));
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::SUCCESS
    }
}
