//! Databases that cannot be opened: each refusal names the file and what to do, and leaves every byte as it was.

use crate::scene::{beside, go_to, place, whole_steps};
use maestria_kernel::port::{Store as _, StoreError};
use maestria_store::SqliteStore;
use maestria_testkit::store::run;
use rusqlite::Connection;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

const SOON: Duration = Duration::from_millis(200);

/// A database with steps in it, closed.
async fn filled(steps: u64) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    go_to(&store, run(1), steps).await.unwrap();
    store.close().await;
    (folder, path)
}

/// Has everything in the database file itself, so that damaging the file damages what was stored.
fn without_log(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
}

/// What SQLite shares between processes is rebuilt whenever it is needed, and an empty log is none.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_none_or(|end| end != "db-shm"))
        .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}

/// Opening fails, says where and what to do, and changes nothing.
fn refusal(path: &Path) -> StoreError {
    let before = contents(path.parent().unwrap());
    let length = fs::metadata(path).map_or(0, |found| found.len());
    let Err(error) = SqliteStore::open_within(path, SOON) else {
        panic!("{} ({length} bytes) was opened", path.display());
    };
    assert!(
        contents(path.parent().unwrap()) == before,
        "something was changed: {error}"
    );
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains(';'), "what to do is missing: {text}");
    error
}

fn assert_damaged(path: &Path, word: &str) {
    let error = refusal(path);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(word), "{error}");
}

#[tokio::test]
async fn of_a_newer_version() {
    let (_folder, path) = filled(3).await;
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("upgrade maestria"), "{error}");
}

#[tokio::test]
async fn with_an_event_of_a_newer_version() {
    let (_folder, path) = filled(3).await;
    let connection = Connection::open(&path).unwrap();
    connection
        .execute("UPDATE events SET version = 77 WHERE seq = 2", [])
        .unwrap();
    connection
        .execute("UPDATE events SET kind = 'task.teleported' WHERE seq = 3", [])
        .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    for (after, kind) in [(1, "task.said"), (2, "task.teleported")] {
        let error = store.events(run(1), maestria_kernel::Seq(after), 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { .. }), "{error:?}");
        assert!(
            error.to_string().contains(kind) && error.to_string().contains("upgrade"),
            "{error}"
        );
    }
}

#[test]
fn of_another_program() {
    let (_folder, path) = place();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE photos (name TEXT)")
        .unwrap();
    assert_eq!(
        refusal(&path),
        StoreError::Foreign {
            path: path.display().to_string()
        }
    );
}

#[test]
fn that_are_no_databases() {
    for bytes in [
        &b"not a database, just words\n".repeat(900)[..],
        b"x",
        &[0; 8192],
        &[0xff; 100_000],
    ] {
        let (_folder, path) = place();
        fs::write(&path, bytes).unwrap();
        assert_damaged(&path, "not a database");
    }
}

#[tokio::test]
async fn with_a_garbled_header() {
    let (_folder, path) = filled(50).await;
    without_log(&path);
    let sound = fs::read(&path).unwrap();
    for place in [0, 16, 18] {
        let mut bytes = sound.clone();
        bytes[place..place + 2].copy_from_slice(&[0xde, 0xad]);
        fs::write(&path, &bytes).unwrap();
        assert_damaged(&path, "move it aside");
    }
    fs::write(&path, sound).unwrap();
    assert_eq!(whole_steps(&SqliteStore::open(&path).unwrap(), run(1)).await, 50);
}

#[tokio::test]
async fn that_were_cut() {
    let (_folder, path) = filled(200).await;
    without_log(&path);
    let whole = fs::metadata(&path).unwrap().len();
    for length in [whole - 4096, whole / 2, 4096, 100, 1] {
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length)
            .unwrap();
        assert_damaged(&path, "move it aside");
    }
}

/// SQLite itself would throw the log away, and with it what was acknowledged last.
#[tokio::test]
async fn that_are_gone_while_their_log_is_there() {
    let (_folder, path) = filled(5).await;
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    assert_damaged(&path, "its log is there");
    fs::write(&path, "").unwrap();
    assert_damaged(&path, "its log is there");
    fs::rename(&aside, &path).unwrap();
    assert_eq!(whole_steps(&SqliteStore::open(&path).unwrap(), run(1)).await, 5);
}

