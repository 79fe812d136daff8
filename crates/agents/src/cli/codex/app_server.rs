//! JSON-RPC lines of `codex app-server` (0.169): the two-way protocol. Requests and answers carry no `jsonrpc` key.

use super::{since, unwrapped, usage};
use crate::{
    cli::{
        asked::Asked,
        notes::{Notes, Step},
    },
    outcome::seen::{By, End, Reset},
};
use maestria_kernel::{
    money::Usage,
    permission::{Action, Question},
    time::At,
};
use serde_json::Value;
use std::collections::HashMap;

/// What a reader of this dialect must remember between lines.
#[derive(Debug, Default)]
pub struct AppServer {
    /// Total of the thread as last reported; `None` before the first report.
    counted: Option<Usage>,
    /// Tool calls that have begun: their approval requests name only the id.
    items: HashMap<String, Question>,
}

impl AppServer {
    pub(in crate::cli) fn read(&mut self, line: &Value, notes: &mut Notes) {
        let method = line["method"].as_str();
        match (method, line.get("id")) {
            (Some(method), Some(id)) => self.asked(method, id, &line["params"], notes),
            (Some(method), None) => self.notified(method, &line["params"], notes),
            (None, Some(id)) => replied(id, line, notes),
            (None, None) => {}
        }
    }

    fn notified(&mut self, method: &str, params: &Value, notes: &mut Notes) {
        let other = params["threadId"].as_str().is_some_and(|thread| {
            notes
                .seen
                .session
                .as_ref()
                .is_some_and(|known| known.as_str() != thread)
        });
        if other {
            // A thread that the agent started beside its own: what it does shows in its parent's items.
            return;
        }
        match method {
            "thread/started" => thread(&params["thread"], notes),
            "turn/started" => {
                notes.begin();
                notes.step(Step::Turn(text(&params["turn"]["id"]).to_owned()));
            }
            "item/started" => self.started(&params["item"], notes),
            "item/completed" => self.completed(&params["item"], notes),
            "error" => error(params, notes),
            "turn/completed" => turn_completed(&params["turn"], notes),
            "thread/tokenUsage/updated" => self.counted(&params["tokenUsage"], notes),
            "account/rateLimits/updated" => limits(&params["rateLimits"], notes),
            "configWarning" => notes.warn(text(&params["summary"])),
            _ => {}
        }
    }

    fn asked(&mut self, method: &str, id: &Value, params: &Value, notes: &mut Notes) {
        let call = params["itemId"].as_str();
        let known = call.and_then(|call| self.items.get(call)).cloned();
        let question = match method {
            "item/fileChange/requestApproval" => Some(self.file_question(params, known)),
            "item/commandExecution/requestApproval" => {
                let command = params["command"].as_str().map(unwrapped);
                let asked = command.map(|command| Question::new("command".to_owned(), Action::Run { command }));
                asked.or(known)
            }
            _ => None,
        };
        notes.step(match question {
            Some(question) => Step::Asked(Asked {
                id: id.clone(),
                call: call.map(str::to_owned),
                question,
                detail: params.clone(),
            }),
            None => Step::Strange {
                id: id.clone(),
                method: method.to_owned(),
            },
        });
    }

    /// An edit, or the wish to be granted a whole directory.
    fn file_question(&self, params: &Value, known: Option<Question>) -> Question {
        let granted = params["grantRoot"].as_str().map(|root| {
            let paths = vec![root.to_owned()];
            Question::new("edit".to_owned(), Action::Write { paths })
        });
        granted.or(known).unwrap_or_else(|| {
            let tool = "edit of unnamed files".to_owned();
            Question::new("edit".to_owned(), Action::Other { tool })
        })
    }

    fn started(&mut self, item: &Value, notes: &mut Notes) {
        if let Some(question) = question(item) {
            let id = text(&item["id"]);
            notes.started(id, &question);
            self.items.insert(id.to_owned(), question);
        }
    }

    fn completed(&mut self, item: &Value, notes: &mut Notes) {
        let id = text(&item["id"]);
        match item["type"].as_str().unwrap_or_default() {
            "agentMessage" => notes.said(text(&item["text"])),
            "error" => notes.warn(text(&item["message"])),
            _ => {
                let Some(question) = question(item) else { return };
                notes.started(id, &question);
                self.items.remove(id);
                finished(id, item, &question, notes);
            }
        }
    }

