//! Which model answers, and why, in words and numbers.
//!
//! A model that is asked for by name is used. A route is either a chain of models, tried in order, or a policy: all
//! models that meet the hard needs of the request are scored by how good they are at this kind of request, what the
//! call is expected to cost (a warm prompt cache included), how fast they answered lately and whether they are well.

mod difficulty;
pub(crate) mod features;
mod score;
mod training;
mod warm;
mod words;

pub use difficulty::{Difficulty, Weights};
pub use training::{Example, Losses, TooFew, Trained, train};

pub(crate) use features::Features;
pub(crate) use warm::Warm;

use crate::{attempt::Target, core::Core, tokens};
use maestria_kernel::Cost;
use score::{Scored, Scorer};
use serde::Serialize;
use std::{borrow::Cow, fmt::Write as _, time::Instant};

/// How candidates are weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What people call it.
    pub name: Cow<'static, str>,
    /// Weight of quality.
    pub quality: f64,
    /// Weight of cost.
    pub cost: f64,
    /// Weight of speed.
    pub speed: f64,
}

impl Policy {
    /// The policies there are.
    pub const ALL: [Self; 4] = [
        Self {
            name: Cow::Borrowed("cheapest"),
            quality: 0.15,
            cost: 0.80,
            speed: 0.05,
        },
        Self {
            name: Cow::Borrowed("balanced"),
            quality: 0.55,
            cost: 0.35,
            speed: 0.10,
        },
        Self {
            name: Cow::Borrowed("best"),
            quality: 0.92,
            cost: 0.04,
            speed: 0.04,
        },
        Self {
            name: Cow::Borrowed("fastest"),
            quality: 0.20,
            cost: 0.10,
            speed: 0.70,
        },
    ];

    /// The policy of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name == name)
    }
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// To the best model by a policy.
    Policy(Policy),
    /// To the first of these (`provider/model`) that answers.
    Chain(Vec<String>),
}

/// A decision, with all that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Decision {
    /// The model, `provider/model`.
    pub model: String,
    /// Those that are tried after it, in order.
    pub fallbacks: Vec<String>,
    /// How sure the choice is, from 0 to 1.
    pub confidence: f64,
    /// Why, in a sentence with numbers.
    pub reason: String,
    /// The kind of request.
    pub kind: &'static str,
    /// How hard it seems, from 0 to 1.
    pub difficulty: f64,
    /// What the call is expected to cost.
    pub expected_cost: Cost,
    /// All candidates, the best first.
    pub candidates: Vec<Candidate>,
    #[serde(skip)]
    pub(crate) targets: Vec<Target>,
}

/// A model that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Candidate {
    /// `provider/model`.
    pub model: String,
    /// Its score, from 0 to 1; nothing when it was left out.
    pub score: Option<f64>,
    /// How good it is at this kind of request.
    pub quality: f64,
    /// What the call is expected to cost.
    pub expected_cost: Cost,
    /// Median time to the first content, if it is known.
    pub latency_millis: Option<u64>,
    /// 95th percentile of it.
    pub p95_millis: Option<u64>,
    /// What a warm prompt cache saves, if there is one.
    pub warm_saves: Option<Cost>,
    /// Why it was left out.
    pub left_out: Option<String>,
}

/// Nobody can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No such model.
    #[error("no model `{asked}` is configured; there are: {known}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// There is nobody to choose from.
    #[error(
        "no model is configured by a name that may be chosen; scripted ones (`playbook`) answer only when they are asked for"
    )]
    Nobody,
    /// No model meets the needs.
    #[error("no configured model meets the needs of this request: {0}")]
    Needs(String),
}

/// Decides where a request for `asked` goes.
pub(crate) fn decide(
    core: &Core,
    warm: &Warm,
    asked: &str,
    features: impl FnOnce() -> Features,
) -> Result<Decision, Lost> {
    let named = core.targets_named(asked);
    if !named.is_empty() {
        return Ok(by_name(core, asked, named));
    }
    let Some((name, route)) = core.route_named(asked) else {
        return Err(Lost::Unknown {
            asked: asked.to_owned(),
            known: core.known().join(", "),
        });
    };
    match route {
        Route::Chain(models) => {
            let targets: Vec<Target> = models.iter().flat_map(|model| core.targets_named(model)).collect();
            Ok(chain(core, name, targets))
        }
        Route::Policy(policy) => by_policy(core, warm, policy, &features()),
    }
}

