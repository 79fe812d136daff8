//! Lanes: one key of one provider each. A lane that fails rests; who is to blame decides which lane and how long.

use crate::provider::Blame;
use maestria_kernel::At;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Failures in a row that open the breaker.
const FAILURES: u32 = 5;

/// How long an open breaker keeps a lane out of use before one call may try it.
const REST: Duration = Duration::from_secs(30);

/// How long a refused key is not tried.
const BENCH: Duration = Duration::from_secs(300);

/// How long a lane rests that was used too often and was not told for how long.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers whose time is remembered.
const REMEMBERED: usize = 64;

/// How calls are spread over lanes that could all take them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// By the providers' weights.
    Weighted,
    /// The one with the fewest calls under way.
    LeastConnections,
    /// The one that answered fastest lately.
    LowestLatency,
}

impl Balance {
    /// The names in the configuration.
    pub const NAMES: &'static [&'static str] = &["round-robin", "weighted", "least-connections", "lowest-latency"];

    /// The balance of a configured name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "round-robin" => Some(Self::RoundRobin),
            "weighted" => Some(Self::Weighted),
            "least-connections" => Some(Self::LeastConnections),
            "lowest-latency" => Some(Self::LowestLatency),
            _ => None,
        }
    }
}

/// One key of one provider.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Which provider.
    pub(crate) provider: usize,
    /// Its key.
    pub(crate) key: Option<String>,
    weight: u32,
    under_way: AtomicUsize,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
    /// The breaker is half open: one call is trying the lane.
    trial: bool,
    /// Models that were used too often: providers count by model.
    limited: HashMap<String, Instant>,
    /// Times to the first content.
    times: VecDeque<Duration>,
}

/// A lane as a face shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct LaneStatus {
    /// The provider.
    pub provider: String,
    /// Which of its keys, from 1.
    pub key: usize,
    /// It may be used now.
    pub usable: bool,
    /// Calls under way.
    pub under_way: usize,
    /// Median time to the first content, if it is known.
    pub median_millis: Option<u64>,
    /// When it may be used again, while it rests.
    pub rests_until: Option<At>,
}

impl Lane {
    pub(crate) fn new(provider: usize, key: Option<String>, weight: u32) -> Self {
        Self {
            provider,
            key,
            weight,
            under_way: AtomicUsize::new(0),
            health: Mutex::default(),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the lane is not to be used, if it rests.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.health().rests_until.filter(|until| *until > now)
    }

    /// Until when a model was used too often.
    pub(crate) fn limited_until(&self, model: &str, now: Instant) -> Option<Instant> {
        self.health().limited.get(model).copied().filter(|until| *until > now)
    }

    /// Whether a call may be sent, which it then is: a lane that comes back is tried by one call alone.
    fn admit(&self, model: &str, now: Instant) -> bool {
        let mut health = self.health();
        if health.limited.get(model).is_some_and(|until| *until > now) {
            return false;
        }
        match health.rests_until {
            Some(until) if until > now => false,
            Some(_) if health.trial => false,
            Some(_) => {
                health.trial = true;
                true
            }
            None => true,
        }
    }

    /// A call of the lane answered.
    pub(crate) fn succeeded(&self, took: Duration) {
        let mut health = self.health();
        health.failures = 0;
        health.rests_until = None;
        health.trial = false;
        if health.times.len() == REMEMBERED {
            health.times.pop_front();
        }
        health.times.push_back(took);
    }

    /// The lane was found well by who only looked.
    pub(crate) fn found_well(&self) {
        let mut health = self.health();
        health.failures = 0;
        health.rests_until = None;
        health.trial = false;
    }

    /// A call of the lane failed.
    pub(crate) fn failed(&self, model: &str, blame: Blame, retry_after: Option<u64>, now: Instant) {
        let mut health = self.health();
        health.trial = false;
        let rest = match blame {
            Blame::Request => {
                // The provider answered, so it is there.
                health.failures = 0;
                None
            }
            Blame::Key => Some(BENCH),
            Blame::Rate => {
                let pause = retry_after.map_or(PAUSE, Duration::from_secs);
                health.limited.retain(|_, until| *until > now);
                if let Some(until) = now.checked_add(pause) {
                    health.limited.insert(model.to_owned(), until);
                }
                health.failures = 0;
                None
            }
            Blame::Provider => {
                health.failures += 1;
                let told = retry_after.map(Duration::from_secs);
                told.or((health.failures >= FAILURES).then_some(REST))
            }
        };
        health.rests_until = rest.and_then(|rest| now.checked_add(rest));
    }

    /// A model is not to be asked for a while: the provider's own limit here is used up.
    pub(crate) fn limit(&self, model: &str, until: Instant) {
        self.health().limited.insert(model.to_owned(), until);
    }

    /// A call of the lane was given up by its client: nothing is known of the lane.
    pub(crate) fn abandoned(&self) {
        self.health().trial = false;
    }

    /// Median and 95th percentile of the time to the first content.
    pub(crate) fn latency(&self) -> Option<(Duration, Duration)> {
        let mut times: Vec<Duration> = self.health().times.iter().copied().collect();
        if times.is_empty() {
            return None;
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Some((at(50), at(95)))
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts a call as under way until the guard is dropped.
    pub(crate) fn enter(lane: &std::sync::Arc<Self>) -> UnderWay {
        lane.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(lane.clone())
    }
}

/// A call under way on a lane.
#[derive(Debug)]
pub(crate) struct UnderWay(std::sync::Arc<Lane>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicUsize);

impl Turns {
    /// The number of the next turn.
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Picks one of `lanes` (places in `all`) that may be used now.
    pub(crate) fn pick(
        &self,
        balance: Balance,
        all: &[std::sync::Arc<Lane>],
        lanes: &[usize],
        model: &str,
        now: Instant,
    ) -> Option<usize> {
        if lanes.is_empty() {
            return None;
        }
        let turn = self.next();
        let mut order: Vec<usize> = lanes.to_vec();
        match balance {
            Balance::RoundRobin => order.rotate_left(turn % lanes.len()),
            Balance::Weighted => {
                let first = weighted(all, lanes, turn);
                order.rotate_left(first);
            }
            Balance::LeastConnections => {
                order.rotate_left(turn % lanes.len());
                order.sort_by_key(|lane| all[*lane].under_way());
            }
            // A lane nobody has tried yet is tried.
            Balance::LowestLatency => order.sort_by_key(|lane| all[*lane].latency().map(|(median, _)| median)),
        }
        order.into_iter().find(|lane| all[*lane].admit(model, now))
    }
}

/// The place whose share of a round the turn falls into.
fn weighted(all: &[std::sync::Arc<Lane>], lanes: &[usize], turn: usize) -> usize {
    let weight = |lane: &usize| usize::try_from(all[*lane].weight).unwrap_or(1);
    let total: usize = lanes.iter().map(weight).sum();
    let mut left = turn % total.max(1);
    for (place, lane) in lanes.iter().enumerate() {
        if left < weight(lane) {
            return place;
        }
        left -= weight(lane);
    }
    0
}

#[cfg(test)]
mod tests;
