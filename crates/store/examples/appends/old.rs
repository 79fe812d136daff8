//! A store that has grown old: how long it takes to open, to read a whole run, and how much memory it all costs.

use crate::{Outcome, clients::event};
use maestria_kernel::{
    At, RunId, Seq,
    port::{Batch, Store as _, Stored},
};
use maestria_store::SqliteStore;
use std::{fs, path::Path, time::Instant};
use uuid::Uuid;

/// Half of all events lie in one run, the rest in runs of this size.
const SHORT: u64 = 500;

/// Events in one commit, and in one page of reading.
const PAGE: u64 = 256;

pub(crate) async fn measure(folder: &Path, events: u64) -> Outcome<()> {
    if events == 0 {
        return Ok(());
    }
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path)?;
    let began = Instant::now();
    let long = RunId::new(Uuid::now_v7());
    fill(&store, long, events / 2).await?;
    for _ in 0..events / 2 / SHORT {
        fill(&store, RunId::new(Uuid::now_v7()), SHORT).await?;
    }
    println!(
        "{events} events written in {:.1} s; memory {} MB",
        began.elapsed().as_secs_f64(),
        resident()
    );
    store.close().await;
    drop(store);

    let began = Instant::now();
    let store = SqliteStore::open(&path)?;
    println!("opened in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);

    let began = Instant::now();
    let mut newest = Seq(0);
    loop {
        let page = store.events(long, newest, PAGE as u32).await?;
        let Some(last) = page.last() else { break };
        newest = last.seq;
    }
    println!(
        "a run of {newest} events read in {:.2} s; memory {} MB, {} MB on disk",
        began.elapsed().as_secs_f64(),
        resident(),
        fs::metadata(&path)?.len() / 1_000_000
    );
    store.close().await;
    Ok(())
}

async fn fill(store: &SqliteStore, run: RunId, events: u64) -> Outcome<()> {
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
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kb| format!("{:.1}", kb / 1024.0))
}
