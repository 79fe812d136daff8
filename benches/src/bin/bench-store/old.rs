//! A store that has grown old: how long it takes to open and to read a whole run, and how much memory it all costs.

use crate::clients::event;
use anyhow::Context as _;
use maestria_benches::{Figure, Table};
use maestria_kernel::{
    At, RunId, Seq,
    port::{Batch, Store as _, Stored},
};
use maestria_store::SqliteStore;
use std::{fs, path::Path, time::Instant};
use uuid::Uuid;

const EVENTS: u64 = 1_000_000;

/// Half of all events lie in one run, the rest in runs of this size.
const SHORT: u64 = 500;

/// Events in one commit, and in one page of reading.
const PAGE: u64 = 256;

pub(crate) async fn measure(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("store.db");
    let long = RunId::new(Uuid::now_v7());
    let store = SqliteStore::open(&path)?;
    let began = Instant::now();
    fill(&store, long, EVENTS / 2).await?;
    for _ in 0..EVENTS / 2 / SHORT {
        fill(&store, RunId::new(Uuid::now_v7()), SHORT).await?;
    }
    let beside = format!("{EVENTS} in {:.1} s, {PAGE} a commit", began.elapsed().as_secs_f64());
    table.show(&Figure::at_most(
        "memory after writing a million",
        resident()?,
        "MB",
        60.0,
        beside,
    ));
    store.close().await;
    drop(store);

    let began = Instant::now();
    let store = SqliteStore::open(&path)?;
    let opened = began.elapsed().as_secs_f64() * 1e3;
    let beside = format!("{EVENTS} events, {} MB on disk", fs::metadata(&path)?.len() / 1_000_000);
    table.show(&Figure::at_most("opening it again", opened, "ms", 1_000.0, beside));

    let began = Instant::now();
    let read = read_all(&store, long).await?;
    let beside = format!("{read} events in pages of {PAGE}; memory {:.0} MB", resident()?);
    table.show(&Figure::at_most(
        "reading the longest run",
        began.elapsed().as_secs_f64(),
        "s",
        5.0,
        beside,
    ));
    store.close().await;
    Ok(())
}

async fn read_all(store: &SqliteStore, run: RunId) -> anyhow::Result<u64> {
    let mut newest = Seq(0);
    loop {
        let page = store.events(run, newest, PAGE as u32).await?;
        let Some(last) = page.last() else { return Ok(newest.0) };
        newest = last.seq;
    }
}

async fn fill(store: &SqliteStore, run: RunId, events: u64) -> anyhow::Result<()> {
    let mut after = Seq(0);
    while after.0 < events {
        let until = (after.0 + PAGE).min(events);
        let stored = |seq| Stored {
            seq: Seq(seq),
            at: At(0),
            event: event(Seq(seq)),
        };
        let batch = Batch {
            after,
            events: (after.0 + 1..=until).map(stored).collect(),
            ..Batch::default()
        };
        store.commit(run, batch).await?;
        after = Seq(until);
    }
    Ok(())
}

/// This process's resident memory in megabytes, as the kernel counts it.
fn resident() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()).context("no VmRSS")?;
    Ok(kilobytes.parse::<f64>()? / 1024.0)
}
