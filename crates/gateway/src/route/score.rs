//! The score of a candidate.

use super::{Candidate, Features, Policy, features::Kind, rounded, warm::Held};
use crate::{attempt::Target, catalogue::Model, core::Core};
use maestria_kernel::{Cost, Tokens};
use std::time::Instant;

pub(super) struct Scorer<'a> {
    pub(super) core: &'a Core,
    pub(super) policy: &'a Policy,
    pub(super) features: &'a Features,
    pub(super) warm: Option<Held>,
    pub(super) now: Instant,
}

/// A candidate that can answer.
pub(super) struct Scored {
    pub(super) target: Target,
    pub(super) score: f64,
    pub(super) candidate: Candidate,
}

impl Scorer<'_> {
    /// Those that can answer, the best first, and those that cannot.
    pub(super) fn rank(&self, targets: Vec<Target>) -> (Vec<Scored>, Vec<Candidate>) {
        let (mut able, mut left_out) = (Vec::new(), Vec::new());
        for target in targets {
            let model = self.core.catalogue.model(&target.model);
            let candidate = self.candidate(&target, &model);
            match &candidate.left_out {
                Some(_) => left_out.push(candidate),
                None => able.push((target, candidate)),
            }
        }
        let dearest = able.iter().map(|(_, c)| c.expected_cost.0).max().unwrap_or(0);
        let slowest = able.iter().filter_map(|(_, c)| slowness(c)).max().unwrap_or(0);
        let mut scored: Vec<Scored> = able
            .into_iter()
            .map(|(target, mut candidate)| {
                let score = rounded(self.score(&candidate, dearest, slowest));
                candidate.score = Some(score);
                Scored {
                    target,
                    score,
                    candidate,
                }
            })
            .collect();
        scored.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| a.candidate.model.cmp(&b.candidate.model))
        });
        (scored, left_out)
    }

    fn candidate(&self, target: &Target, model: &Model) -> Candidate {
        let latency = self.core.latency(target.provider);
        let price = self.core.price(target);
        let input = Cost::of(Tokens(self.features.input), price.input);
        let output = Cost::of(Tokens(self.features.output()), price.output);
        let warm = self.warm.as_ref().filter(|w| w.target == *target);
        let saved = warm.map(|w| {
            let tokens = Tokens(w.tokens.min(self.features.input));
            Cost((Cost::of(tokens, price.input).0 - Cost::of(tokens, price.cached).0).max(0))
        });
        let quality = match self.features.kind {
            Kind::Plan => model.quality.plan,
            Kind::Edit => model.quality.edit,
            Kind::Review => model.quality.review,
            Kind::Chat => model.quality.chat,
        };
        Candidate {
            model: self.core.name(target),
            score: None,
            quality,
            expected_cost: Cost(input.plus(output).0 - saved.unwrap_or_default().0),
            latency_millis: latency.map(|(median, _)| median),
            p95_millis: latency.map(|(_, p95)| p95),
            warm_saves: saved.filter(|s| s.0 > 0),
            left_out: self.unfit(target, model),
        }
    }

    /// The hard need that it does not meet.
    fn unfit(&self, target: &Target, model: &Model) -> Option<String> {
        let f = self.features;
        let input = f.counted.map_or(f.input, |counted| counted.at_most(&target.model));
        let room = input.saturating_add(f.max_output.unwrap_or(0).min(model.output));
        if f.tools && !model.tools {
            Some("calls no tools".to_owned())
        } else if f.vision && !model.vision {
            Some("sees no pictures".to_owned())
        } else if f.json && !model.json {
            Some("keeps to no JSON schema".to_owned())
        } else if room > model.context {
            Some(format!(
                "holds {} tokens, {} are needed",
                Tokens(model.context),
                Tokens(room)
            ))
        } else if !self.core.is_well(target.provider, self.now) {
            Some("failed lately and rests".to_owned())
        } else {
            None
        }
    }

    fn score(&self, candidate: &Candidate, dearest: i64, slowest: u64) -> f64 {
        let policy = self.policy;
        // What falls short of what the difficulty needs weighs three times.
        let needed = 0.35 + 0.6 * self.features.difficulty;
        let quality = (candidate.quality - 3.0 * (needed - candidate.quality).max(0.0)).max(0.0);
        let part = |amount: u64, most: u64| if most == 0 { 0.0 } else { ratio(amount, most) };
        let natural = |cost: i64| u64::try_from(cost).unwrap_or(0);
        // The root, so that among cheap models the price still counts beside a dear one.
        let cost = 1.0 - part(natural(candidate.expected_cost.0), natural(dearest)).sqrt();
        // Who has not been tried yet is taken to be in the middle.
        let speed = slowness(candidate).map_or(0.5, |millis| 1.0 - part(millis, slowest));
        // The harder the request, the less its cost counts.
        let thrift = policy.cost * (1.0 - 0.8 * self.features.difficulty);
        let sum = policy.quality + thrift + policy.speed;
        (policy.quality * quality + thrift * cost + policy.speed * speed) / sum
    }
}

/// How slow a candidate was lately: half its median, half its 95th percentile, so that one who is mostly quick and
/// sometimes hangs is not taken for quick.
fn slowness(candidate: &Candidate) -> Option<u64> {
    Some(candidate.latency_millis?.midpoint(candidate.p95_millis?))
}

#[expect(clippy::cast_precision_loss, reason = "a score needs no more than 52 bits")]
fn ratio(amount: u64, most: u64) -> f64 {
    amount as f64 / most as f64
}
