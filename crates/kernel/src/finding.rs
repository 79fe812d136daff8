//! Findings: what a review or a check has to say about a place in the code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth mending.
    Warning,
    /// Is not delivered before a person has agreed.
    Confirm,
    /// Must not be delivered as it is.
    Blocking,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file it is about, relative to the repository.
    #[serde(default)]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// What is wrong and what would mend it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Confirm => "to be confirmed",
            Severity::Blocking => "blocking",
        };
        write!(f, "{severity}: ")?;
        if let Some(file) = &self.file {
            match self.line {
                Some(line) => write!(f, "{file}:{line}: ")?,
                None => write!(f, "{file}: ")?,
            }
        }
        f.write_str(&self.message)
    }
}

/// The result of running the project's own checks on a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validation {
    /// The command that ran, as a person would type it; `None` when the project has no check that we know.
    pub command: Option<String>,
    /// Whether it passed; `None` when nothing ran.
    pub passed: Option<bool>,
    /// Its exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The end of what it printed (bounded).
    #[serde(default)]
    pub output: String,
    /// What was found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub millis: u64,
}

impl Validation {
    /// Nothing could be run.
    pub const fn none() -> Self {
        Self {
            command: None,
            passed: None,
            exit_code: None,
            output: String::new(),
            findings: Vec::new(),
            millis: 0,
        }
    }

    /// Whether the tree must not be delivered: the checks ran and failed, or something blocking was found.
    pub fn failed(&self) -> bool {
        self.passed == Some(false) || self.blocking().next().is_some()
    }

    /// What was found that must not be delivered.
    pub fn blocking(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.severity == Severity::Blocking)
    }

    /// What was found that a person has to agree to; `None` when the tree is delivered, or is not, without asking.
    pub fn to_confirm(&self) -> Option<String> {
        let found = self.findings.iter().filter(|f| f.severity == Severity::Confirm);
        let found: Vec<String> = found.map(ToString::to_string).collect();
        (!self.failed() && !found.is_empty()).then(|| found.join("; "))
    }

    /// Why a tree (`the combined tree`) must not be delivered, in a line; and what there is to know about it.
    pub fn trouble(&self, tree: &str) -> (String, String) {
        if self.passed == Some(false) {
            let command = self.command.as_deref().unwrap_or("the project's checks");
            return (
                format!("`{command}` fails on {tree}"),
                format!("It printed:\n{}", self.output),
            );
        }
        let found: Vec<String> = self.blocking().map(ToString::to_string).collect();
        (found.join("; "), "It must not be delivered.".to_owned())
    }
}
