//! The audit trail: who did what, on whose leave, behind which walls.

use maestria_kernel::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// Its number in the trail, from 1.
    pub seq: u64,
    /// When.
    pub at: At,
    /// The event's number among those of all runs.
    pub number: u64,
    /// Whose run.
    pub run: String,
    /// Which task.
    pub task: Option<String>,
    /// Who did or decided it.
    pub who: String,
    /// What: the event's kind, and a few words.
    pub what: String,
    /// What was decided.
    pub decision: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// SHA-256 of the command that it is about.
    pub argv_sha256: Option<String>,
    /// What stood around the worker.
    pub layers: Option<String>,
    /// The seal of the entry before it; of the first, zeroes.
    pub prev: String,
    /// Its own seal.
    pub seal: String,
}

/// Whether the trail is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// It is.
    pub whole: bool,
    /// How many entries it has, when it is whole.
    pub entries: Option<u64>,
    /// The last seal, when it is whole; kept elsewhere, it proves later that nothing before it was exchanged.
    pub last: Option<String>,
    /// What is not as it was written: `unreadable`, `changed`, `out-of-order`, `cut` or `head`.
    pub broken: Option<String>,
    /// The line that is not, if it is one line.
    pub line: Option<u64>,
    /// What is wrong, in a sentence.
    pub detail: Option<String>,
}
