//! Reviews: what a reviewer is told, the shape of its answer, and the reading of it. Sending it is the workers' part.

#[cfg(test)]
mod tests;

use crate::{
    cli::{
        prompt::fill,
        text::{clip, one_line},
    },
    outcome::report::replace,
};
use maestria_kernel::{
    finding::{Finding, Severity},
    port::ReviewJob,
    review::{MOST_WORDS, Opinion, ReviewVerdict},
};
use maestria_secrets::funnel;
use serde_json::{Value, json};
use std::{fs, io, path::Path};

const TEMPLATE: &str = include_str!("../../../prompts/review.md");
/// The most of a diff that a reviewer is shown, in bytes; the files themselves are in its checkout.
const LONGEST_DIFF: usize = 256 << 10;
/// The most of an author's report that a reviewer is shown, in bytes.
const LONGEST_REPORT: usize = 16 << 10;
/// The most findings taken from one review.
const MOST_FINDINGS: usize = 50;

/// What the reviewer is told. `schema`: its answer is held to [`schema`] by its own program.
pub fn prompt(job: &ReviewJob, schema: bool) -> String {
    let fence = if schema {
        ""
    } else {
        ", in a fenced block marked `json`"
    };
    fill(
        TEMPLATE,
        &[
            ("checkout", &job.checkout.display().to_string()),
            ("purpose", &job.purpose),
            ("report", &clip(&job.report, LONGEST_REPORT)),
            ("diff", &clip(&job.diff, LONGEST_DIFF)),
            ("words", &MOST_WORDS.to_string()),
            ("fence", fence),
        ],
    )
}

/// The JSON schema of an answer, strict enough for every vendor: all fields required, none beside them.
pub fn schema() -> Value {
    let finding = json!({
        "type": "object",
        "properties": {
            "severity": {"type": "string", "enum": ["blocking", "warning", "info"]},
            "file": {"type": ["string", "null"]},
            "line": {"type": ["integer", "null"]},
            "message": {"type": "string"},
        },
        "required": ["severity", "file", "line", "message"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "verdict": {"type": "string", "enum": ["approve", "request_changes", "reject", "unsure"]},
            "summary": {"type": "string"},
            "findings": {"type": "array", "items": finding},
        },
        "required": ["verdict", "summary", "findings"],
        "additionalProperties": false,
    })
}

/// An opinion that is none, with the reason.
pub fn none(why: impl Into<String>) -> Opinion {
    Opinion {
        verdict: None,
        text: first_words(&why.into()),
        findings: Vec::new(),
    }
}

/// Reads an answer: the structured one if there is one, else the last JSON object with a verdict in the text.
pub fn parse(text: &str, structured: Option<&Value>) -> Opinion {
    let found = structured.cloned().filter(has_verdict).or_else(|| last_object(text));
    match found {
        Some(answer) => read(&answer),
        None => none(format!(
            "the answer holds no verdict that can be read: {}",
            one_line(text, 400)
        )),
    }
}

fn has_verdict(value: &Value) -> bool {
    value.get("verdict").is_some_and(Value::is_string)
}

/// The last object in a text that has a verdict, whatever stands around it.
fn last_object(text: &str) -> Option<Value> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    let mut objects = starts.filter_map(|at| {
        serde_json::Deserializer::from_str(&text[at..])
            .into_iter::<Value>()
            .next()?
            .ok()
    });
    objects.rfind(has_verdict)
}

fn read(answer: &Value) -> Opinion {
    let verdict = answer["verdict"].as_str().and_then(verdict_of);
    let summary = ["summary", "text", "reason", "reasons"]
        .iter()
        .find_map(|key| answer[*key].as_str());
    let findings = answer["findings"].as_array().into_iter().flatten().take(MOST_FINDINGS);
    Opinion {
        verdict,
        text: first_words(summary.unwrap_or("the reviewer gave no reasons")),
        findings: findings.filter_map(finding_of).collect(),
    }
}

fn verdict_of(word: &str) -> Option<ReviewVerdict> {
    let word = word.trim().to_lowercase().replace([' ', '-'], "_");
    match word.as_str() {
        "approve" | "approved" | "accept" | "lgtm" => Some(ReviewVerdict::Approve),
        "request_changes" | "changes_requested" | "needs_changes" | "needs_work" => Some(ReviewVerdict::RequestChanges),
        "reject" | "rejected" => Some(ReviewVerdict::Reject),
        "unsure" | "unknown" | "uncertain" => Some(ReviewVerdict::Unsure),
        _ => None,
    }
}

fn finding_of(value: &Value) -> Option<Finding> {
    let message = value["message"].as_str().or_else(|| value.as_str())?;
    let severity = match value["severity"].as_str().unwrap_or("warning").to_lowercase().as_str() {
        "blocking" | "blocker" | "critical" | "high" | "error" => Severity::Blocking,
        "info" | "low" | "nit" | "note" => Severity::Info,
        _ => Severity::Warning,
    };
    let line = value["line"]
        .as_u64()
        .and_then(|line| u32::try_from(line).ok())
        .filter(|line| *line > 0);
    let file = value["file"]
        .as_str()
        .filter(|file| !file.is_empty() && *file != "null");
    Some(Finding {
        severity,
        file: file.map(|file| one_line(file, 300)),
        line,
        message: one_line(message, 1000),
    })
}

/// At most [`MOST_WORDS`] words.
fn first_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() <= MOST_WORDS {
        return text.trim().to_owned();
    }
    format!("{} …", words[..MOST_WORDS - 1].join(" "))
}

/// Keeps what was sent: the prompt and the change.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep_sent(folder: &Path, prompt: &str, diff: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("prompt.md"), &*funnel().clean(prompt))?;
    fs::write(folder.join("diff.patch"), &*funnel().clean(diff))
}

/// Keeps what came back: the answer as it was given and as it was read.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep_received(folder: &Path, answer: &str, opinion: &Opinion) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("answer.txt"), &*funnel().clean(answer))?;
    replace(folder, "verdict.json", opinion).map(drop)
}
