//! The newest events of all runs, whichever process stored them, read once for all who follow.
//!
//! One task looks for new events in the store and keeps the last of them, ready to be sent. Followers read from there,
//! and from the store when they are further behind: a slow one holds nobody up and costs no memory.

use maestria_kernel::{
    RunId,
    port::{Numbered, Store, StoreError},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How often the store is asked while somebody follows, and while nobody does.
const AWAKE: Duration = Duration::from_millis(20);
const ASLEEP: Duration = Duration::from_millis(250);

/// Events kept ready: their number, and their bytes together.
const MOST_KEPT: usize = 8192;
const MOST_BYTES: usize = 16 << 20;

/// Events read from the store at once.
const PAGE: u32 = 512;

/// An event, ready to be sent.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) run: RunId,
    pub(crate) kind: &'static str,
    /// One line of JSON.
    pub(crate) json: String,
}

impl Told {
    /// The shape of an event on every face: the stored one with its run and its number.
    pub(crate) fn new(event: &Numbered) -> Self {
        Self {
            number: event.number,
            run: event.run,
            kind: event.stored.event.kind(),
            // Events come from JSON; they can be written as such.
            json: serde_json::to_string(event).unwrap_or_default(),
        }
    }
}

/// The tail of the feed.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    /// Events are entries of the log, too.
    logs: bool,
    kept: RwLock<Kept>,
    newest: watch::Sender<u64>,
    trouble: RwLock<Option<String>>,
    followers: AtomicUsize,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("at", &self.at()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    /// Everything after this number is here.
    since: u64,
}

impl Tail {
    /// A tail that begins with what is stored now; if it `logs`, what comes is written into the log, too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn open(store: Arc<dyn Store>, logs: bool) -> Result<Arc<Self>, StoreError> {
        let at = store.newest().await?;
        let kept = Kept {
            since: at,
            ..Kept::default()
        };
        Ok(Arc::new(Self {
            store,
            logs,
            kept: RwLock::new(kept),
            newest: watch::channel(at).0,
            trouble: RwLock::default(),
            followers: AtomicUsize::new(0),
        }))
    }

    /// Looks for new events for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let looked = self.look().await;
            if let Err(error) = &looked {
                tracing::warn!(%error, "the feed cannot be read");
            }
            *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = looked.err().map(|e| e.to_string());
            let pause = if self.followers.load(Ordering::Relaxed) > 0 {
                AWAKE
            } else {
                ASLEEP
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let newest = self.store.newest().await?;
        loop {
            let at = self.at();
            if at >= newest {
                return Ok(());
            }
            let page = self.store.feed(at, PAGE).await?;
            let Some(last) = page.last().map(|event| event.number) else {
                return Ok(());
            };
            {
                let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
                page.iter().for_each(|event| kept.keep(Arc::new(Told::new(event))));
            }
            if self.logs {
                page.iter().for_each(super::log::write);
            }
            self.newest.send_replace(last);
        }
    }

    /// The number up to which events are here.
    pub(crate) fn at(&self) -> u64 {
        *self.newest.borrow()
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    /// What is wrong with the store, if anything is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Events after a number, in order; empty when there are none yet.
    async fn after(&self, number: u64) -> Result<Vec<Arc<Told>>, StoreError> {
        {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if number >= kept.since {
                let first = kept.events.partition_point(|told| told.number <= number);
                return Ok(kept.events.range(first..).take(PAGE as usize).cloned().collect());
            }
        }
        let page = self.store.feed(number, PAGE).await?;
        Ok(page.iter().map(|event| Arc::new(Told::new(event))).collect())
    }
}

impl Kept {
    fn keep(&mut self, told: Arc<Told>) {
        self.bytes += told.json.len();
        self.events.push_back(told);
        while self.events.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some(old) = self.events.pop_front() else { return };
            self.bytes -= old.json.len();
            self.since = old.number;
        }
    }
}

/// Which events a follower wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Of these runs; of all when empty.
    pub(crate) runs: Vec<RunId>,
    /// Of these kinds, `noun.*` for all of a noun; of all when empty.
    pub(crate) kinds: Vec<String>,
}

impl Wanted {
    /// Whether an event is wanted.
    pub(crate) fn takes(&self, run: RunId, kind: &str) -> bool {
        (self.runs.is_empty() || self.runs.contains(&run)) && takes_kind(&self.kinds, kind)
    }
}

/// Whether a kind is among those that are wanted.
pub(crate) fn takes_kind(kinds: &[String], kind: &str) -> bool {
    let fits = |wanted: &String| match wanted.strip_suffix('*') {
        Some(noun) => kind.starts_with(noun),
        None => wanted == kind,
    };
    kinds.is_empty() || kinds.iter().any(fits)
}

/// Somebody who reads the feed from a number on.
#[derive(Debug)]
pub(crate) struct Follower {
    tail: Arc<Tail>,
    newest: watch::Receiver<u64>,
    wanted: Wanted,
    /// Everything up to here was looked at.
    at: u64,
}

impl Follower {
    /// Follows from after a number on, or from now.
    pub(crate) fn new(tail: Arc<Tail>, wanted: Wanted, after: Option<u64>) -> Self {
        tail.followers.fetch_add(1, Ordering::Relaxed);
        let newest = tail.newest.subscribe();
        let at = after.unwrap_or_else(|| tail.at());
        Self {
            tail,
            newest,
            wanted,
            at,
        }
    }

    /// The number up to which everything was looked at.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    /// The next events that are wanted; `None` when there are no more for now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Arc<Told>>>, StoreError> {
        loop {
            let page = self.tail.after(self.at).await?;
            let Some(last) = page.last() else { return Ok(None) };
            self.at = last.number;
            let wanted: Vec<Arc<Told>> = page
                .into_iter()
                .filter(|told| self.wanted.takes(told.run, told.kind))
                .collect();
            if !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
    }

    /// Waits until there may be more.
    pub(crate) async fn wait(&mut self) {
        let at = self.at;
        // An error means that the server is ending; the stream then ends, too.
        let _ = self.newest.wait_for(|newest| *newest > at).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tail.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