/// Decides about a bare prompt.
pub(crate) fn explain(core: &Core, warm: &Warm, wish: &Wish) -> Result<Decision, Lost> {
    // Counting takes longer than deciding, so it is done where it decides.
    let long = wish.prompt.len() as u64 > core.least_context;
    let said = if long {
        tokens::of_text(&wish.prompt)
    } else {
        wish.prompt.len() as u64 / 4
    };
    let input = wish.context.max(said);
    let mut features = Features::of_text(&core.weights, &wish.prompt, &wish.system, input);
    (features.tools, features.vision, features.json) = (wish.tools, wish.vision, wish.json);
    features.max_output = wish.max_tokens;
    decide(core, warm, &wish.route, || features)
}

/// A prompt that is only to be decided about.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The prompt.
    pub prompt: String,
    /// The system prompt.
    pub system: String,
    /// The model or route; `auto` for the default route.
    pub route: String,
    /// It calls tools.
    pub tools: bool,
    /// It shows pictures.
    pub vision: bool,
    /// It wants JSON of a schema.
    pub json: bool,
    /// Tokens that are sent.
    pub context: u64,
    /// The most tokens to answer with.
    pub max_tokens: Option<u64>,
}

fn by_name(core: &Core, asked: &str, targets: Vec<Target>) -> Decision {
    let names: Vec<String> = targets.iter().map(|t| core.name(t)).collect();
    let reason = match names.as_slice() {
        [one] => format!("asked for by name: {one}"),
        several => format!("asked for by name: `{asked}` is served by {}", several.join(", ")),
    };
    plain(core, targets, reason)
}

fn chain(core: &Core, name: &str, targets: Vec<Target>) -> Decision {
    let names: Vec<String> = targets.iter().map(|t| core.name(t)).collect();
    plain(
        core,
        targets,
        format!("route {name}: {} in this order", names.join(", ")),
    )
}

fn plain(core: &Core, targets: Vec<Target>, reason: String) -> Decision {
    let mut names = targets.iter().map(|t| core.name(t));
    Decision {
        model: names.next().unwrap_or_default(),
        fallbacks: names.collect(),
        confidence: 1.0,
        reason,
        kind: "",
        difficulty: 0.0,
        expected_cost: Cost::ZERO,
        candidates: Vec::new(),
        targets,
    }
}

fn by_policy(core: &Core, warm: &Warm, policy: &Policy, features: &Features) -> Result<Decision, Lost> {
    let scorer = Scorer {
        core,
        policy,
        features,
        warm: warm.of(features.conversation),
        now: Instant::now(),
    };
    let (scored, left_out) = scorer.rank(core.all_targets());
    let Some(best) = scored.first() else {
        if left_out.is_empty() {
            return Err(Lost::Nobody);
        }
        return Err(Lost::Needs(left_out.iter().map(because).collect::<Vec<_>>().join("; ")));
    };
    let margin = scored.get(1).map_or(1.0, |second| best.score - second.score);
    // A lead of a fifth of the scale is as sure as it gets.
    let confidence = (0.5 + 0.5 * (margin / 0.2).min(1.0)).min(1.0);
    let reason = reason(policy, features, &scored, &left_out);
    let expected_cost = best.candidate.expected_cost;
    let targets: Vec<Target> = scored.iter().map(|s| s.target.clone()).collect();
    let mut names = targets.iter().map(|t| core.name(t));
    Ok(Decision {
        model: names.next().unwrap_or_default(),
        fallbacks: names.collect(),
        confidence: rounded(confidence),
        reason,
        kind: features.kind.name(),
        difficulty: rounded(features.difficulty),
        expected_cost,
        candidates: scored.into_iter().map(|s| s.candidate).chain(left_out).collect(),
        targets,
    })
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn because(candidate: &Candidate) -> String {
    format!(
        "{} {}",
        candidate.model,
        candidate.left_out.as_deref().unwrap_or_default()
    )
}

fn reason(policy: &Policy, features: &Features, scored: &[Scored], left_out: &[Candidate]) -> String {
    let mut text = format!(
        "{} for {} of difficulty {:.2}:",
        policy.name,
        features.kind.name(),
        features.difficulty
    );
    for (place, one) in scored.iter().take(2).enumerate() {
        let candidate = &one.candidate;
        let lead = if place == 0 { "" } else { "; next" };
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "{lead} {} scores {:.2} (quality {:.2}, expected {}",
            candidate.model, one.score, candidate.quality, candidate.expected_cost
        );
        if let (Some(millis), Some(p95)) = (candidate.latency_millis, candidate.p95_millis) {
            let _ = write!(text, ", {millis} ms, p95 {p95} ms");
        }
        if let Some(saved) = candidate.warm_saves {
            let _ = write!(text, ", its warm cache saves {saved}");
        }
        text.push(')');
    }
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().take(4).map(because).collect();
        let _ = write!(text, "; left out: {}", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests;
