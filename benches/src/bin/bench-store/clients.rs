//! Callers: each has a run of its own and appends one event after the other, each only when the one before is durable.

use crate::bare::{BareLoop, Row};
use maestria_kernel::{
    At, Event, RunId, Seq,
    port::{Batch, Store as _, Stored},
};
use maestria_store::SqliteStore;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use uuid::Uuid;

/// What came of all turns of one side.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long each event took to become durable.
    waits: Vec<Duration>,
    took: Duration,
    pub(crate) flushes: u64,
}

impl Tally {
    pub(crate) fn per_second(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn per_flush(&self) -> f64 {
        self.waits.len() as f64 / self.flushes as f64
    }

    /// What this share of the events waited at most, in milliseconds.
    pub(crate) fn wait(&self, share: f64) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let place = (waits.len() as f64 * share) as usize;
        waits
            .get(place.min(waits.len().saturating_sub(1)))
            .map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
    }
}

/// Something that appends the next event of one run and returns when it is durable.
pub(crate) trait Client: Send + 'static {
    fn append(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Callers at work for a turn, over and over.
pub(crate) struct Crowd<C> {
    callers: Vec<C>,
    pub(crate) tally: Tally,
}

impl<C: Client> Crowd<C> {
    pub(crate) fn new(clients: usize, client: impl Fn() -> C) -> Self {
        Self {
            callers: (0..clients).map(|_| client()).collect(),
            tally: Tally::default(),
        }
    }

    /// Has all of them append for a while.
    pub(crate) async fn work(&mut self, turn: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut at_work = JoinSet::new();
        for mut client in self.callers.drain(..) {
            at_work.spawn(async move {
                let mut waits = Vec::new();
                while began.elapsed() < turn {
                    let asked = Instant::now();
                    client.append().await?;
                    waits.push(asked.elapsed());
                }
                anyhow::Ok((client, waits))
            });
        }
        while let Some(ended) = at_work.join_next().await {
            let (client, waits) = ended??;
            self.callers.push(client);
            self.tally.waits.extend(waits);
        }
        self.tally.took += began.elapsed();
        Ok(())
    }
}

/// An event of usual size.
pub(crate) fn event(seq: Seq) -> Event {
    Event::TaskSaid {
        task: None,
        text: format!("{seq:0>10} of what a worker says while it works. ").repeat(4),
    }
}

pub(crate) struct ThroughStore {
    store: Arc<SqliteStore>,
    run: RunId,
    newest: Seq,
}

pub(crate) fn through_store(store: &Arc<SqliteStore>) -> ThroughStore {
    ThroughStore {
        store: Arc::clone(store),
        run: RunId::new(Uuid::now_v7()),
        newest: Seq(0),
    }
}

impl Client for ThroughStore {
    async fn append(&mut self) -> anyhow::Result<()> {
        let seq = self.newest.next();
        let stored = Stored {
            seq,
            at: At(0),
            event: event(seq),
        };
        let batch = Batch {
            after: self.newest,
            events: vec![stored],
            ..Batch::default()
        };
        self.store.commit(self.run, batch).await?;
        self.newest = seq;
        Ok(())
    }
}

pub(crate) struct ThroughBare {
    bare: Arc<BareLoop>,
    run: String,
    newest: i64,
    body: String,
}

pub(crate) fn through_bare(bare: &Arc<BareLoop>) -> ThroughBare {
    ThroughBare {
        bare: Arc::clone(bare),
        run: RunId::new(Uuid::now_v7()).to_string(),
        newest: 0,
        body: serde_json::to_string(&event(Seq(0))).unwrap_or_default(),
    }
}

impl Client for ThroughBare {
    async fn append(&mut self) -> anyhow::Result<()> {
        self.newest += 1;
        let row = Row {
            run: self.run.clone(),
            seq: self.newest,
            body: self.body.clone(),
        };
        self.bare.append(row).await
    }
}
