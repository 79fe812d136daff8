//! What a fake agent is told to do.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Introduces a list of acts inside a prompt.
const DIRECTIVE: &str = "@acts";

/// A plan that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file named is not readable.
    #[error("cannot read plan {0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// Not a plan.
    #[error("plan is not readable: {0} (see the grammar in maestria_testkit::fake)")]
    Json(#[from] serde_json::Error),
}

/// One thing a fake agent does in a turn; the table in the module documentation says more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A message.
    Say(String),
    /// The same message so many times.
    SayTimes(usize, String),
    /// A write the host is asked about.
    Write {
        /// Relative to the working directory.
        path: PathBuf,
        /// The whole content.
        content: String,
    },
    /// Asks its model this, where its environment says that the model is, and says what it answered.
    Call(String),
    /// A command the host is asked about.
    Shell(String),
    /// A write the CLI itself refuses.
    RefusedWrite {
        /// What it would have written.
        path: PathBuf,
    },
    /// The turn ends with the CLI's error shape.
    Fail(Failure),
    /// Never answers until interrupted.
    Hang,
    /// Never answers.
    Deaf,
    /// The process ends with this code.
    Exit(u8),
    /// Milliseconds of work.
    Pause(u64),
    /// A process is left behind; its id is written to this file.
    Detach(PathBuf),
    /// A line of anything on stdout.
    Raw(String),
    /// A line on stderr.
    Stderr(String),
    /// A line that is not UTF-8.
    InvalidUtf8,
    /// Half a line of JSON.
    TruncatedJson,
    /// A JSON line of so many bytes.
    LongLine(usize),
}

/// Why the vendor refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// 401
    Auth,
    /// 429
    RateLimit,
    /// 529
    Overloaded,
}

impl Failure {
    /// The HTTP status behind it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Auth => 401,
            Self::RateLimit => 429,
            Self::Overloaded => 529,
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Acts a prompt; the last list is repeated.
    pub turns: Vec<Vec<Act>>,
    /// TERM and INT have no effect.
    pub ignore_term: bool,
    /// Lives on after stdin closed and the last turn ended.
    pub linger: bool,
    /// Ends in the middle of the next line after so many.
    pub die_after_lines: Option<usize>,
    /// Ends with this code before anything else.
    pub exit_at_start: Option<u8>,
    /// Says this on stderr before anything else.
    pub stderr_at_start: Option<String>,
    /// Answers nothing, not even the handshake.
    pub silent: bool,
    /// What `--version` prints.
    pub version: Option<String>,
    /// Refused with exit 2 and left out of `--help`.
    pub missing_flags: Vec<String>,
    /// `auth status` and `login status` say so.
    pub logged_out: bool,
    /// Counts prompts over processes.
    pub counter: Option<PathBuf>,
}

impl Plan {
    /// Reads a plan given as JSON or as the path of a JSON file.
    ///
    /// # Errors
    /// When the file or the JSON is not readable.
    pub fn read(text: &str) -> Result<Self, PlanError> {
        if text.trim_start().starts_with('{') {
            return Ok(serde_json::from_str(text)?);
        }
        let path = Path::new(text);
        let json = std::fs::read_to_string(path).map_err(|error| PlanError::File(path.to_owned(), error))?;
        Ok(serde_json::from_str(&json)?)
    }

    /// The acts for prompt number `count` (0 = first).
    #[must_use]
    pub fn acts(&self, count: usize, prompt: &str) -> Vec<Act> {
        let own = prompt.rsplit_once(DIRECTIVE).and_then(|(_, after)| {
            serde_json::Deserializer::from_str(after)
                .into_iter::<Vec<Act>>()
                .next()?
                .ok()
        });
        let planned = || self.turns.get(count).or(self.turns.last()).cloned();
        own.or_else(planned).unwrap_or_else(|| vec![Act::Say("ok".into())])
    }

    /// The number of this prompt, counted over processes where the plan says so.
    pub(crate) fn count(&self, in_this_process: usize) -> usize {
        let Some(file) = &self.counter else {
            return in_this_process;
        };
        let before = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        // A counter that cannot be kept starts over: the test that reads it will tell.
        let _ = std::fs::write(file, (before + 1).to_string());
        before
    }
}
