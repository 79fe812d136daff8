//! Rate limits: a bucket of requests and one of tokens for each client, and the same for each provider. Who finds a bucket empty waits a little, in a
//! queue that is bounded; then it is a 429.

use crate::wire::{Fault, Kind};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Clients remembered; more than that are no clients but an attack.
const REMEMBERED: usize = 10_000;

/// How much each client may ask; 0 is no limit.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests a minute.
    pub requests: u64,
    /// Tokens a minute, sent ones about.
    pub tokens: u64,
    /// What may be used at once, in percent of a minute's.
    pub burst_percent: u64,
    /// Requests that may wait, of all clients together.
    pub queue: usize,
    /// The longest wait.
    pub patience: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            requests: 0,
            tokens: 0,
            burst_percent: 100,
            queue: 256,
            patience: Duration::from_secs(10),
        }
    }
}

/// The buckets of all clients.
#[derive(Debug)]
pub(crate) struct Limits {
    rate: Rate,
    buckets: Mutex<HashMap<String, Pair>>,
    waiting: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    requests: Bucket,
    tokens: Bucket,
}

/// A bucket that fills by itself; below zero it is owed.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn float(n: u64) -> f64 {
    n as f64
}

impl Bucket {
    /// How long until `amount` may be taken; none when it was.
    fn take(&mut self, amount: u64, a_minute: u64, burst_percent: u64, now: Instant) -> Option<Duration> {
        if a_minute == 0 {
            return None;
        }
        let most = (float(a_minute) * float(burst_percent) / 100.0).max(1.0);
        let rate = float(a_minute) / 60.0;
        self.level = (self.level + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(most);
        self.at = now;
        // A request larger than the bucket waits for a full one.
        let needed = float(amount).min(most);
        if self.level >= needed {
            self.level -= float(amount);
            return None;
        }
        Some(Duration::from_secs_f64((needed - self.level) / rate))
    }
}

impl Limits {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Whether nothing is limited.
    pub(crate) const fn is_free(&self) -> bool {
        self.rate.requests == 0 && self.rate.tokens == 0
    }

    /// Returns when the client may ask.
    pub(crate) async fn admit(&self, client: &str, tokens: u64) -> Result<(), Fault> {
        if self.is_free() {
            return Ok(());
        }
        let deadline = Instant::now() + self.rate.patience;
        let mut place: Option<Place<'_>> = None;
        loop {
            let now = Instant::now();
            let Some(wait) = self.take(client, tokens, now) else {
                return Ok(());
            };
            if now + wait > deadline {
                return Err(limited(wait));
            }
            if place.is_none() {
                place = Some(self.queue().ok_or_else(|| limited(wait))?);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes at once, or says how long it would take.
    pub(crate) fn take(&self, client: &str, tokens: u64, now: Instant) -> Option<Duration> {
        let Rate {
            requests,
            tokens: a_minute,
            burst_percent,
            ..
        } = self.rate;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(client) {
            buckets.retain(|_, pair| now.saturating_duration_since(pair.requests.at) < Duration::from_secs(60));
        }
        let full = |a_minute| Bucket {
            level: float(a_minute) * float(burst_percent) / 100.0,
            at: now,
        };
        let pair = buckets.entry(client.to_owned()).or_insert_with(|| Pair {
            requests: full(requests),
            tokens: full(a_minute),
        });
        let before = *pair;
        let wait = pair.requests.take(1, requests, burst_percent, now);
        let wait = wait
            .into_iter()
            .chain(pair.tokens.take(tokens, a_minute, burst_percent, now))
            .max();
        if wait.is_some() {
            *pair = before;
        }
        wait
    }

    fn queue(&self) -> Option<Place<'_>> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.rate.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(&self.waiting))
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn limited(wait: Duration) -> Fault {
    let seconds = wait.as_secs() + 1;
    Fault {
        kind: Kind::Limited,
        message: format!("this key has used its rate; it may ask again in {seconds} s"),
        retry_after: Some(seconds),
    }
}

#[cfg(test)]
mod tests;
