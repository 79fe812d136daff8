//! claude's stream-json control protocol, shaped after recorded streams of 2.1.329.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::act::{Agent, End, Verdict};
use super::plan::Failure;
use super::wire::{Input, Wire};

const MODEL: &str = "fake-model";
const COST_OF_A_TURN: f64 = 0.01;

/// A fake claude.
#[derive(Debug)]
pub(crate) struct Claude {
    session: String,
    /// The prompt of `-p PROMPT`; `Some(None)` once it was taken.
    one_shot: Option<Option<String>>,
    permission_mode: String,
    next: u64,
    /// The tool call in question.
    call: (String, Value),
    denials: Vec<Value>,
    said: String,
    turns: u32,
    failed: bool,
}

impl Claude {
    pub(crate) fn new(args: &[String]) -> Self {
        let after = |name: &str| {
            let place = args.iter().position(|arg| arg == name)?;
            args.get(place + 1).cloned()
        };
        let two_way = after("--input-format").is_some_and(|format| format == "stream-json");
        let prompt = after("-p")
            .or_else(|| after("--print"))
            .filter(|word| !word.starts_with("--"));
        Self {
            session: after("--resume")
                .or_else(|| after("--session-id"))
                .unwrap_or_else(fresh_session),
            one_shot: (!two_way).then(|| Some(prompt.unwrap_or_default())),
            permission_mode: after("--permission-mode").unwrap_or_else(|| "default".into()),
            next: 0,
            call: (String::new(), Value::Null),
            denials: Vec::new(),
            said: String::new(),
            turns: 0,
            failed: false,
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_fake_{:06}", self.next)
    }

    fn assistant(&mut self, wire: &mut Wire, block: &Value) {
        let message = json!({
            "id": self.id("msg"), "type": "message", "role": "assistant", "model": MODEL, "content": [block],
            "stop_reason": null, "stop_sequence": null, "usage": usage(100, 1), "context_management": null,
        });
        wire.tell(
            &json!({"type": "assistant", "message": message, "parent_tool_use_id": null, "session_id": self.session}),
        );
    }

    fn begin(&mut self, wire: &mut Wire) {
        let cwd = std::env::current_dir().unwrap_or_default();
        wire.tell(&json!({
            "type": "system", "subtype": "init", "cwd": cwd, "session_id": self.session,
            "tools": ["Bash", "Edit", "Read", "Write"], "mcp_servers": [], "model": MODEL,
            "permissionMode": self.permission_mode, "apiKeySource": "ANTHROPIC_API_KEY", "claude_code_version": "2.1.329",
        }));
        self.denials.clear();
        self.said.clear();
    }

    fn ask(&mut self, wire: &mut Wire, tool: &str, input: &Value, rewritable: &str) -> Verdict {
        let id = self.id("toolu");
        self.call = (id.clone(), input.clone());
        self.assistant(
            wire,
            &json!({"type": "tool_use", "id": id, "name": tool, "input": input}),
        );
        if self.permission_mode == "acceptEdits" && tool == "Write" {
            return Verdict::Allowed(None);
        }
        if self.one_shot.is_some() {
            return self.refused_by_mode(wire, tool);
        }
        let request_id = self.id("req");
        wire.tell(&json!({"type": "control_request", "request_id": request_id, "request": {
            "subtype": "can_use_tool", "tool_name": tool, "display_name": tool, "input": input,
            "permission_suggestions": [{"type": "setMode", "mode": "acceptEdits", "destination": "session"}], "tool_use_id": id,
        }}));
        loop {
            let Input::Line(line) = wire.hear() else {
                return Verdict::Interrupted;
            };
            if self.interrupted(wire, &line) {
                return Verdict::Interrupted;
            }
            let response = &line["response"];
            if line["type"] == "control_response" && response["request_id"] == request_id.as_str() {
                return decided(&response["response"], rewritable);
            }
        }
    }

    fn refused_by_mode(&mut self, wire: &mut Wire, tool: &str) -> Verdict {
        let message = format!("Claude requested permissions to use {tool}, but you haven't granted it yet.");
        wire.tell(&json!({
            "type": "system", "subtype": "permission_denied", "tool_name": tool, "tool_use_id": self.call.0,
            "decision_reason_type": "mode", "message": message, "session_id": self.session,
        }));
        Verdict::Denied(message)
    }

    fn result_of(&mut self, wire: &mut Wire, tool: &str, outcome: &Value, verdict: &Verdict) {
        let (id, input) = self.call.clone();
        let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": outcome["text"]});
        let mut line = json!({"type": "user", "parent_tool_use_id": null, "session_id": self.session});
        if let Verdict::Denied(reason) = verdict {
            block["content"] = json!(reason);
            block["is_error"] = json!(true);
            line["tool_use_result"] = json!(format!("Error: {reason}"));
            line["tool_result_meta"] =
                json!([{"id": id, "permission_decision": {"decision": "reject", "source": "user_reject"}}]);
            self.denials
                .push(json!({"tool_name": tool, "tool_use_id": id, "tool_input": input}));
        } else {
            line["tool_use_result"] = outcome["result"].clone();
            line["tool_result_meta"] =
                json!([{"id": id, "permission_decision": {"decision": "accept", "source": "user_temporary"}}]);
        }
        line["message"] = json!({"role": "user", "content": [block]});
        wire.tell(&line);
    }

    fn fail(&mut self, wire: &mut Wire, failure: Failure) -> Value {
        let (word, kind) = match failure {
            Failure::Auth => ("authentication_failed", "authentication_error"),
            Failure::RateLimit => ("rate_limit", "rate_limit_error"),
            Failure::Overloaded => ("overloaded", "overloaded_error"),
        };
        let status = failure.status();
        let text = match failure {
            Failure::Auth => format!("Failed to authenticate. API Error: {status} fake: invalid api key"),
            Failure::RateLimit | Failure::Overloaded => format!("API Error: Request rejected ({status}) · fake {word}"),
        };
        self.failed = true;
        wire.tell(&json!({
            "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 1, "retry_delay_ms": 500,
            "error_status": status, "error": word, "session_id": self.session,
        }));
        wire.tell(&json!({
            "type": "assistant", "parent_tool_use_id": null, "session_id": self.session, "error": word,
            "is_api_error_message": true, "api_error_status": status, "api_error_type": kind,
            "message": {"id": self.id("msg"), "type": "message", "role": "assistant", "model": "<synthetic>",
                "content": [{"type": "text", "text": text}], "stop_reason": "stop_sequence", "usage": usage(0, 0)},
        }));
        json!({"subtype": "success", "is_error": true, "terminal_reason": "api_error", "api_error_status": status,
            "api_error_type": kind, "result": text})
    }
}

impl Agent for Claude {
    fn prompt(&mut self, wire: &mut Wire) -> Option<String> {
        if let Some(prompt) = &mut self.one_shot {
            let prompt = prompt.take()?;
            self.begin(wire);
            return Some(prompt);
        }
        loop {
            let Input::Line(line) = wire.hear() else { return None };
            match line["type"].as_str() {
                Some("control_request") => {
                    let body = json!({"commands": [], "models": [], "account": {"tokenSource": "none"}});
                    let response = json!({"subtype": "success", "request_id": line["request_id"], "response": body});
                    wire.tell(&json!({"type": "control_response", "response": response}));
                }
                Some("user") => {
                    self.begin(wire);
                    let content = &line["message"]["content"];
                    let blocks = content
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|block| block["text"].as_str());
                    return Some(content.as_str().map_or_else(|| blocks.collect(), str::to_owned));
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, wire: &mut Wire, text: &str) {
        text.clone_into(&mut self.said);
        self.assistant(wire, &json!({"type": "text", "text": text}));
    }

    fn ask_write(&mut self, wire: &mut Wire, path: &Path, content: &str) -> Verdict {
        self.ask(
            wire,
            "Write",
            &json!({"file_path": path, "content": content}),
            "content",
        )
    }

    fn wrote(&mut self, wire: &mut Wire, path: &Path, content: &str, verdict: &Verdict) {
        let text = format!("File created successfully at: {}", path.display());
        let result = json!({"type": "create", "filePath": path, "content": content, "structuredPatch": [], "originalFile": null});
        self.result_of(wire, "Write", &json!({"text": text, "result": result}), verdict);
    }

    fn ask_shell(&mut self, wire: &mut Wire, command: &str) -> Verdict {
        self.ask(
            wire,
            "Bash",
            &json!({"command": command, "description": "run it"}),
            "command",
        )
    }

    fn ran(&mut self, wire: &mut Wire, _: &str, output: &str, _: Option<i32>, verdict: &Verdict) {
        let result = json!({"stdout": output, "stderr": "", "interrupted": false});
        self.result_of(wire, "Bash", &json!({"text": output, "result": result}), verdict);
    }

    fn refuse_write(&mut self, wire: &mut Wire, path: &Path) {
        let id = self.id("toolu");
        let input = json!({"file_path": path, "content": "refused"});
        self.assistant(
            wire,
            &json!({"type": "tool_use", "id": id, "name": "Write", "input": input}),
        );
        self.call = (id, input);
        let verdict = self.refused_by_mode(wire, "Write");
        self.result_of(wire, "Write", &Value::Null, &verdict);
    }

    fn interrupted(&mut self, wire: &mut Wire, line: &Value) -> bool {
        let yes = line["type"] == "control_request" && line["request"]["subtype"] == "interrupt";
        if yes {
            wire.tell(&json!({"type": "control_response", "response": {"subtype": "success", "request_id": line["request_id"]}}));
            let block = json!({"type": "text", "text": "[Request interrupted by user]"});
            wire.tell(&json!({"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": null, "session_id": self.session}));
        }
        yes
    }

    fn end(&mut self, wire: &mut Wire, end: End) {
        self.turns += 1;
        let outcome = match end {
            End::Done => {
                json!({"subtype": "success", "is_error": false, "terminal_reason": "completed", "api_error_status": null, "result": self.said})
            }
            End::Interrupted => {
                json!({"subtype": "error_during_execution", "is_error": true, "terminal_reason": "aborted_streaming"})
            }
            End::Failed(failure) => self.fail(wire, failure),
        };
        let mut line = json!({
            "duration_api_ms": 1, "session_id": self.session, "total_cost_usd": COST_OF_A_TURN * f64::from(self.turns),
            "usage": usage(100, 10), "permission_denials": self.denials, "num_turns": self.turns, "type": "result", "duration_ms": 1,
        });
        if let (Some(line), Value::Object(outcome)) = (line.as_object_mut(), outcome) {
            line.extend(outcome);
        }
        wire.tell(&line);
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed))
    }
}

fn decided(response: &Value, rewritable: &str) -> Verdict {
    if response["behavior"] == "allow" {
        return Verdict::Allowed(response["updatedInput"][rewritable].as_str().map(str::to_owned));
    }
    Verdict::Denied(response["message"].as_str().unwrap_or("denied").to_owned())
}

fn usage(input: u32, output: u32) -> Value {
    json!({"input_tokens": input, "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0})
}

fn fresh_session() -> String {
    format!("00000000-0000-4000-8000-{:012x}", std::process::id())
}
