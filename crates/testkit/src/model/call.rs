//! A step becomes a call of whatever fitting tool the request declares.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Input, Part};
use super::ask::{Ask, Tool};
use super::schema;
use super::script::Step;

/// What claude's own side of `--json-schema` declares.
const STRUCTURED: &str = "StructuredOutput";

const PATH: &[&str] = &["file_path", "filePath", "absolute_path", "path"];
const WRITE: &[&str] = &["Write", "write_file", "write"];
const EDIT: &[&str] = &["Edit", "replace", "edit", "edit_file"];
const READ: &[&str] = &["Read", "read_file", "read"];
const SHELL: &[&str] = &[
    "Bash",
    "run_shell_command",
    "run_command",
    "bash",
    "exec_command",
    "shell_command",
    "shell",
    "local_shell",
];
const PATCH: &str = "apply_patch";

/// The answer for `step`.
pub(crate) fn answer(step: &Step, ask: &Ask) -> Answer {
    match step {
        Step::Text(text) => Answer::of(closing_text(text, ask)),
        Step::Json(value) => Answer::of(vec![structured(value, ask)]),
        Step::All(steps) => Answer::of(steps.iter().map(|step| part(step, ask)).collect()),
        single => Answer::of(vec![part(single, ask)]),
    }
}

/// What a request without a script gets.
pub(crate) fn harmless(ask: &Ask, text: &str) -> Answer {
    let schema = match &ask.forced {
        Some(name) => ask.tool(name).and_then(|tool| tool.parameters.as_ref()),
        None => ask.schema.as_ref(),
    };
    match schema {
        Some(schema) => Answer::of(vec![structured(&schema::minimal(schema), ask)]),
        None => Answer::text(text),
    }
}

/// Text where JSON is wanted would only break the client, unless it is JSON itself.
fn closing_text(text: &str, ask: &Ask) -> Vec<Part> {
    let fits = !ask.wants_json() || serde_json::from_str::<Value>(text).is_ok();
    if fits {
        vec![Part::Text(text.to_owned())]
    } else {
        harmless(ask, text).parts
    }
}

fn structured(value: &Value, ask: &Ask) -> Part {
    let tool = ask
        .forced
        .as_deref()
        .or_else(|| ask.tool(STRUCTURED).map(|tool| tool.name.as_str()));
    match tool {
        Some(name) => Part::Call {
            name: name.to_owned(),
            input: Input::Json(value.clone()),
        },
        None => Part::Text(value.to_string()),
    }
}

fn part(step: &Step, ask: &Ask) -> Part {
    let call = match step {
        Step::Write { path, content } => write(path, content, ask),
        Step::Edit { path, old, new } => edit(path, old, new, ask),
        Step::Read { path } => read(path, ask),
        Step::Shell(command) => shell(command, ask),
        Step::Call { name, input } => Some(exact(name, input, ask)),
        Step::Text(text) => Some(Part::Text(text.clone())),
        Step::Json(value) => Some(Part::Text(value.to_string())),
        Step::All(_) => None,
    };
    // Said aloud, so that a test that scripts the impossible fails with the reason in its transcript.
    call.unwrap_or_else(|| {
        let offered: Vec<&str> = ask.tools.iter().map(|tool| tool.name.as_str()).collect();
        Part::Text(format!(
            "scripted model: no declared tool fits {step:?}; declared: {}",
            offered.join(", ")
        ))
    })
}

fn write(path: &str, content: &str, ask: &Ask) -> Option<Part> {
    if let Some(tool) = first(ask, WRITE) {
        return Some(filled(
            tool,
            &[(PATH, json!(path)), (&["content", "contents", "text"], json!(content))],
        ));
    }
    if let Some(tool) = ask.tool(PATCH) {
        let body: String = content.lines().map(|line| format!("+{line}\n")).collect();
        return Some(patch(tool, &format!("*** Add File: {path}\n{body}")));
    }
    let parent = std::path::Path::new(path)
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let make = parent
        .map(|parent| format!("mkdir -p {} && ", quoted(&parent.to_string_lossy())))
        .unwrap_or_default();
    shell(&format!("{make}printf %s {} > {}", quoted(content), quoted(path)), ask)
}

fn edit(path: &str, old: &str, new: &str, ask: &Ask) -> Option<Part> {
    if let Some(tool) = first(ask, EDIT) {
        let old_names = &["old_string", "oldString", "old_text", "old"];
        let new_names = &["new_string", "newString", "new_text", "new"];
        return Some(filled(
            tool,
            &[(PATH, json!(path)), (old_names, json!(old)), (new_names, json!(new))],
        ));
    }
    let tool = ask.tool(PATCH)?;
    let gone: String = old.lines().map(|line| format!("-{line}\n")).collect();
    let come: String = new.lines().map(|line| format!("+{line}\n")).collect();
    Some(patch(tool, &format!("*** Update File: {path}\n@@\n{gone}{come}")))
}

fn read(path: &str, ask: &Ask) -> Option<Part> {
    match first(ask, READ) {
        Some(tool) => Some(filled(tool, &[(PATH, json!(path))])),
        None => shell(&format!("cat {}", quoted(path)), ask),
    }
}

fn shell(command: &str, ask: &Ask) -> Option<Part> {
    let tool = first(ask, SHELL)?;
    let name = tool.argument(&["command", "cmd", "script"]).unwrap_or("command");
    let wants_list = tool
        .parameters
        .as_ref()
        .is_some_and(|schema| schema["properties"][name]["type"] == "array");
    let value = if wants_list {
        json!(["bash", "-lc", command])
    } else {
        json!(command)
    };
    Some(filled(tool, &[(&[name], value)]))
}

fn exact(name: &str, input: &Value, ask: &Ask) -> Part {
    let free = ask.tool(name).is_some_and(|tool| tool.parameters.is_none());
    let input = match input {
        Value::String(text) if free => Input::Free(text.clone()),
        other => Input::Json(other.clone()),
    };
    Part::Call {
        name: name.to_owned(),
        input,
    }
}

fn patch(tool: &Tool, body: &str) -> Part {
    let text = format!("*** Begin Patch\n{body}*** End Patch\n");
    if tool.parameters.is_none() {
        return Part::Call {
            name: tool.name.clone(),
            input: Input::Free(text),
        };
    }
    filled(tool, &[(&["input", "patch", "diff"], json!(text))])
}

/// A call of `tool` with these arguments under the names it declares, and minimal values for
/// whatever else it requires (a description, an instruction).
fn filled(tool: &Tool, arguments: &[(&[&str], Value)]) -> Part {
    let required = tool.parameters.as_ref().map(schema::minimal);
    let mut input = match required {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for (names, value) in arguments {
        let name = tool.argument(names).or(names.first().copied()).unwrap_or_default();
        input.insert(name.to_owned(), value.clone());
    }
    Part::Call {
        name: tool.name.clone(),
        input: Input::Json(Value::Object(input)),
    }
}

fn first<'a>(ask: &'a Ask, names: &[&str]) -> Option<&'a Tool> {
    names.iter().find_map(|name| ask.tool(name))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
