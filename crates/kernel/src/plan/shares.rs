//! Workload shares (capability A4): who does how much of a plan.
//!
//! With three coding CLIs, design goes to Gemini (40–50 %), implementation to Claude (40–50 %), review and validation
//! to Codex (10–20 %), measured in estimated tokens. Every edit implies a review, which is counted here although it is
//! no task of the plan. Whoever prefers other shares configures them; the plan shows the shares it reached.

use super::{PlannedTask, TaskKind};
use crate::{
    agent::{Agent, Role, Vendor},
    id::AgentName,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A review is expected to read a quarter of what the edit used.
const REVIEW_WEIGHT_PERCENT: u64 = 25;

/// A share that a vendor should have, in percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// Whose share.
    pub vendor: Vendor,
    /// At least.
    pub least: u8,
    /// At most.
    pub most: u8,
}

/// The default shares.
pub fn default_bands() -> Vec<Band> {
    vec![
        Band {
            vendor: Vendor::Gemini,
            least: 40,
            most: 50,
        },
        Band {
            vendor: Vendor::Claude,
            least: 40,
            most: 50,
        },
        Band {
            vendor: Vendor::Codex,
            least: 10,
            most: 20,
        },
    ]
}

/// The part of a plan that an agent has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Who.
    pub agent: AgentName,
    /// Percent of the plan's weight, rounded.
    pub percent: u8,
    /// The band it should lie in, if one is configured and all bands' vendors are there.
    pub band: Option<(u8, u8)>,
}

/// Gives every task that has no agent yet the one that suits it best.
///
/// First by preference of the role's vendor; then, while it brings the shares nearer to their bands, tasks move between
/// the agents that could also do them (largest first, deterministic).
pub fn assign(tasks: &mut [PlannedTask], agents: &[Agent], bands: &[Band]) {
    let free: Vec<usize> = (0..tasks.len()).filter(|&i| tasks[i].agent.is_none()).collect();
    for &index in &free {
        tasks[index].agent = preferred(agents, tasks[index].kind).map(|a| a.name.clone());
    }
    if bands_apply(agents, bands) {
        balance(tasks, &free, agents, bands);
    }
}

/// Who prefers a kind of task: the vendors in order, coding CLIs before native agents.
pub fn preferred(agents: &[Agent], kind: TaskKind) -> Option<&Agent> {
    candidates(agents, kind.role()).into_iter().next()
}

/// All agents that can take a role now, the preferred first.
pub fn candidates(agents: &[Agent], role: Role) -> Vec<&Agent> {
    let order: [Vendor; 3] = match role {
        Role::Planner | Role::Analyst => [Vendor::Gemini, Vendor::Claude, Vendor::Codex],
        Role::Editor => [Vendor::Claude, Vendor::Codex, Vendor::Gemini],
        Role::Reviewer | Role::Validator => [Vendor::Codex, Vendor::Gemini, Vendor::Claude],
    };
    let rank = |agent: &Agent| match &agent.vendor {
        Vendor::Claude | Vendor::Codex | Vendor::Gemini => {
            order.iter().position(|v| v == &agent.vendor).unwrap_or(order.len())
        }
        Vendor::Other(_) => order.len(),
        Vendor::Native(_) => order.len() + 1,
    };
    let mut able: Vec<&Agent> = agents.iter().filter(|a| a.can(role)).collect();
    able.sort_by_key(|a| rank(a));
    able
}

/// The shares that a plan reaches, reviews of its edits included.
pub fn reached(tasks: &[PlannedTask], agents: &[Agent], bands: &[Band]) -> Vec<Share> {
    let weights = weigh(tasks, agents);
    let total: u64 = weights.values().sum();
    let applies = bands_apply(agents, bands);
    let band_of = |name: &AgentName| {
        let vendor = agents.iter().find(|a| &a.name == name).map(|a| &a.vendor)?;
        bands
            .iter()
            .find(|b| applies && &b.vendor == vendor)
            .map(|b| (b.least, b.most))
    };
    weights
        .into_iter()
        .map(|(agent, weight)| Share {
            percent: u8::try_from((weight * 100 + total / 2) / total.max(1)).unwrap_or(100),
            band: band_of(&agent),
            agent,
        })
        .collect()
}

/// Bands mean something only when every vendor they name can work.
fn bands_apply(agents: &[Agent], bands: &[Band]) -> bool {
    !bands.is_empty()
        && bands
            .iter()
            .all(|b| agents.iter().any(|a| a.vendor == b.vendor && a.unusable.is_none()))
}

fn weigh(tasks: &[PlannedTask], agents: &[Agent]) -> BTreeMap<AgentName, u64> {
    let mut weights = BTreeMap::new();
    for task in tasks {
        let Some(agent) = &task.agent else { continue };
        let weight = task.estimate.tokens.0.max(1);
        *weights.entry(agent.clone()).or_insert(0) += weight;
        if task.kind.edits()
            && let Some(reviewer) = crate::review::pick(agents, agent, &[])
        {
            *weights.entry(reviewer.name.clone()).or_insert(0) += (weight * REVIEW_WEIGHT_PERCENT / 100).max(1);
        }
    }
    weights
}

/// How far the shares lie outside their bands, in percent points; 0 is perfect.
fn distance(tasks: &[PlannedTask], agents: &[Agent], bands: &[Band]) -> u32 {
    let shares = reached(tasks, agents, bands);
    let percent = |vendor: &Vendor| -> u32 {
        let named = |share: &&Share| agents.iter().any(|a| a.name == share.agent && &a.vendor == vendor);
        shares.iter().filter(named).map(|s| u32::from(s.percent)).sum()
    };
    bands
        .iter()
        .map(|band| {
            let has = percent(&band.vendor);
            u32::from(band.least).saturating_sub(has) + has.saturating_sub(u32::from(band.most))
        })
        .sum()
}

/// Steepest descent over single moves. Each step lowers the distance, so it ends.
fn balance(tasks: &mut [PlannedTask], free: &[usize], agents: &[Agent], bands: &[Band]) {
    loop {
        let now = distance(tasks, agents, bands);
        let mut best = None;
        for &index in free {
            let held = tasks[index].agent.clone();
            for candidate in candidates(agents, tasks[index].kind.role()) {
                if !candidate.vendor.is_cli() {
                    continue;
                }
                tasks[index].agent = Some(candidate.name.clone());
                let then = distance(tasks, agents, bands);
                if then < best.as_ref().map_or(now, |(_, _, d)| *d) {
                    best = Some((index, candidate.name.clone(), then));
                }
            }
            tasks[index].agent = held;
        }
        match best {
            Some((index, agent, _)) => tasks[index].agent = Some(agent),
            None => return,
        }
    }
}
