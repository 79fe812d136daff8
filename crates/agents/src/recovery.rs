//! Known problems of the coding CLIs and what may be done about them, as data (`policies/recovery.toml`).
//!
//! The table says how a problem shows (in an error event, on stderr, by the exit code), what it means, and the least
//! that repairs it. Nothing in it, and nothing here, ever switches an agent's own permission checks off.

pub mod directory;
#[cfg(test)]
mod tests;

use maestria_kernel::outcome::Verdict;
use regex::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

/// Where a problem shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The text of an error that ended a turn.
    Error,
    /// The result of a tool.
    Tool,
    /// A line on stderr.
    Stderr,
    /// The exit code of a process that said nothing better.
    Exit,
}

/// What repairs a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Nothing here: the verdict says it all.
    None,
    /// Allow exactly one more directory and go on with the same session.
    AddDirectory,
    /// Vouch for the worktree (it is ours) and start again.
    Trust,
    /// Let the agent edit inside its worktree and go on with the same session.
    AllowEdits,
    /// Begin a new session.
    NewSession,
    /// Wait until the provider takes calls again, or take another agent: the run decides.
    Wait,
    /// Take another agent: the run decides.
    OtherAgent,
    /// Only a person can log in.
    LogIn,
}

impl Repair {
    /// Whether the agent can be started again here and now; the other repairs are the run's or a person's.
    pub const fn is_here(self) -> bool {
        matches!(
            self,
            Self::AddDirectory | Self::Trust | Self::AllowEdits | Self::NewSession
        )
    }
}

/// One row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Its id, for events and people.
    pub id: String,
    /// The agents it is known of; empty: every one.
    #[serde(default)]
    pub cli: Vec<String>,
    /// Where it shows.
    pub place: Place,
    /// What the text looks like; the group `path` is the path in question.
    #[serde(default, with = "pattern")]
    pub pattern: Option<Regex>,
    /// HTTP statuses, any of them.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Exit codes, any of them.
    #[serde(default)]
    pub exit: Vec<i32>,
    /// What it means.
    pub verdict: Verdict,
    /// What repairs it.
    pub repair: Repair,
    /// A wall that a command ran into, not a refusal: the agent has seen it, and may have found another way.
    #[serde(default)]
    pub soft: bool,
    /// What a person can do, in one sentence.
    #[serde(default)]
    pub hint: String,
}

mod pattern {
    use regex::Regex;
    use serde::{Deserialize, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Some).map_err(D::Error::custom)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    problem: Vec<Problem>,
}

#[expect(clippy::expect_used, reason = "the table is embedded; a test reads it")]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../policies/recovery.toml"))
        .expect("policies/recovery.toml has the table's shape")
});

/// Something that may be the sign of a known problem.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    /// The kind of agent, as [`crate::cli::Kind::as_str`] names it.
    pub cli: &'a str,
    /// Where it was seen.
    pub place: Place,
    /// What was seen.
    pub text: &'a str,
    /// The HTTP status, if one was named.
    pub status: Option<u16>,
    /// The exit code, if the process has ended.
    pub exit: Option<i32>,
}

/// A problem that was recognised.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its row.
    pub problem: &'static Problem,
    /// The path in question.
    pub path: Option<String>,
    /// The text it was recognised by (bounded).
    pub text: String,
}

/// All known problems, in the order in which they are tried.
pub fn problems() -> &'static [Problem] {
    &TABLE.problem
}

/// The first known problem that a sign fits.
pub fn find(sign: Sign<'_>) -> Option<Found> {
    problems().iter().find_map(|problem| fits(problem, sign))
}

fn fits(problem: &'static Problem, sign: Sign<'_>) -> Option<Found> {
    let known = problem.cli.is_empty() || problem.cli.iter().any(|cli| cli == sign.cli);
    let status = problem.status.is_empty() || sign.status.is_some_and(|s| problem.status.contains(&s));
    let exit = problem.exit.is_empty() || sign.exit.is_some_and(|e| problem.exit.contains(&e));
    if problem.place != sign.place || !known || !status || !exit {
        return None;
    }
    let path = match &problem.pattern {
        None => None,
        Some(pattern) => {
            let captures = pattern.captures(sign.text)?;
            captures.name("path").map(|path| path.as_str().to_owned())
        }
    };
    Some(Found {
        problem,
        path,
        text: crate::cli::text::one_line(sign.text, 300),
    })
}

/// The problem of a path outside the allowed directories, for agents that name it by a field and not in words.
pub fn outside() -> Option<Found> {
    let problem = problems()
        .iter()
        .find(|problem| problem.repair == Repair::AddDirectory)?;
    Some(Found {
        problem,
        path: None,
        text: String::new(),
    })
}
