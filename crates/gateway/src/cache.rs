//! Answers that are given again: to the same request within a while, to equal requests while the first is under way,
//! and, where that is wished for, to requests that mean the same.
//!
//! Off unless a time to live is configured: who asks the same thing twice mostly wants a second answer. Answers are kept
//! as the client got them, a stream as a stream; never for another key, unless that is allowed.

pub(crate) mod alike;
mod key;
mod shelf;

pub(crate) use key::Key;

use crate::{key::Who, question::Question};
use alike::Alike;
use bytes::Bytes;
use serde::Serialize;
use shelf::Shelf;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long a request waits for an equal one that is under way before it goes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer may take more than this part of the room.
const PART: usize = 8;

/// What is kept, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheConfig {
    /// How long an answer is given again; zero: never, and equal requests are not joined either.
    pub ttl: Duration,
    /// The most bytes of answers.
    pub size: usize,
    /// Answers may be given to other keys than the one that asked first.
    pub shared: bool,
    /// Answers are also given to requests that mean the same.
    pub semantic: Option<SemanticConfig>,
}

/// When two requests mean the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticConfig {
    /// The embedding model.
    pub model: String,
    /// The least cosine of their vectors, from 0 to 1.
    pub threshold: f32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::ZERO,
            size: 64 << 20,
            shared: false,
            semantic: None,
        }
    }
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) bytes: Bytes,
    /// `provider/model`.
    pub(crate) model: String,
    pub(crate) at: Instant,
}

/// How an answer came to be given again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Again {
    /// To the same request.
    Same,
    /// To an equal request that waited for it.
    Joined,
    /// To a request that means the same, so much.
    Similar(f32),
}

impl Again {
    /// The stable code in the books.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Same => "cache_hit",
            Self::Joined => "cache_joined",
            Self::Similar(_) => "cache_similar",
        }
    }
}

/// What was looked up, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheStatus {
    /// Answered from the cache.
    pub hits: u64,
    /// Answered by an equal request that was under way.
    pub joined: u64,
    /// Answered by a request that means the same.
    pub similar: u64,
    /// Sent to a provider.
    pub misses: u64,
    /// Bytes that are kept.
    pub bytes: usize,
}

/// The answers of one gateway.
#[derive(Debug)]
pub(crate) struct Cache {
    config: CacheConfig,
    shelf: Mutex<Shelf>,
    under_way: Mutex<HashMap<Key, watch::Sender<()>>>,
    pub(crate) alike: Option<Alike>,
    hits: AtomicU64,
    joined: AtomicU64,
    similar: AtomicU64,
    misses: AtomicU64,
}

/// What there is for a request.
#[derive(Debug)]
pub(crate) enum Found {
    Kept(Arc<Kept>, Again),
    /// Nothing: it is to be asked, and may be kept.
    Nothing(Lead),
    /// An equal one takes too long: it is to be asked by itself.
    TooSlow,
}

/// The first of equal requests. The others go on when it has kept its answer, or is dropped.
#[derive(Debug)]
pub(crate) struct Lead {
    cache: Arc<Cache>,
    key: Key,
}

impl Cache {
    /// `None` when nothing is to be kept.
    pub(crate) fn new(config: CacheConfig) -> Option<Arc<Self>> {
        if config.ttl.is_zero() || config.size == 0 {
            return None;
        }
        Some(Arc::new(Self {
            shelf: Mutex::new(Shelf::new(config.size)),
            under_way: Mutex::default(),
            alike: config.semantic.clone().map(Alike::new),
            config,
            hits: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            similar: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// The key of a request; `None` when its answer is not to be kept.
    pub(crate) fn key(&self, question: &Question, who: &Who) -> Option<Key> {
        key::of(question, &self.tenant(who))
    }

    /// For whom answers are kept.
    pub(crate) fn tenant(&self, who: &Who) -> String {
        if self.config.shared {
            String::new()
        } else {
            who.tenant()
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<()>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that is kept and still good.
    pub(crate) fn kept(&self, key: &Key) -> Option<Arc<Kept>> {
        self.shelf().get(key, self.config.ttl)
    }

    /// Looks an answer up, and waits for one that is under way.
    pub(crate) async fn look(self: &Arc<Self>, key: Key) -> Found {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut again = Again::Same;
        loop {
            let mut other = {
                let mut under_way = self.under_way();
                if let Some(kept) = self.kept(&key) {
                    return Found::Kept(kept, again);
                }
                match under_way.get(&key) {
                    None => {
                        under_way.insert(key, watch::Sender::new(()));
                        let cache = Arc::clone(self);
                        return Found::Nothing(Lead { cache, key });
                    }
                    Some(_) if tokio::time::Instant::now() >= deadline => return Found::TooSlow,
                    Some(other) => other.subscribe(),
                }
            };
            // An error means that the other one has ended, which is what is waited for.
            let _ = tokio::time::timeout_at(deadline, other.changed()).await;
            again = Again::Joined;
        }
    }

    /// Counts how a request was answered; `None`: by a provider.
    pub(crate) fn count(&self, again: Option<Again>) {
        let counter = match again {
            Some(Again::Same) => &self.hits,
            Some(Again::Joined) => &self.joined,
            Some(Again::Similar(_)) => &self.similar,
            None => &self.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> CacheStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStatus {
            hits: of(&self.hits),
            joined: of(&self.joined),
            similar: of(&self.similar),
            misses: of(&self.misses),
            bytes: self.shelf().bytes(),
        }
    }
}

impl Lead {
    /// The longest answer that is kept.
    pub(crate) fn longest(&self) -> usize {
        self.cache.config.size / PART
    }

    /// Keeps the answer.
    pub(crate) fn keep(self, bytes: Bytes, model: String) {
        if bytes.len() <= self.longest() {
            let at = Instant::now();
            self.cache.shelf().put(self.key, Arc::new(Kept { bytes, model, at }));
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.cache.under_way().remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
