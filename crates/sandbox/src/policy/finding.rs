//! What was found about a command: how strict, by which rule, in which part, and why.

use serde::{Deserialize, Serialize};

/// How much is left to a worker, least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PolicyLevel")]
pub enum Level {
    /// Go on.
    Allow,
    /// Go on, and it is recorded.
    Monitor,
    /// A person decides.
    Confirm,
    /// No.
    Block,
}

impl Level {
    /// The word for it, as policy files spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Monitor => "monitor",
            Self::Confirm => "confirm",
            Self::Block => "block",
        }
    }
}

/// The policy's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PolicyVerdict")]
pub struct Verdict {
    /// How strict.
    #[serde(rename = "verdict")]
    pub level: Level,
    /// The rule's id, such as `git.push`.
    pub rule: String,
    /// The part of the command that decided, as the program gets it, control characters escaped.
    pub part: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// A verdict before it is known in which part it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding(pub(super) Verdict);

impl Finding {
    pub(super) fn new(level: Level, rule: &str, reason: impl Into<String>) -> Self {
        Self(Verdict {
            level,
            rule: rule.to_owned(),
            part: String::new(),
            reason: reason.into(),
        })
    }

    /// Nothing was found; it is made for each word and part, and holds no text.
    pub(super) const fn allow() -> Self {
        Self(Verdict {
            level: Level::Allow,
            rule: String::new(),
            part: String::new(),
            reason: String::new(),
        })
    }

    /// The answer to a whole command.
    pub(super) fn told(self) -> Verdict {
        match self.0 {
            nothing if nothing.rule.is_empty() => Self::new(Level::Allow, "command.allowed", "no rule forbids it").0,
            found => found,
        }
    }

    pub(super) fn undecided(reason: impl Into<String>) -> Self {
        Self::new(Level::Confirm, "command.undecided", reason)
    }

    pub(super) fn unreadable(why: &super::shell::Unreadable) -> Self {
        Self::new(
            Level::Confirm,
            "command.unreadable",
            format!("it cannot be read: {why}"),
        )
    }

    /// The stricter of two; of two alike the first.
    pub(super) fn or(self, other: Self) -> Self {
        if other.0.level > self.0.level { other } else { self }
    }

    /// Names the part, unless a part of that part is named already.
    pub(super) fn within(mut self, part: impl FnOnce() -> String) -> Self {
        if self.0.level > Level::Allow && self.0.part.is_empty() {
            self.0.part = part();
        }
        self
    }
}
