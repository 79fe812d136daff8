//! What is read when: the feed of events and the gateway's books, from where the last process left off. One process of a store
//! does this, whichever has the lock; the others stand by.

mod cursor;

use super::{
    Fares, calls,
    export::{Exporter, Sent},
    otlp,
    span::Span,
    weave::Loom,
};
use crate::config::TelemetryTable;
use cursor::Cursor;
use maestria_kernel::{
    RunId,
    ledger::Ledger,
    port::{Store, StoreError},
    trace::TraceId,
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// How often it is looked whether there is more.
const PACE: Duration = Duration::from_secs(1);

/// How often a process that stands by asks for the lock.
const STANDBY: Duration = Duration::from_secs(5);

/// Events, and calls, that go into one body.
const PAGE: u32 = 512;

/// Runs that are remembered; others are read again when more of them comes.
const MOST_LOOMS: usize = 128;

/// With so many events and calls waiting, a collector that is away is waited for no longer: what it misses is lost, and counted.
const MOST_BEHIND: u64 = 100_000;

/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads, weaves and sends, for ever.
pub(super) struct Follower {
    store: Arc<dyn Store>,
    ledger: Arc<dyn Ledger>,
    exporter: Exporter,
    data: PathBuf,
    contents: bool,
    percent: u8,
    fares: Arc<Fares>,
    looms: HashMap<RunId, Loom>,
}

/// What was read at once, and how far that goes.
struct Batch {
    spans: Vec<Span>,
    upto: Cursor,
}

impl Follower {
    pub(super) fn new(
        table: &TelemetryTable,
        exporter: Exporter,
        (store, ledger): (Arc<dyn Store>, Arc<dyn Ledger>),
        data: PathBuf,
        fares: Arc<Fares>,
    ) -> Self {
        Self {
            store,
            ledger,
            exporter,
            data,
            contents: table.contents,
            percent: table.sample_percent,
            fares,
            looms: HashMap::new(),
        }
    }

    /// Follows until it is stopped; then tells what is left, once.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let _lock = loop {
            match cursor::lock(&self.data) {
                Ok(Some(lock)) => break lock,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the lock of the traces cannot be had"),
            }
            // Who stands by has nothing to tell at its end: another process does it.
            if stopped_within(&mut stop, STANDBY).await {
                return;
            }
        };
        while let Err(error) = self.follow(&mut stop).await {
            tracing::warn!(%error, "traces cannot be told");
            // The place is read again: nothing is taken for told that was not.
            self.looms.clear();
            if stopped_within(&mut stop, LONGEST_PAUSE).await {
                return;
            }
        }
    }

    async fn follow(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Trouble> {
        let mut at = match Cursor::read(&self.data)? {
            Some(cursor) => cursor,
            None => self.newest().await?,
        };
        at.write(&self.data)?;
        loop {
            let stopping = *stop.borrow();
            let batch = self.gather(at).await?;
            let idle = batch.upto == at;
            if !self.deliver(&batch, stop).await {
                return Ok(());
            }
            if !idle {
                at = batch.upto;
                at.write(&self.data)?;
            }
            match idle {
                true if stopping => return Ok(()),
                true => drop(stopped_within(stop, PACE).await),
                false => {}
            }
        }
    }

    async fn newest(&self) -> Result<Cursor, StoreError> {
        Ok(Cursor {
            events: self.store.newest().await?,
            calls: self.ledger.newest_call().await?,
        })
    }

    /// The next spans. Calls are read after events: what they happened in is known then.
    async fn gather(&mut self, at: Cursor) -> Result<Batch, StoreError> {
        let mut upto = at;
        let mut spans = Vec::new();
        for told in self.store.feed(at.events, PAGE).await? {
            if let Some(loom) = self.loom(told.run, told.number).await? {
                spans.extend(loom.take(&told.stored));
            }
            upto.events = told.number;
        }
        let percent = self.percent;
        for (number, row) in self.ledger.calls_after(at.calls, PAGE).await? {
            let run = row.run.as_deref().and_then(|run| run.parse().ok());
            let loom = match run {
                Some(run) => self.loom(run, upto.events + 1).await?.map(|loom| &*loom),
                None => None,
            };
            spans.extend(calls::spans(&row, loom, percent));
            upto.calls = number;
        }
        self.forget();
        Ok(Batch { spans, upto })
    }

    /// The loom of a run, with everything on it that came before a number; `None` for a run whose trace is not kept.
    async fn loom(&mut self, run: RunId, before: u64) -> Result<Option<&mut Loom>, StoreError> {
        if !TraceId::of(run).is_sampled(self.percent) {
            return Ok(None);
        }
        if !self.looms.contains_key(&run) {
            let loom = self.read(run, before).await?;
            self.looms.insert(run, loom);
        }
        Ok(self.looms.get_mut(&run))
    }

    /// What was told of a run by an earlier process, or before it was forgotten.
    async fn read(&self, run: RunId, before: u64) -> Result<Loom, StoreError> {
        let mut loom = Loom::new(run, self.contents);
        let mut after = maestria_kernel::Seq(0);
        loop {
            let page = self.store.numbered(run, after, PAGE).await?;
            let earlier = page.iter().take_while(|told| told.number < before).count();
            page[..earlier].iter().for_each(|told| drop(loom.take(&told.stored)));
            match page.last() {
                Some(last) if earlier == page.len() => after = last.stored.seq,
                _ => return Ok(loom),
            }
        }
    }

    /// Keeps memory within bounds: runs that are over go first, then the oldest.
    fn forget(&mut self) {
        if self.looms.len() <= MOST_LOOMS {
            return;
        }
        self.looms.retain(|_, loom| !loom.is_over());
        while self.looms.len() > MOST_LOOMS {
            let Some(oldest) = self.looms.keys().min().copied() else {
                return;
            };
            self.looms.remove(&oldest);
        }
    }

    /// Sends until it is taken, refused, or not worth waiting for. `false` when it was stopped before: then it is told again.
    async fn deliver(&self, batch: &Batch, stop: &mut watch::Receiver<bool>) -> bool {
        let count = batch.spans.len();
        if count == 0 {
            self.fares.behind.store(0, Ordering::Relaxed);
            return true;
        }
        let body: hyper::body::Bytes = otlp::encode(&batch.spans).into();
        let mut pause = PAUSE;
        loop {
            match self.exporter.send(body.clone()).await {
                Sent::Taken { rejected } => {
                    Fares::count(&self.fares.exported, count.saturating_sub(rejected));
                    Fares::count(&self.fares.dropped, rejected);
                    return true;
                }
                Sent::Refused(why) => {
                    Fares::count(&self.fares.dropped, count);
                    tracing::warn!(spans = count, why, "spans are lost");
                    return true;
                }
                Sent::Later(why, wait) => {
                    Fares::count(&self.fares.failed, 1);
                    let behind = self.behind(batch.upto).await;
                    self.fares.behind.store(behind, Ordering::Relaxed);
                    if behind > MOST_BEHIND {
                        Fares::count(&self.fares.dropped, count);
                        tracing::warn!(spans = count, why, "spans are lost: too many wait");
                        return true;
                    }
                    tracing::info!(why, "the collector is tried again");
                    if stopped_within(stop, wait.unwrap_or_else(|| jittered(pause))).await {
                        return false;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// What waits behind a place. What cannot be counted does not wait.
    async fn behind(&self, at: Cursor) -> u64 {
        let newest = self.newest().await.unwrap_or(at);
        newest.events.saturating_sub(at.events) + newest.calls.saturating_sub(at.calls)
    }
}

/// Why spans cannot be told at all.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it cannot be noted what was told: {0}")]
    Cursor(#[from] std::io::Error),
}

/// Waits; says whether it is time to stop.
async fn stopped_within(stop: &mut watch::Receiver<bool>, time: Duration) -> bool {
    // An error means that nobody is left to stop it: the program ends.
    tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await.is_ok()
}

/// Between half of it and all of it, so that many do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    pause / 2 + (pause / 2).mul_f64(f64::from(nanos % 1_000_000) / 1e6)
}
