//! Violations: what a worker did or tried that it may not, each with its rule, its subject and the number it broke.
//!
//! Whoever stops or sees the deed says what it was; whose it was and how many came before is the run's to know.

use crate::{event::Event, id::TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest subject that is kept, in characters.
const SUBJECT: usize = 1000;

/// What was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ViolationKind")]
pub enum Kind {
    /// A command that the policy blocks.
    Command,
    /// A file that may not be read, or not be changed.
    Path,
    /// A host that is not on the worker's list.
    Network,
    /// The limit of memory: the kernel ended something of the worker.
    Memory,
    /// The limit of processes: the kernel refused to start one more.
    Processes,
    /// The time that an attempt, or one of its commands, may take.
    Time,
    /// What a worker may add to the disk.
    Disk,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Command,
        Self::Path,
        Self::Network,
        Self::Memory,
        Self::Processes,
        Self::Time,
        Self::Disk,
    ];

    /// The word on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Path => "path",
            Self::Network => "network",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Time => "time",
            Self::Disk => "disk",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Processes and threads.
    Processes,
    /// Seconds.
    Seconds,
}

/// A limit and what went over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excess {
    /// The most there may be.
    pub limit: u64,
    /// What was measured.
    pub measured: u64,
    /// Of what.
    pub unit: Unit,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        match self.unit {
            Unit::Bytes => write!(f, "{} MiB of {} MiB", mib(self.measured), mib(self.limit)),
            Unit::Processes => write!(f, "{} processes of {}", self.measured, self.limit),
            Unit::Seconds => write!(f, "{} s of {} s", self.measured, self.limit),
        }
    }
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// What was violated.
    pub kind: Kind,
    /// The policy's rule or the limit, such as `delete.recursive_force` or `workers.memory`.
    pub rule: String,
    /// The command line, the path or the host, control characters escaped (bounded); for a limit, who went over it.
    pub subject: String,
    /// Why it is one, in one sentence.
    pub because: String,
    /// For a limit: the number it broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// For a command: its fingerprint, as the audit trail has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Violation {
    /// A violation of a rule.
    pub fn new(kind: Kind, rule: impl Into<String>, subject: &str, because: impl Into<String>) -> Self {
        Self {
            kind,
            rule: rule.into(),
            subject: escaped(subject),
            because: because.into(),
            excess: None,
            sha256: None,
        }
    }

    /// With the number it broke.
    #[must_use]
    pub fn over(mut self, limit: u64, measured: u64, unit: Unit) -> Self {
        self.excess = Some(Excess { limit, measured, unit });
        self
    }

    /// As the event that tells it; the run adds whose it was and how many there are.
    pub fn of(self, task: TaskId) -> Event {
        Event::ViolationRecorded {
            task,
            agent: None,
            attempt: 0,
            count: 0,
            violation: Box::new(self),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` ({})", self.kind, self.subject, self.rule)?;
        self.excess.map_or(Ok(()), |excess| write!(f, ": {excess}"))
    }
}

/// Text as a person may safely see it, cut where it is long.
fn escaped(text: &str) -> String {
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}');
    let mut shown = String::new();
    for (number, c) in text.chars().enumerate() {
        if number == SUBJECT {
            shown.push('…');
            break;
        }
        if c.is_control() || hides(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
