//! Outcomes: how an attempt at a task really ended, and what proves it.
//!
//! The verdict is judged from the stream, stderr, the git tree and the exit code together; no single one of them is
//! believed alone (an agent that exits 0 after every write was denied has not succeeded).

use crate::{
    id::{CommitId, SessionId},
    money::Usage,
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The work is there and nothing was denied.
    Completed,
    /// The agent says it is done, but the tree shows no change where one was asked for.
    NoChange,
    /// What the agent needed was denied, by policy, by a person or by its own rules.
    Denied,
    /// A path outside the allowed directories was needed.
    OutsideWorkspace,
    /// The agent refuses an untrusted directory or one without git.
    Untrusted,
    /// The agent is not logged in, or its key was refused.
    NotLoggedIn,
    /// The provider's rate limit or quota.
    RateLimited,
    /// The provider is overloaded or unreachable.
    Unavailable,
    /// The conversation no longer fits the model.
    ContextTooLong,
    /// The session to resume does not exist any more.
    SessionLost,
    /// The agent's own turn or money limit ended it.
    LimitReached,
    /// Stopped from outside: pause, abort or a signal.
    Interrupted,
    /// Nothing was heard for too long, or the time limit passed.
    TimedOut,
    /// The process ended without its final event.
    Crashed,
    /// The kernel ended it for using too much memory.
    OutOfMemory,
    /// The agent could not be started: missing program, wrong version, unknown flag.
    NotStarted,
    /// Any other failure.
    Failed,
}

/// What to do about a verdict that is not a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// None needed.
    None,
    /// Try again with the same agent, after a while.
    Retry,
    /// This agent will not do better: take another one.
    OtherAgent,
    /// It was stopped on purpose: leave it.
    Leave,
}

impl Verdict {
    /// Whether the work is there.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Completed)
    }

    /// What to do next, before asking a person.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Completed => Remedy::None,
            Self::NoChange
            | Self::Crashed
            | Self::TimedOut
            | Self::Unavailable
            | Self::Failed
            | Self::SessionLost
            | Self::ContextTooLong
            | Self::LimitReached => Remedy::Retry,
            Self::Denied
            | Self::OutsideWorkspace
            | Self::Untrusted
            | Self::NotLoggedIn
            | Self::NotStarted
            | Self::OutOfMemory
            | Self::RateLimited => Remedy::OtherAgent,
            Self::Interrupted => Remedy::Leave,
        }
    }

    /// The word used on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoChange => "no_change",
            Self::Denied => "denied",
            Self::OutsideWorkspace => "outside_workspace",
            Self::Untrusted => "untrusted",
            Self::NotLoggedIn => "not_logged_in",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::ContextTooLong => "context_too_long",
            Self::SessionLost => "session_lost",
            Self::LimitReached => "limit_reached",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
            Self::OutOfMemory => "out_of_memory",
            Self::NotStarted => "not_started",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What stands behind a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "proof", rename_all = "snake_case")]
pub enum Proof {
    /// Seen by Maestria itself: a diff, an exit code, test output.
    Proved {
        /// Where it was seen.
        by: String,
    },
    /// Said by the agent, seen by nobody else.
    Claimed,
}

/// One statement about the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// The statement.
    pub text: String,
    /// What stands behind it.
    #[serde(flatten)]
    pub proof: Proof,
}

impl Claim {
    /// A statement that Maestria saw to be true.
    pub fn proved(text: impl Into<String>, by: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            proof: Proof::Proved { by: by.into() },
        }
    }

    /// A statement that rests on the agent's word.
    pub fn claimed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            proof: Proof::Claimed,
        }
    }

    /// Whether something other than the agent's word stands behind it.
    pub const fn is_proved(&self) -> bool {
        matches!(self.proof, Proof::Proved { .. })
    }
}

/// A file that an attempt changed, as git sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// Path relative to the repository.
    pub path: String,
    /// Lines added; 0 for binary files.
    pub added: u32,
    /// Lines removed; 0 for binary files.
    pub removed: u32,
}

/// How an attempt ended, with everything that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in one sentence for people.
    pub reason: String,
    /// What the agent reported at the end (bounded); later tasks read it as this task's evidence.
    #[serde(default)]
    pub report: String,
    /// Statements about the work, each proved or claimed.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// The commit that holds the change.
    #[serde(default)]
    pub commit: Option<CommitId>,
    /// What changed.
    #[serde(default)]
    pub files: Vec<FileChange>,
    /// What was denied on the way.
    #[serde(default)]
    pub denials: Vec<String>,
    /// The worker's exit code; negative for a signal.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The agent's session, to go on with.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// What the attempt used.
    #[serde(default)]
    pub usage: Usage,
    /// When the provider will take calls again, if it said so.
    #[serde(default)]
    pub retry_at: Option<At>,
}

impl Outcome {
    /// An outcome with nothing but a verdict and its reason.
    pub fn bare(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            report: String::new(),
            claims: Vec::new(),
            commit: None,
            files: Vec::new(),
            denials: Vec::new(),
            exit_code: None,
            session: None,
            usage: Usage::default(),
            retry_at: None,
        }
    }
}