    fn counted(&mut self, counts: &Value, notes: &mut Notes) {
        let total = usage(&counts["total"]);
        // A resumed thread's first total includes what earlier processes used; `last` is this call alone.
        let used = match self.counted {
            Some(before) => since(before, total),
            None => usage(&counts["last"]),
        };
        self.counted = Some(total);
        notes.called(used, 0);
    }
}

fn question(item: &Value) -> Option<Question> {
    let (tool, action) = match item["type"].as_str().unwrap_or_default() {
        "commandExecution" => (
            "command",
            Action::Run {
                command: unwrapped(text(&item["command"])),
            },
        ),
        "fileChange" => ("edit", Action::Write { paths: changed(item) }),
        "mcpToolCall" => (
            text(&item["tool"]),
            Action::Other {
                tool: text(&item["server"]).to_owned(),
            },
        ),
        "webSearch" => (
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

fn finished(id: &str, item: &Value, question: &Question, notes: &mut Notes) {
    let status = text(&item["status"]);
    let ok = status == "completed" && item["exitCode"].as_i64().unwrap_or(0) == 0;
    let paths = changed(item);
    if ok {
        paths.iter().for_each(|path| notes.edited(path));
    } else if status == "declined" || !paths.is_empty() {
        // A patch that failed after its approval ran into the sandbox, which only lets it write inside its roots.
        let outside = paths.iter().find(|path| notes.lies_outside(Some(path))).cloned();
        let path = outside.clone().or_else(|| paths.first().cloned());
        let what = crate::cli::asked::summary(question);
        if status == "declined" || outside.is_some() {
            notes.deny(Some(id), &what, path, outside.is_some(), By::Agent);
        }
    }
    notes.finished(id, ok, text(&item["aggregatedOutput"]));
}

fn thread(thread: &Value, notes: &mut Notes) {
    notes.session(text(&thread["id"]));
    if let Some(model) = thread["model"].as_str() {
        notes.seen.model = Some(model.to_owned());
    }
    let cwd = thread["cwd"]
        .as_str()
        .or_else(|| thread["environments"][0]["cwd"].as_str());
    if let Some(cwd) = cwd {
        notes.seen.cwd = Some(cwd.to_owned());
    }
}

fn error(params: &Value, notes: &mut Notes) {
    let error = &params["error"];
    let detail = [text(&error["message"]), text(&error["additionalDetails"])].join(" ");
    if params["willRetry"] == true {
        notes.retrying(status(error), &detail);
    } else {
        notes.trouble(status(error), &detail);
    }
}

/// `codexErrorInfo` is a word, or an object with one key whose value may hold the HTTP status.
fn status(error: &Value) -> Option<u16> {
    let info = error["codexErrorInfo"].as_object()?;
    let found = info.values().find_map(|value| value["httpStatusCode"].as_u64())?;
    u16::try_from(found).ok()
}

fn turn_completed(turn: &Value, notes: &mut Notes) {
    let end = match text(&turn["status"]) {
        "completed" => {
            notes.seen.trouble = None;
            End::Success
        }
        "interrupted" => End::Interrupted,
        _ => {
            let error = &turn["error"];
            let word = error["codexErrorInfo"].as_str().unwrap_or_default();
            notes.trouble(status(error), &format!("{} {word}", text(&error["message"])));
            End::Error
        }
    };
    notes.end(end);
}

fn limits(limits: &Value, notes: &mut Notes) {
    let spent = ["primary", "secondary"]
        .iter()
        .map(|window| &limits[*window])
        .find(|window| window["usedPercent"].as_f64().is_some_and(|used| used >= 100.0));
    if let Some(seconds) = spent.and_then(|window| window["resetsAt"].as_i64()) {
        notes.seen.reset = Some(Reset::At(At(seconds.saturating_mul(1000))));
    }
}

fn replied(id: &Value, line: &Value, notes: &mut Notes) {
    let result = match line.get("error") {
        Some(error) => Err(error.clone()),
        None => {
            let result = line["result"].clone();
            if result.get("thread").is_some() {
                thread(&result["thread"], notes);
            }
            if let Some(cwd) = result["cwd"].as_str() {
                notes.seen.cwd = Some(cwd.to_owned());
            }
            Ok(result)
        }
    };
    let id = id.clone();
    notes.step(Step::Replied { id, result });
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
