//! Peer review: verdicts, and the four rules that turn them into what happens next (capability A8).

use crate::{
    agent::{Agent, Role},
    finding::{Finding, Severity},
    id::{AgentName, ReviewId, TaskId},
    plan::shares::candidates,
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most words a review may have; more are cut by whoever parses it.
pub const MOST_WORDS: usize = 200;

/// Reviewers asked in one round at the most (the first and one further).
pub const MOST_REVIEWERS: usize = 2;

/// What a reviewer says about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// Deliver it.
    Approve,
    /// Deliver it after changes.
    RequestChanges,
    /// Do not deliver it.
    Reject,
    /// Cannot say.
    Unsure,
}

impl fmt::Display for ReviewVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::RequestChanges => "request_changes",
            Self::Reject => "reject",
            Self::Unsure => "unsure",
        })
    }
}

/// Why a review was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A task was finished.
    Milestone,
    /// A task is stuck.
    Blocker,
    /// A person asked.
    Request,
    /// A task has run long without any review.
    Elapsed,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Milestone => "milestone",
            Self::Blocker => "blocker",
            Self::Request => "request",
            Self::Elapsed => "elapsed",
        })
    }
}

/// What came back from a reviewer; `verdict` is `None` when no answer could be had or parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opinion {
    /// The verdict.
    pub verdict: Option<ReviewVerdict>,
    /// The review's text, at most [`MOST_WORDS`] words; or why there is none.
    pub text: String,
    /// What was found.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One review asked of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// The task whose change is judged; `None` for the whole run.
    pub task: Option<TaskId>,
    /// Why it was asked for.
    pub trigger: Trigger,
    /// The task's round of rework, from 0.
    pub round: u16,
    /// Who judges.
    pub reviewer: AgentName,
    /// Whether author and reviewer are of different vendors.
    pub independent: bool,
    /// When it was asked for.
    pub asked_at: At,
    /// What came back; `None` while it is awaited.
    pub opinion: Option<Opinion>,
}

/// What the rules make of the opinions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Rule 3: all approve.
    Continue,
    /// Rule 2: the author mends it.
    Rework,
    /// Rule 4: ask one more reviewer.
    FurtherReviewer,
    /// Rules 1, 2 or 4: a person decides.
    Escalate,
}

/// A ruling with the rule that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ruled {
    /// The rule's number, 1 to 4.
    pub rule: u8,
    /// What follows.
    pub ruling: Ruling,
    /// Why, in one sentence.
    pub because: String,
}

/// The four rules, in order, exhaustive.
///
/// 1. any reject with a blocking finding → escalate
/// 2. any request_changes → rework by the author, at most `rework_rounds` rounds, then escalate
/// 3. all approve → continue
/// 4. otherwise (unsure, missing, a reject without a blocking finding, none at all) → a further reviewer, then escalate
///
/// `round` is how many rounds of rework the author has had; `further` whether another reviewer can be asked.
pub fn rule(opinions: &[&Opinion], round: u16, rework_rounds: u16, further: bool) -> Ruled {
    let has = |verdict| opinions.iter().any(|o| o.verdict == Some(verdict));
    let blocks = |o: &&&Opinion| o.findings.iter().any(|f| f.severity == Severity::Blocking);
    let rejected = opinions
        .iter()
        .filter(|o| o.verdict == Some(ReviewVerdict::Reject))
        .find(blocks);
    if let Some(opinion) = rejected {
        return Ruled {
            rule: 1,
            ruling: Ruling::Escalate,
            because: format!("rejected with a blocking finding: {}", opinion.text),
        };
    }
    if has(ReviewVerdict::RequestChanges) {
        return if round < rework_rounds {
            let because = format!("changes requested; rework round {} of {rework_rounds}", round + 1);
            Ruled {
                rule: 2,
                ruling: Ruling::Rework,
                because,
            }
        } else {
            let because = format!("changes requested after {round} of {rework_rounds} rework rounds");
            Ruled {
                rule: 2,
                ruling: Ruling::Escalate,
                because,
            }
        };
    }
    if !opinions.is_empty() && opinions.iter().all(|o| o.verdict == Some(ReviewVerdict::Approve)) {
        return Ruled {
            rule: 3,
            ruling: Ruling::Continue,
            because: "all reviewers approve".to_owned(),
        };
    }
    let because = match opinions.last().map(|o| o.verdict) {
        None => "no review could be had",
        Some(None) => "the reviewer gave no verdict that could be read",
        Some(Some(ReviewVerdict::Unsure)) => "the reviewer is unsure",
        Some(Some(ReviewVerdict::Reject)) => "rejected, but without a blocking finding",
        Some(Some(ReviewVerdict::Approve | ReviewVerdict::RequestChanges)) => "the reviewers disagree",
    };
    let ruling = if further {
        Ruling::FurtherReviewer
    } else {
        Ruling::Escalate
    };
    Ruled {
        rule: 4,
        ruling,
        because: because.to_owned(),
    }
}

/// Picks a reviewer for `author`'s work: another vendor first, then another agent, never one of `asked`, the author
/// itself only when nobody else is there.
pub fn pick<'a>(agents: &'a [Agent], author: &AgentName, asked: &[AgentName]) -> Option<&'a Agent> {
    let vendor = agents.iter().find(|a| &a.name == author).map(|a| &a.vendor);
    let able: Vec<&Agent> = candidates(agents, Role::Reviewer)
        .into_iter()
        .filter(|a| !asked.contains(&a.name))
        .collect();
    let other_vendor = able.iter().find(|a| Some(&a.vendor) != vendor);
    let other_agent = able.iter().find(|a| &a.name != author);
    other_vendor.or(other_agent).or(able.first()).copied()
}
