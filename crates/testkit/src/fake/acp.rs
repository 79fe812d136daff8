//! ACP v1, shaped after recorded streams of gemini 0.61.0 and claude-agent-acp 0.49.0.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::act::{Agent, End, Verdict};
use super::wire::{Input, Wire};

const UNKNOWN_METHOD: i64 = -32601;

/// A fake agent of no vendor.
#[derive(Debug, Default)]
pub(crate) struct Acp {
    session: String,
    /// The prompt request to answer at the end of the turn.
    prompt: Value,
    next: u64,
    call: String,
    failed: bool,
}

impl Acp {
    fn update(&self, wire: &mut Wire, update: &Value) {
        let params = json!({"sessionId": self.session, "update": update});
        wire.tell(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn ask(&mut self, wire: &mut Wire, mut call: Value) -> Verdict {
        self.next += 1;
        let id = self.next;
        self.call = format!("call_fake_{id:06}");
        call["toolCallId"] = json!(self.call);
        call["status"] = json!("pending");
        let mut shown = call.clone();
        shown["sessionUpdate"] = json!("tool_call");
        self.update(wire, &shown);
        let options = json!([
            {"optionId": "always", "name": "Allow for this session", "kind": "allow_always"},
            {"optionId": "once", "name": "Allow", "kind": "allow_once"},
            {"optionId": "reject", "name": "Reject", "kind": "reject_once"},
        ]);
        let params = json!({"sessionId": self.session, "options": options, "toolCall": call});
        wire.tell(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}));
        loop {
            let Input::Line(line) = wire.hear() else {
                return Verdict::Interrupted;
            };
            if self.interrupted(wire, &line) {
                return Verdict::Interrupted;
            }
            if line["id"] == id && line.get("method").is_none() {
                let outcome = &line["result"]["outcome"];
                return match (outcome["outcome"].as_str(), outcome["optionId"].as_str()) {
                    (Some("selected"), Some("always" | "once")) => Verdict::Allowed(None),
                    (Some("cancelled"), _) => Verdict::Interrupted,
                    _ => Verdict::Denied("rejected by the host".into()),
                };
            }
        }
    }

    fn finished(&self, wire: &mut Wire, verdict: &Verdict, ok: bool, content: &Value) {
        let done = ok && matches!(verdict, Verdict::Allowed(_));
        let status = if done { "completed" } else { "failed" };
        self.update(wire, &json!({"sessionUpdate": "tool_call_update", "toolCallId": self.call, "status": status, "content": [content]}));
    }

    fn answer(&mut self, wire: &mut Wire, line: &Value) {
        let (Some(method), Some(id)) = (line["method"].as_str(), line.get("id")) else {
            return;
        };
        let result = match method {
            "initialize" => json!({
                "protocolVersion": 1, "authMethods": [], "agentInfo": {"name": "fake-agent", "title": "Fake", "version": "0.61.0"},
                "agentCapabilities": {"loadSession": true, "promptCapabilities": {"embeddedContext": true}},
            }),
            "session/new" => {
                self.session = format!("fake-session-{}", std::process::id());
                json!({"sessionId": self.session, "modes": {"currentModeId": "default", "availableModes": [{"id": "default", "name": "Default"}]}})
            }
            "session/load" | "session/resume" => {
                line["params"]["sessionId"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut self.session);
                json!({})
            }
            "session/set_mode" | "authenticate" => json!({}),
            _ => {
                let error = json!({"code": UNKNOWN_METHOD, "message": format!("fake agent does not know {method}")});
                return wire.tell(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
        };
        wire.tell(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
}

impl Agent for Acp {
    fn prompt(&mut self, wire: &mut Wire) -> Option<String> {
        loop {
            let Input::Line(line) = wire.hear() else { return None };
            if line["method"] != "session/prompt" {
                self.answer(wire, &line);
                continue;
            }
            self.prompt = line["id"].clone();
            let pieces = line["params"]["prompt"].as_array().into_iter().flatten();
            return Some(pieces.filter_map(|piece| piece["text"].as_str()).collect());
        }
    }

    fn say(&mut self, wire: &mut Wire, text: &str) {
        self.update(
            wire,
            &json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}),
        );
    }

    fn ask_write(&mut self, wire: &mut Wire, path: &Path, content: &str) -> Verdict {
        let diff = json!({"type": "diff", "path": path, "oldText": null, "newText": content});
        let title = format!("Writing to {}", path.display());
        self.ask(
            wire,
            json!({"title": title, "kind": "edit", "content": [diff], "locations": [{"path": path}]}),
        )
    }

    fn wrote(&mut self, wire: &mut Wire, path: &Path, content: &str, verdict: &Verdict) {
        let diff = json!({"type": "diff", "path": path, "oldText": null, "newText": content});
        self.finished(wire, verdict, true, &diff);
    }

    fn ask_shell(&mut self, wire: &mut Wire, command: &str) -> Verdict {
        self.ask(
            wire,
            json!({"title": command, "kind": "execute", "content": [], "rawInput": {"command": command}}),
        )
    }

    fn ran(&mut self, wire: &mut Wire, _: &str, output: &str, code: Option<i32>, verdict: &Verdict) {
        let text = json!({"type": "content", "content": {"type": "text", "text": output}});
        self.finished(wire, verdict, code == Some(0), &text);
    }

    fn refuse_write(&mut self, wire: &mut Wire, path: &Path) {
        self.next += 1;
        self.call = format!("call_fake_{:06}", self.next);
        let cwd = std::env::current_dir().unwrap_or_default();
        let text = format!(
            "Path not in workspace: Attempted path \"{}\" resolves outside the allowed workspace directories: {}",
            path.display(),
            cwd.display()
        );
        let content = json!({"type": "content", "content": {"type": "text", "text": text}});
        self.finished(wire, &Verdict::Denied(text), false, &content);
    }

    fn interrupted(&mut self, _: &mut Wire, line: &Value) -> bool {
        line["method"] == "session/cancel"
    }

    fn end(&mut self, wire: &mut Wire, end: End) {
        let body = match end {
            End::Done => (
                "result",
                json!({"stopReason": "end_turn", "usage": {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}}),
            ),
            End::Interrupted => ("result", json!({"stopReason": "cancelled"})),
            End::Failed(failure) => {
                self.failed = true;
                let status = failure.status();
                let message =
                    json!({"error": {"code": status, "message": "fake refusal", "status": "REFUSED"}}).to_string();
                ("error", json!({"code": status, "message": message}))
            }
        };
        wire.tell(&json!({"jsonrpc": "2.0", "id": self.prompt, body.0: body.1}));
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed))
    }
}
