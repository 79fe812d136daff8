//! What is counted of each model and each agent, and how their number is bounded.

use crate::histogram::Histogram;
use maestria_kernel::{Cost, ledger::CallRow};
use std::{collections::BTreeMap, time::Duration};

/// The name of everybody who has none of their own.
pub(super) const OTHER: &str = "other";

/// The longest name, in characters: names come from models and configurations, and need not be kind.
const LONGEST: usize = 80;

/// A name as a label has it. Names that begin alike for so long are one.
pub(super) fn short(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

/// Values by names of which nobody knows how many there are: those that come first keep theirs, the others share one.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    most: usize,
    known: BTreeMap<K, V>,
    others: Option<V>,
}

impl<K: Ord, V: Default> Bounded<K, V> {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            known: BTreeMap::new(),
            others: None,
        }
    }

    /// The value of a name; a new name gets one of its own only if it `may`, and there is room.
    pub(super) fn of(&mut self, key: K, may: bool) -> &mut V {
        let room = may && self.known.len() < self.most;
        if room || self.known.contains_key(&key) {
            return self.known.entry(key).or_default();
        }
        self.others.get_or_insert_default()
    }

    /// All names with their values, and what the others share.
    pub(super) fn all(&self) -> impl Iterator<Item = (Option<&K>, &V)> {
        let known = self.known.iter().map(|(key, value)| (Some(key), value));
        known.chain(self.others.iter().map(|value| (None, value)))
    }
}

/// Attempts of an agent by how they ended.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) verdicts: BTreeMap<&'static str, u64>,
}

/// A model of a provider, and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelKey {
    provider: String,
    model: String,
    operation: &'static str,
}

impl ModelKey {
    pub(super) fn of(row: &CallRow) -> Self {
        Self {
            provider: short(&row.provider),
            model: short(&row.model),
            operation: match row.operation.as_str() {
                "embeddings" => "embeddings",
                "count_tokens" => "count_tokens",
                _ => "chat",
            },
        }
    }

    /// Provider, model and operation, as labels.
    pub(super) fn labels(key: Option<&Self>) -> [&str; 3] {
        key.map_or([OTHER; 3], |key| [&key.provider, &key.model, key.operation])
    }
}

/// What a model was asked and what it took.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) outcomes: BTreeMap<&'static str, u64>,
    pub(super) retries: u64,
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) cost: Cost,
    pub(super) times: Histogram,
    pub(super) first: Histogram,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            outcomes: BTreeMap::new(),
            retries: 0,
            input: 0,
            cached: 0,
            output: 0,
            reasoning: 0,
            cost: Cost::ZERO,
            times: Histogram::new(Histogram::CALL),
            first: Histogram::new(Histogram::CALL),
        }
    }
}

impl Model {
    pub(super) fn take(&mut self, row: &CallRow) {
        let outcome = match row.outcome.as_str() {
            "ok" => "ok",
            "refused" => "refused",
            "cancelled" => "cancelled",
            _ => "failed",
        };
        *self.outcomes.entry(outcome).or_default() += 1;
        self.retries += u64::from(row.retries);
        self.input += row.input;
        self.cached += row.cached;
        self.output += row.output;
        self.reasoning += row.reasoning;
        self.cost += row.cost;
        // A log may not know how long a call took; the books always do.
        let is_known = row.millis > 0 || !row.request.is_empty();
        // How long a model takes says nobody whom it was not asked.
        if outcome == "ok" && !row.code.starts_with("cache_") && is_known {
            self.times.add(Duration::from_millis(row.millis));
        }
        if row.first_millis > 0 && !row.code.starts_with("cache_") {
            self.first.add(Duration::from_millis(row.first_millis));
        }
    }
}