/// Pages in the middle are read only when they are needed: what makes no sense is an error then, never a panic.
#[tokio::test]
async fn damage_within_is_found_when_it_is_read() {
    let (_folder, path) = filled(2_000).await;
    without_log(&path);
    let sound = fs::read(&path).unwrap();
    let mut found = 0;
    for seed in 1..=20_u64 {
        let mut bytes = sound.clone();
        for number in 0..200_u64 {
            let random = (seed * 1_000 + number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            // Behind the header, which is tried elsewhere.
            let place = 4096 + (random >> 20) as usize % (bytes.len() - 4096);
            bytes[place] ^= (random as u8) | 1;
        }
        fs::write(&path, &bytes).unwrap();
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&path, end));
        }
        found += u32::from(meets_damage(&path).await);
    }
    assert!(found >= 15, "only {found} of 20 damaged databases were noticed");
}

async fn meets_damage(path: &Path) -> bool {
    let store = match SqliteStore::open(path) {
        Ok(store) => store,
        Err(error) => return matches!(error, StoreError::Damaged { .. }),
    };
    let read = store.events(run(1), maestria_kernel::Seq(0), u32::MAX).await;
    let owed = store.owed(run(1)).await;
    let written = go_on(&store).await;
    store.close().await;
    let errors: Vec<StoreError> = [read.err(), owed.err(), written.err()].into_iter().flatten().collect();
    for error in &errors {
        let known = matches!(
            error,
            StoreError::Damaged { .. } | StoreError::Newer { .. } | StoreError::Conflict { .. }
        );
        assert!(known, "{error:?}");
    }
    !errors.is_empty()
}

async fn go_on(store: &SqliteStore) -> Result<(), StoreError> {
    store.commit(run(1), crate::scene::step(run(1), 2_001)).await
}

#[tokio::test]
async fn that_another_program_holds() {
    let (_folder, path) = filled(3).await;
    let browser = Connection::open(&path).unwrap();
    browser.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    browser.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = StoreError::Locked {
        path: path.display().to_string(),
    };
    assert_eq!(refusal(&path), locked);
    drop(browser);
    assert_eq!(whole_steps(&SqliteStore::open(&path).unwrap(), run(1)).await, 3);
}

/// A lock met later is heard of, and is over when it is over; reading goes on meanwhile.
#[tokio::test]
async fn a_lock_met_at_work_passes() {
    let (_folder, path) = filled(3).await;
    let store = SqliteStore::open_within(&path, SOON).unwrap();
    let backup = Connection::open(&path).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = go_to(&store, run(1), 4).await;
    assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
    assert_eq!(whole_steps(&store, run(1)).await, 3);
    backup.execute_batch("ROLLBACK").unwrap();
    go_to(&store, run(1), 4).await.unwrap();
    assert_eq!(whole_steps(&store, run(1)).await, 4);
}

/// Even a test that runs as root gets no as an answer.
fn without_privileges() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE);
    set_capabilities(None, sets).unwrap();
}

fn assert_unwritable(path: &Path) {
    let error = refusal(path);
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error:?}");
}

#[tokio::test]
async fn without_the_right_to_write() {
    let (folder, path) = filled(3).await;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    without_privileges();
    set(&path, 0o400);
    assert_unwritable(&path);
    set(&path, 0o000);
    assert_unwritable(&path);
    set(&path, 0o600);
    without_log(&path);
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&path, end));
    }
    set(folder.path(), 0o500);
    assert_unwritable(&path);
    assert_unwritable(&folder.path().join("new.db"));
    set(folder.path(), 0o700);
    assert_eq!(whole_steps(&SqliteStore::open(&path).unwrap(), run(1)).await, 3);
}

#[test]
fn in_impossible_places() {
    let (folder, path) = place();
    fs::create_dir(&path).unwrap();
    assert_unwritable(&path);
    fs::write(folder.path().join("file"), "").unwrap();
    let below = SqliteStore::open(folder.path().join("file/store.db")).unwrap_err();
    assert!(matches!(below, StoreError::Unwritable { .. }), "{below:?}");
}
