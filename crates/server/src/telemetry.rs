//! Traces over OTLP, for who looks at many systems at once.
//!
//! What it is for: telling a collector what happened, as spans. It reads what is stored, the feed of events and the books of
//! the gateway, so nothing that works waits for it and nothing else has to call it. What is not delivered yet is read again:
//! the log is the queue. What it must never do: hold up a run, or tell of prompts and answers unless it was asked to.
//!
//! Where to start reading: [`follow`] (what is read when), then [`weave`] (how events become spans), then [`export`] (what a
//! collector may do to us). Names of attributes stand in [`convention`] and nowhere else.

mod calls;
mod convention;
mod export;
mod follow;
mod otlp;
mod span;
mod weave;

use crate::config::TelemetryTable;
use follow::Follower;
use maestria_kernel::{ledger::Ledger, port::Store};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, sync::watch, task::JoinHandle};

/// How long the last spans may take when the program ends. What does not arrive is read again by the next one.
const FLUSH: Duration = Duration::from_secs(4);

/// How the export fares, in this process.
#[derive(Debug, Default)]
pub(crate) struct Fares {
    /// Spans that a collector has taken.
    pub(crate) exported: AtomicU64,
    /// Spans that are lost: refused by the collector, or given up because it was away for too long.
    pub(crate) dropped: AtomicU64,
    /// Attempts that failed.
    pub(crate) failed: AtomicU64,
    /// Events and calls that wait to be told.
    pub(crate) behind: AtomicU64,
}

/// The export of this process; it ends with [`Telemetry::close`].
#[derive(Debug)]
pub(crate) struct Telemetry {
    fares: Arc<Fares>,
    stop: watch::Sender<bool>,
    work: Mutex<Option<JoinHandle<()>>>,
}

impl Telemetry {
    /// Begins to export what `store` and `ledger` hold, if a collector is configured. `data` is where it is noted what was told.
    pub(crate) fn start(
        table: &TelemetryTable,
        store: Arc<dyn Store>,
        ledger: Arc<dyn Ledger>,
        data: PathBuf,
    ) -> Option<Self> {
        let exporter = export::Exporter::new(table)?;
        let fares = Arc::new(Fares::default());
        let (stop, stopped) = watch::channel(false);
        let follower = Follower::new(table, exporter, (store, ledger), data, fares.clone());
        Some(Self {
            fares,
            stop,
            work: Mutex::new(Some(tokio::spawn(follower.run(stopped)))),
        })
    }

    pub(crate) fn fares(&self) -> &Fares {
        &self.fares
    }

    /// Tells what is there to tell, within bounds, and ends.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let Some(mut work) = self.work.lock().await.take() else {
            return;
        };
        if tokio::time::timeout(FLUSH, &mut work).await.is_err() {
            work.abort();
            tracing::warn!("the last spans were not told in time; the next start goes on with them");
        }
    }
}

impl Fares {
    pub(crate) fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
