//! SIGKILL under load: whatever was acknowledged is there when the database is opened again.
//!
//! `STORE_KILLS=1000 cargo nextest run -p maestria-store --no-capture kills` does it a thousand times.

use crate::scene::{assert_sound, block_on, ground, place, second, step, whole_steps};
use maestria_kernel::port::Store as _;
use maestria_store::SqliteStore;
use maestria_testkit::store::run;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    ops::Range,
    path::Path,
    sync::Arc,
};
use tokio::task::JoinSet;

/// Kills of one database.
const KILLS: u64 = 15;

/// Writers at once, each on a run of its own.
const WRITERS: u32 = 16;

#[test]
fn nothing_acknowledged_is_lost() {
    if let Some(ground) = ground() {
        return block_on(append_for_ever(&ground));
    }
    let kills: u64 = std::env::var("STORE_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let mut stored = 0;
    for first in (0..kills).step_by(KILLS as usize) {
        stored += one_database(first..kills.min(first + KILLS));
    }
    println!("{kills} kills, {stored} events stored, 0 acknowledged lost");
}

/// Kills the writers of one database again and again; returns how many events are in it at the end.
fn one_database(kills: Range<u64>) -> u64 {
    let (_folder, path) = place();
    let mut newest = BTreeMap::new();
    for kill in kills {
        let until = 1 + kill.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 2_000;
        kill_after(until, &path, &mut newest);
        block_on(async {
            let store = SqliteStore::open(&path).unwrap();
            for (number, acknowledged) in &mut newest {
                let stored = whole_steps(&store, run(*number)).await;
                assert!(
                    stored >= *acknowledged,
                    "kill {kill}: {acknowledged} were acknowledged, {stored} are there"
                );
                *acknowledged = stored;
            }
        });
    }
    assert_sound(&path);
    newest.values().sum()
}

/// Starts the writers, kills them after so many acknowledgements, and notes the newest of each run.
fn kill_after(until: u64, path: &Path, newest: &mut BTreeMap<u32, u64>) {
    let mut child = second("kills::nothing_acknowledged_is_lost", path).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    for line in lines {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("acknowledged") {
            continue;
        }
        // The last line may be torn by the kill; then it has no end mark, and nobody has heard of it.
        let (Some(number), Some(seq), Some(".")) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        newest.insert(number.parse().unwrap(), seq.parse().unwrap());
        count += 1;
        if count == until {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(count >= until, "the writers ended by themselves: {status}");
}

async fn append_for_ever(path: &Path) {
    let store = Arc::new(SqliteStore::open(path).unwrap());
    println!();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for seq in whole_steps(&store, run(number)).await + 1.. {
                store.commit(run(number), step(run(number), seq)).await.unwrap();
                println!("acknowledged {number} {seq} .");
            }
        });
    }
    writers.join_all().await;
}
