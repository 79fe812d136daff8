//! Whom a worker wanted to reach and may not: noted by the proxy, told by whoever watches the worker.

use std::sync::{Arc, Mutex, PoisonError};

/// The most hosts that are remembered of one worker: beyond, there is nothing new to learn about it.
const MOST: usize = 64;

/// A host that the proxy refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// `host:port`, as the worker named it.
    pub host: String,
    /// By which rule: `network.list` or `network.inward`.
    pub rule: &'static str,
    /// Why, in one sentence.
    pub because: &'static str,
}

/// Those of one worker, each once, however often it tries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strangers(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    all: Vec<Stranger>,
    told: usize,
}

impl Strangers {
    pub(super) fn note(&self, stranger: Stranger) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.all.len() < MOST && !seen.all.contains(&stranger) {
            seen.all.push(stranger);
        }
    }

    /// Those that have come since the last call.
    pub(crate) fn take(&self) -> Vec<Stranger> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = seen.all[seen.told..].to_vec();
        seen.told = seen.all.len();
        news
    }
}
