//! Confidence: a score for a stage, from a documented deterministic formula (capability R9).
//!
//! ```text
//! confidence = 0.50 × checks + 0.35 × reviews + 0.15 × self-report
//! ```
//!
//! * checks: 1 passed, 0 failed, 0.6 nothing could be run
//! * reviews: mean over the reviewed tasks of 1 (approved by another vendor), 0.9 (approved by the same vendor),
//!   0.5 (accepted by a person, unsure), 0 (rejected); 0.6 when none was asked for
//! * self-report: the proved part of all claims; 0.5 when there are no claims
//!
//! All arithmetic is in permille, so the same log gives the same score on every machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A score from 0 to 1000 permille.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Permille(pub u16);

impl fmt::Display for Permille {
    /// `0.87`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// The score.
    pub score: Permille,
    /// From the project's checks.
    pub checks: Permille,
    /// From the reviews.
    pub reviews: Permille,
    /// From the agents' claims.
    pub self_report: Permille,
}

/// How the review of one task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reviewed {
    /// Approved by another vendor's agent.
    Independent,
    /// Approved by an agent of the author's vendor.
    SameVendor,
    /// No approval, but a person took it.
    Accepted,
    /// Rejected.
    Rejected,
}

/// The formula. `checks` is whether the checks passed, if any ran; claims are `(proved, all)`.
pub fn score(checks: Option<bool>, reviews: &[Reviewed], claims: (usize, usize)) -> Confidence {
    let checks = match checks {
        Some(true) => 1000,
        Some(false) => 0,
        None => 600,
    };
    let value = |r: &Reviewed| match r {
        Reviewed::Independent => 1000usize,
        Reviewed::SameVendor => 900,
        Reviewed::Accepted => 500,
        Reviewed::Rejected => 0,
    };
    let reviews = if reviews.is_empty() {
        600
    } else {
        reviews.iter().map(value).sum::<usize>() / reviews.len()
    };
    let (proved, all) = claims;
    let self_report = (proved.min(all) * 1000).checked_div(all).unwrap_or(500);
    let permille = |n: usize| Permille(u16::try_from(n.min(1000)).unwrap_or(1000));
    Confidence {
        score: permille((checks * 50 + reviews * 35 + self_report * 15) / 100),
        checks: permille(checks),
        reviews: permille(reviews),
        self_report: permille(self_report),
    }
}

impl Confidence {
    /// The formula with its numbers filled in, for people.
    pub fn explain(&self) -> String {
        format!(
            "{} = 0.50 × checks {} + 0.35 × reviews {} + 0.15 × self-report {}",
            self.score, self.checks, self.reviews, self.self_report
        )
    }
}
