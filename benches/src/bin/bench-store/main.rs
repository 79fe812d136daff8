//! `cargo xtask bench store`: how fast events become durable, beside a bare SQLite loop on the same disk in the same
//! minutes; and how the store behaves when it has grown old.
//!
//! Disks have moods, so the two take turns and only the ratio of neighbours is believed. The folder must lie on the
//! disk that is to be measured: in a memory file system a flush costs nothing.

mod bare;
mod clients;
mod old;

use anyhow::bail;
use bare::BareLoop;
use clients::{Crowd, Tally};
use maestria_benches::{Figure, Table, median};
use maestria_store::SqliteStore;
use std::{path::Path, sync::Arc, time::Duration};

const USAGE: &str = "usage: bench-store FOLDER (run it with `cargo xtask bench store`)";

/// Callers at once, each waiting for its event to be durable before it brings the next.
const CLIENTS: [(usize, &str); 3] = [
    (1, "appends of 1 client, of a bare loop"),
    (8, "appends of 8 clients, of a bare loop"),
    (64, "appends of 64 clients, of a bare loop"),
];

/// Repetitions, each on fresh files.
const ROUNDS: usize = 5;

/// Turns of each side in a round, and how long one is.
const TURNS: usize = 10;
const TURN: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = &args[..] else { bail!(USAGE) };
    let mut table = Table::default();
    for (clients, name) in CLIENTS {
        compare(Path::new(folder), clients, name, &mut table).await?;
    }
    old::measure(Path::new(folder), &mut table).await?;
    table.end();
    Ok(())
}

async fn compare(folder: &Path, clients: usize, name: &'static str, table: &mut Table) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round(folder, clients).await?);
    }
    let of = |figure: fn(&(Tally, Tally)) -> f64| median(&rounds.iter().map(figure).collect::<Vec<f64>>());
    let beside = format!(
        "{:.0}/s beside {:.0}/s; half of them wait {:.2} ms, 1 in 100 {:.2} ms or more",
        of(|(ours, _)| ours.per_second()),
        of(|(_, bare)| bare.per_second()),
        of(|(ours, _)| ours.wait(0.50)),
        of(|(ours, _)| ours.wait(0.99)),
    );
    let ratio = of(|(ours, bare)| ours.per_second() / bare.per_second());
    table.show(&Figure::at_least(name, ratio, "×", 0.8, beside));
    if clients == 64 {
        let shared = of(|(ours, _)| ours.per_flush());
        table.show(&Figure::at_least(
            "events in one flush, 64 clients",
            shared,
            "",
            30.0,
            "groups counted by the store",
        ));
    }
    Ok(())
}

/// Both on fresh files, in short turns; the one that begins changes, so that a disk that tires is unfair to neither.
async fn round(folder: &Path, clients: usize) -> anyhow::Result<(Tally, Tally)> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db"))?);
    let bare = Arc::new(BareLoop::start(&folder.path().join("bare.db"))?);
    let mut ours = Crowd::new(clients, || clients::through_store(&store));
    let mut peer = Crowd::new(clients, || clients::through_bare(&bare));
    for turn in 0..TURNS {
        if turn % 2 == 0 {
            ours.work(TURN).await?;
            peer.work(TURN).await?;
        } else {
            peer.work(TURN).await?;
            ours.work(TURN).await?;
        }
    }
    ours.tally.flushes = store.groups();
    store.close().await;
    Ok((ours.tally, peer.tally))
}
