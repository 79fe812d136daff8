//! How fast events become durable, beside a bare SQLite loop on the same disk in the same minutes; and how the store
//! behaves when it has grown old.
//!
//! ```text
//! cargo run --release -p maestria-store --example appends -- [--dir DIR] [--turns N] [--rounds N] [--events N]
//! ```
//!
//! Disks have moods, so the two take turns and only the ratio of neighbours is believed. The folder must lie on the
//! disk that is to be measured: in a memory file system a flush costs nothing.

mod bare;
mod clients;
mod old;

use bare::BareLoop;
use clients::{Crowd, Tally};
use maestria_store::SqliteStore;
use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

/// Callers at once, each waiting for its event to be durable before it brings the next.
const CLIENTS: [usize; 3] = [1, 8, 64];

/// How long one of the two works before the other has its turn.
const TURN: Duration = Duration::from_millis(100);

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Settings {
    folder: PathBuf,
    turns: usize,
    rounds: usize,
    events: u64,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    println!(
        "in {}; medians of {} rounds, {} turns of {} ms each",
        settings.folder.display(),
        settings.rounds,
        settings.turns,
        TURN.as_millis()
    );
    println!("clients  store/s   bare/s  ratio  p50 ms  p99 ms  events/flush");
    for clients in CLIENTS {
        runtime.block_on(compare(&settings, clients))?;
    }
    runtime.block_on(old::measure(&settings.folder, settings.events))
}

fn settings() -> Outcome<Settings> {
    let mut settings = Settings {
        folder: std::env::temp_dir(),
        turns: 20,
        rounds: 5,
        events: 1_000_000,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} wants a value"))?;
        match flag.as_str() {
            "--dir" => settings.folder = value.into(),
            "--turns" => settings.turns = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--events" => settings.events = value.parse()?,
            _ => return Err(format!("unknown flag {flag}; --dir, --turns, --rounds and --events are known").into()),
        }
    }
    Ok(settings)
}

async fn compare(settings: &Settings, clients: usize) -> Outcome<()> {
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        rounds.push(round(settings, clients).await?);
    }
    let of = |figure: fn(&(Tally, Tally)) -> f64| median(rounds.iter().map(figure).collect());
    println!(
        "{clients:>7} {:>8.0} {:>8.0} {:>6.2} {:>7.2} {:>7.2} {:>13.1}",
        of(|(ours, _)| ours.per_second()),
        of(|(_, bare)| bare.per_second()),
        of(|(ours, bare)| ours.per_second() / bare.per_second()),
        of(|(ours, _)| ours.latency(0.50)),
        of(|(ours, _)| ours.latency(0.99)),
        of(|(ours, _)| ours.per_group()),
    );
    Ok(())
}

/// Both on fresh files, in short turns; the one that begins changes, so that a disk that tires is unfair to neither.
async fn round(settings: &Settings, clients: usize) -> Outcome<(Tally, Tally)> {
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db"))?);
    let bare = Arc::new(BareLoop::start(&folder.path().join("bare.db"))?);
    let mut ours = Crowd::new(clients, || clients::through_store(&store));
    let mut peer = Crowd::new(clients, || clients::through_bare(&bare));
    for turn in 0..settings.turns {
        if turn % 2 == 0 {
            ours.work(TURN).await?;
            peer.work(TURN).await?;
        } else {
            peer.work(TURN).await?;
            ours.work(TURN).await?;
        }
    }
    ours.tally.groups = store.groups();
    store.close().await;
    Ok((ours.tally, peer.tally))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
