//! Power cuts, on the bytes: of what was written after the last flush, any sector may be there, missing, or garbage.
//! What was acknowledged before the flush returned is there all the same.

use crate::scene::{beside, go_to, place, whole_steps};
use maestria_store::SqliteStore;
use maestria_testkit::store::run;
use std::{fs, path::Path};

/// Steps acknowledged before the power goes, and those written but not flushed when it does.
const FLUSHED: u64 = 40;
const UNFLUSHED: u64 = 40;

const CUTS: u64 = 150;
const SECTOR: usize = 512;

struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

fn files(path: &Path) -> Files {
    Files {
        database: fs::read(path).unwrap(),
        log: fs::read(beside(path, "-wal")).unwrap(),
    }
}

#[tokio::test]
async fn what_was_flushed_survives_torn_sectors() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    go_to(&store, run(1), FLUSHED).await.unwrap();
    let flushed = files(&path);
    go_to(&store, run(1), FLUSHED + UNFLUSHED).await.unwrap();
    let written = files(&path);
    store.close().await;
    assert!(flushed.database == written.database, "everything so far is in the log");
    let mut lossy = 0;
    for seed in 1..=CUTS {
        let found = after_cut(&flushed, &written, seed).await;
        assert!(
            found >= FLUSHED,
            "cut {seed}: {FLUSHED} were acknowledged, {found} are there"
        );
        lossy += u32::from(found < FLUSHED + UNFLUSHED);
    }
    // Had the later steps been acknowledged without a flush, these cuts would have shown it.
    assert!(
        u64::from(lossy) > CUTS / 2,
        "only {lossy} of {CUTS} cuts lost anything: they are too kind"
    );
}

async fn after_cut(flushed: &Files, written: &Files, seed: u64) -> u64 {
    let (_folder, path) = place();
    fs::write(&path, &flushed.database).unwrap();
    fs::write(beside(&path, "-wal"), torn(&flushed.log, &written.log, seed)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let found = whole_steps(&store, run(1)).await;
    go_to(&store, run(1), found + 3).await.unwrap();
    store.close().await;
    let found_again = whole_steps(&SqliteStore::open(&path).unwrap(), run(1)).await;
    // More, when a step that was lost is written again byte for byte: then what followed it in the log fits again.
    assert!(
        found_again >= found + 3,
        "cut {seed}: {found_again} after {found} and 3 more"
    );
    found
}

/// The log as the disk may have it: each sector that differs is the old one, the new one, or neither.
fn torn(old: &[u8], new: &[u8], seed: u64) -> Vec<u8> {
    let mut random = seed;
    let mut log = new.to_vec();
    for (place, sector) in log.chunks_mut(SECTOR).enumerate() {
        let from = place * SECTOR;
        let mut before = vec![0; sector.len()];
        let kept = old.get(from..old.len().min(from + sector.len())).unwrap_or_default();
        before[..kept.len()].copy_from_slice(kept);
        if before == sector {
            continue;
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Some cuts lose nearly everything, some nearly nothing.
        match (random >> 33) % (2 + seed % 60) {
            0 => sector.copy_from_slice(&before),
            // Only what the flushed log does not share a sector with can turn into garbage.
            1 if before.iter().all(|byte| *byte == 0) => sector.fill(random as u8),
            _ => {}
        }
    }
    log
}
