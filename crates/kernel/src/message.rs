//! What a person tells whoever works on a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest message, in bytes.
pub const LONGEST_MESSAGE: usize = 16 << 10;

/// The longest path that a message may be about, in bytes.
const LONGEST_PATH: usize = 4_096;

/// A message to whoever works on a task. It goes with the next attempt; work that is done before that is sent back with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Who says it.
    pub by: String,
    /// What is said.
    pub text: String,
    /// The file it is about, from the repository's top folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the file as the work leaves it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A message that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Nothing is said.
    #[error("the message is empty; say what is to be done")]
    Empty,
    /// Too long for a prompt.
    #[error(
        "the message is {0} bytes long; at most {LONGEST_MESSAGE} are taken (put the details into a file and name it)"
    )]
    TooLong(usize),
    /// A NUL byte.
    #[error("the message contains a NUL byte")]
    Nul,
    /// No path.
    #[error("`{0}` is no file of the repository; name it from the top folder, such as `src/main.rs`")]
    File(String),
    /// A line of nothing, or the line before the first.
    #[error("line {0} of what? Lines count from 1, and need a file")]
    Line(u32),
}

impl Message {
    /// Checks what was said.
    ///
    /// # Errors
    /// [`BadMessage`] says what is wrong with it.
    pub fn check(&self) -> Result<(), BadMessage> {
        if self.text.trim().is_empty() {
            return Err(BadMessage::Empty);
        }
        if self.text.len() > LONGEST_MESSAGE {
            return Err(BadMessage::TooLong(self.text.len()));
        }
        if self.text.contains('\0') {
            return Err(BadMessage::Nul);
        }
        if let Some(file) = self.file.as_ref().filter(|file| !is_path(file)) {
            return Err(BadMessage::File(file.chars().take(100).collect()));
        }
        match self.line {
            Some(line) if line == 0 || self.file.is_none() => Err(BadMessage::Line(line)),
            _ => Ok(()),
        }
    }
}

fn is_path(file: &str) -> bool {
    let odd = file.is_empty() || file.len() > LONGEST_PATH || file.starts_with('/') || file.contains(char::is_control);
    !odd && file.split('/').all(|part| part != "..")
}

/// As an agent is told it.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, text, .. } = self;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "A person ({by}) says of {file}, line {line}: {text}"),
            (Some(file), None) => write!(f, "A person ({by}) says of {file}: {text}"),
            (None, _) => write!(f, "A person ({by}) says: {text}"),
        }
    }
}

#[cfg(test)]
mod tests;
