//! Events of `codex exec --json` (0.169). `turn.completed` counts tokens over the whole thread, also after a resume.

use super::{since, unwrapped, usage};
use crate::{
    cli::notes::{Notes, Step},
    outcome::seen::{By, End},
};
use maestria_kernel::{
    money::Usage,
    permission::{Action, Question},
};
use serde_json::Value;

/// What a reader of this dialect must remember between lines.
#[derive(Debug)]
pub struct Exec {
    counted: Usage,
}

impl Exec {
    /// A reader; `before` is what the thread had used before this process.
    pub const fn new(before: Usage) -> Self {
        Self { counted: before }
    }

    pub(in crate::cli) fn read(&mut self, line: &Value, notes: &mut Notes) {
        match line["type"].as_str().unwrap_or_default() {
            "thread.started" => notes.session(text(&line["thread_id"])),
            "turn.started" => {
                notes.begin();
                notes.step(Step::Turn(String::new()));
            }
            "item.started" | "item.updated" => started(&line["item"], notes),
            "item.completed" => completed(&line["item"], notes),
            "error" => error(text(&line["message"]), notes),
            "turn.completed" => {
                let now = usage(&line["usage"]);
                notes.called(since(self.counted, now), 0);
                self.counted = now;
                notes.seen.trouble = None;
                notes.end(End::Success);
            }
            "turn.failed" => {
                notes.trouble(None, text(&line["error"]["message"]));
                notes.end(End::Error);
            }
            _ => {}
        }
    }
}

fn error(message: &str, notes: &mut Notes) {
    if message.starts_with("Reconnecting...") {
        notes.retrying(None, message);
    } else {
        notes.trouble(None, message);
    }
}

fn started(item: &Value, notes: &mut Notes) {
    if let Some(question) = question(item) {
        notes.started(text(&item["id"]), &question);
    }
}

/// What an item does, if it is a tool.
fn question(item: &Value) -> Option<Question> {
    let (tool, action) = match item["type"].as_str().unwrap_or_default() {
        "command_execution" => (
            "command",
            Action::Run {
                command: unwrapped(text(&item["command"])),
            },
        ),
        "file_change" => ("edit", Action::Write { paths: changed(item) }),
        "mcp_tool_call" => (
            text(&item["tool"]),
            Action::Other {
                tool: text(&item["server"]).to_owned(),
            },
        ),
        "web_search" => (
            "web search",
            Action::Fetch {
                url: text(&item["query"]).to_owned(),
            },
        ),
        _ => return None,
    };
    let tool = tool.to_owned();
    Some(Question::new(tool, action))
}

fn changed(item: &Value) -> Vec<String> {
    let changes = item["changes"].as_array().into_iter().flatten();
    changes
        .filter_map(|change| change["path"].as_str())
        .map(str::to_owned)
        .collect()
}

fn completed(item: &Value, notes: &mut Notes) {
    let id = text(&item["id"]);
    match item["type"].as_str().unwrap_or_default() {
        "agent_message" => notes.said(text(&item["text"])),
        "error" => notes.warn(text(&item["message"])),
        _ => {
            let Some(question) = question(item) else { return };
            notes.started(id, &question);
            let status = text(&item["status"]);
            let ok = status == "completed" && item["exit_code"].as_i64().unwrap_or(0) == 0;
            let paths = changed(item);
            if ok {
                paths.iter().for_each(|path| notes.edited(path));
            } else if status == "declined" || !paths.is_empty() {
                let outside = paths.iter().any(|path| notes.lies_outside(Some(path)));
                notes.deny(Some(id), &paths.join(", "), paths.first().cloned(), outside, By::Agent);
            }
            notes.finished(id, ok, text(&item["aggregated_output"]));
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
