//! What has happened so far, added up from what is stored: once from the beginning, then only what is new. A restart loses
//! nothing, and a figure never goes back. The number of series is bounded, whatever names there are.

use super::tally::{Attempts, Bounded, Model, ModelKey, short};
use crate::histogram::Histogram;
use maestria_kernel::{
    At, Event, RunId, TaskId,
    ledger::{CallRow, Ledger},
    port::{Numbered, Store, StoreError},
    state::RunState,
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::sync::Mutex;

/// Models, and agents, with series of their own: those that were there first. The others are one.
const MOST_MODELS: usize = 50;
const MOST_AGENTS: usize = 30;

/// Events and calls that are read at once.
const WINDOW: u64 = 20_000;
const PAGE: u32 = 4096;

/// The kinds of events that are counted.
const KINDS: &[&str] = &[
    "run.transitioned",
    "task.dispatched",
    "task.finished",
    "review.received",
    "decision.made",
    "model.called",
    "violation.recorded",
];

/// Figures that only grow.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) models: Bounded<ModelKey, Model>,
    pub(super) agents: Bounded<String, Attempts>,
    pub(super) cache_hits: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) waits: u64,
    pub(super) waited: Duration,
    pub(super) ended: BTreeMap<&'static str, u64>,
    pub(super) reviews: BTreeMap<String, u64>,
    pub(super) decisions: BTreeMap<&'static str, u64>,
    pub(super) violations: BTreeMap<&'static str, u64>,
    pub(super) attempts: Histogram,
    events: u64,
    calls: u64,
    /// Attempts under way, since when.
    under_way: HashMap<(RunId, TaskId, u16), (At, String)>,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            models: Bounded::new(MOST_MODELS),
            agents: Bounded::new(MOST_AGENTS),
            cache_hits: BTreeMap::new(),
            errors: BTreeMap::new(),
            waits: 0,
            waited: Duration::ZERO,
            ended: BTreeMap::new(),
            reviews: BTreeMap::new(),
            decisions: BTreeMap::new(),
            violations: BTreeMap::new(),
            attempts: Histogram::new(Histogram::WORK),
            events: 0,
            calls: 0,
            under_way: HashMap::new(),
        }
    }
}

/// The figures of a store.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Sums>);

impl Meter {
    /// Adds what is new, then reads. A reader that gives up leaves what was added.
    pub(super) async fn read<T>(
        &self,
        store: &dyn Store,
        ledger: &dyn Ledger,
        read: impl FnOnce(&Sums) -> T,
    ) -> Result<T, StoreError> {
        let mut sums = self.0.lock().await;
        sums.catch_up(store, ledger).await?;
        Ok(read(&sums))
    }

    /// Adds what is new. The first time that may be much.
    pub(crate) async fn catch_up(&self, store: &dyn Store, ledger: &dyn Ledger) -> Result<(), StoreError> {
        self.read(store, ledger, |_| ()).await
    }
}

impl Sums {
    async fn catch_up(&mut self, store: &dyn Store, ledger: &dyn Ledger) -> Result<(), StoreError> {
        let newest = store.newest().await?;
        while self.events < newest {
            let until = newest.min(self.events + WINDOW);
            let told = store.told(KINDS, self.events, until).await?;
            told.iter().for_each(|numbered| self.take(numbered));
            self.events = until;
        }
        loop {
            let page = ledger.calls_after(self.calls, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            self.calls = *last;
            page.iter().for_each(|(_, row)| self.call(row));
        }
    }

    fn take(&mut self, numbered: &Numbered) {
        match &numbered.stored.event {
            Event::RunTransitioned {
                to: to @ (RunState::Completed | RunState::Failed | RunState::Aborted),
                ..
            } => *self.ended.entry(to.as_str()).or_default() += 1,
            Event::TaskDispatched {
                task, attempt, agent, ..
            } => {
                let since = (numbered.stored.at, agent.to_string());
                self.under_way.insert((numbered.run, *task, *attempt), since);
            }
            Event::TaskFinished { task, attempt, outcome } => {
                let Some((since, agent)) = self.under_way.remove(&(numbered.run, *task, *attempt)) else {
                    return;
                };
                self.attempts.add(numbered.stored.at.since(since));
                let attempts = self.agents.of(short(&agent), true);
                *attempts.verdicts.entry(outcome.verdict.as_str()).or_default() += 1;
            }
            Event::ReviewReceived { opinion, .. } => {
                let verdict = opinion
                    .verdict
                    .map_or_else(|| "none".to_owned(), |verdict| verdict.to_string());
                *self.reviews.entry(verdict).or_default() += 1;
            }
            Event::DecisionMade { answer, .. } => *self.decisions.entry(answer.choice.as_str()).or_default() += 1,
            Event::ViolationRecorded { violation, .. } => {
                *self.violations.entry(violation.kind.as_str()).or_default() += 1;
            }
            // Of an agent with a login of its own; what went through the gateway is in the books.
            Event::ModelCalled {
                model,
                usage,
                millis,
                request: None,
                ..
            } => {
                let (provider, name) = model.split_once('/').unwrap_or(("", model));
                self.call(&CallRow {
                    provider: provider.to_owned(),
                    model: name.to_owned(),
                    input: usage.input.0,
                    cached: usage.cached.0,
                    output: usage.output.0,
                    cost: usage.cost,
                    millis: *millis,
                    outcome: "ok".to_owned(),
                    ..CallRow::default()
                });
            }
            _ => {}
        }
    }

    fn call(&mut self, row: &CallRow) {
        if let Some(kind) = row.code.strip_prefix("cache_") {
            *self.cache_hits.entry(kind.to_owned()).or_default() += 1;
        } else if !row.code.is_empty() {
            *self.errors.entry(row.code.clone()).or_default() += 1;
        }
        if row.waited_millis > 0 {
            self.waits += 1;
            self.waited += Duration::from_millis(row.waited_millis);
        }
        // Only a name that some provider has answered to is one: a client may ask for anything.
        let is_known = row.outcome == "ok";
        self.models.of(ModelKey::of(row), is_known).take(row);
    }
}

#[cfg(test)]
mod tests;
