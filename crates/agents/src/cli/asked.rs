//! What an agent asks leave for: the three protocols' questions as the kernel's [`Question`].

use crate::cli::text::one_line;
use maestria_kernel::permission::{Action, Question};
use serde_json::Value;

/// A question of an agent that waits for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The protocol's id of the request, given back with the answer.
    pub id: Value,
    /// The tool call it belongs to.
    pub call: Option<String>,
    /// What it comes to.
    pub question: Question,
    /// The tool's input (claude), or the options to choose from (ACP).
    pub detail: Value,
}

/// Keys under which agents name a file.
const PATHS: [&str; 8] = [
    "file_path",
    "filePath",
    "path",
    "notebook_path",
    "absolute_path",
    "dir_path",
    "filepath",
    "directory",
];

/// Reads a tool call: by the tool's name and its input, as claude, qwen, gemini and opencode name them.
pub fn of_tool(tool: &str, input: &Value) -> Question {
    let word = tool.rsplit("__").next().unwrap_or(tool).to_ascii_lowercase();
    let action = match word.as_str() {
        "write" | "edit" | "multiedit" | "notebookedit" | "write_file" | "replace" | "patch" | "apply_patch" => {
            Action::Write { paths: paths(input) }
        }
        "read"
        | "glob"
        | "grep"
        | "ls"
        | "list"
        | "read_file"
        | "read_many_files"
        | "list_directory"
        | "notebookread"
        | "search_file_content"
        | "grep_search" => Action::Read { paths: paths(input) },
        "bash" | "shell" | "run_shell_command" | "exec_command" => match text(input, &["command", "cmd"]) {
            Some(command) => Action::Run { command },
            None => Action::Other { tool: tool.to_owned() },
        },
        "webfetch" | "web_fetch" => Action::Fetch {
            url: text(input, &["url", "prompt"]).unwrap_or_default(),
        },
        _ => Action::Other { tool: tool.to_owned() },
    };
    Question::new(tool.to_owned(), with_paths(action, tool))
}

/// Reads an ACP tool call: by its kind, its locations and what it shows of its content.
pub fn of_acp(call: &Value) -> Question {
    let title = call["title"].as_str().unwrap_or("tool");
    let input = &call["rawInput"];
    let action = match call["kind"].as_str().unwrap_or("other") {
        "edit" | "delete" | "move" => Action::Write { paths: acp_paths(call) },
        "read" | "search" => Action::Read { paths: acp_paths(call) },
        "execute" => Action::Run {
            command: acp_command(input).unwrap_or_else(|| title.to_owned()),
        },
        "fetch" => Action::Fetch {
            url: text(input, &["url"]).unwrap_or_else(|| title.to_owned()),
        },
        "think" => Action::Read { paths: Vec::new() },
        _ => Action::Other { tool: title.to_owned() },
    };
    let action = match action {
        Action::Write { paths } if paths.is_empty() => Action::Other { tool: title.to_owned() },
        action => action,
    };
    Question::new(one_line(title, 200), action)
}

/// A write that names no file is not decided as a write.
fn with_paths(action: Action, tool: &str) -> Action {
    match action {
        Action::Write { paths } if paths.is_empty() => Action::Other { tool: tool.to_owned() },
        action => action,
    }
}

fn acp_command(input: &Value) -> Option<String> {
    text(input, &["command", "cmd"]).or_else(|| {
        let words: Option<Vec<&str>> = input["command"].as_array()?.iter().map(Value::as_str).collect();
        Some(shell_words::join(words?))
    })
}

fn acp_paths(call: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let located = call["locations"].as_array().into_iter().flatten();
    let shown = call["content"].as_array().into_iter().flatten();
    for place in located.chain(shown) {
        found.extend(place["path"].as_str().map(str::to_owned));
    }
    found.extend(paths(&call["rawInput"]));
    if let Some(changes) = call["rawInput"]["changes"].as_object() {
        found.extend(changes.keys().cloned());
    }
    found.sort();
    found.dedup();
    found
}

/// The files a tool's input names.
pub fn paths(input: &Value) -> Vec<String> {
    let single = PATHS.iter().filter_map(|key| input[*key].as_str());
    let many = ["paths", "files"]
        .iter()
        .filter_map(|key| input[*key].as_array())
        .flatten();
    let mut found: Vec<String> = single.map(str::to_owned).collect();
    found.extend(many.filter_map(Value::as_str).map(str::to_owned));
    found.dedup();
    found
}

fn text(input: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| input[*key].as_str()).map(str::to_owned)
}

/// A question in one line, for events and people.
pub fn summary(question: &Question) -> String {
    let text = match &question.action {
        Action::Read { paths } | Action::Write { paths } => paths.join(", "),
        Action::Run { command } => command.clone(),
        Action::Fetch { url } => url.clone(),
        Action::Other { .. } => String::new(),
    };
    one_line(&text, 200)
}

/// An action in words, for an agent that is told what to do instead.
pub fn of_action(action: &Action) -> String {
    match action {
        Action::Read { paths } | Action::Write { paths } => paths.join(", "),
        Action::Run { command } => command.clone(),
        Action::Fetch { url } => url.clone(),
        Action::Other { tool } => tool.clone(),
    }
}

/// A tool's input with what the policy made of it: paths one by one, or the command.
pub fn rewritten(input: &Value, question: &Question, action: &Action) -> Value {
    let mut input = input.clone();
    match (&question.action, action) {
        (Action::Write { paths: from }, Action::Write { paths: to })
        | (Action::Read { paths: from }, Action::Read { paths: to }) => {
            for (from, to) in from.iter().zip(to) {
                replace(&mut input, from, to);
            }
        }
        (Action::Run { .. }, Action::Run { command }) => {
            let key = if input.get("cmd").is_some() { "cmd" } else { "command" };
            input[key] = Value::String(command.clone());
        }
        _ => {}
    }
    input
}

/// Replaces a path where the input names it: under a key for paths, or in a list of them. Contents are left alone.
fn replace(input: &mut Value, from: &str, to: &str) {
    let new = || Value::String(to.to_owned());
    for key in PATHS {
        if input[key].as_str() == Some(from) {
            input[key] = new();
        }
    }
    for key in ["paths", "files"] {
        let items = input.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        items
            .filter(|item| item.as_str() == Some(from))
            .for_each(|item| *item = new());
    }
}
