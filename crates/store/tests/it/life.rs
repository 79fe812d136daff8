//! A store's life: made private, opened by several, closed, and bounded in what it takes.

use crate::scene::{go_to, place, whole_steps};
use maestria_kernel::{
    At,
    port::{Batch, Once, Sent, Store as _, StoreError},
};
use maestria_store::SqliteStore;
use maestria_testkit::store::{batch, log_of, run, said};
use std::{os::unix::fs::PermissionsExt as _, sync::Arc};
use tokio::task::JoinSet;

#[tokio::test]
async fn what_it_makes_is_private() {
    let (folder, _) = place();
    let path = folder.path().join("data/maestria/store.db");
    let store = SqliteStore::open(&path).unwrap();
    go_to(&store, run(1), 2).await.unwrap();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// As several programs do at once on a new machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_made_once_by_many_openers() {
    let (_folder, path) = place();
    let mut openers = JoinSet::new();
    for number in 0..8 {
        let path = path.clone();
        openers.spawn(async move {
            let store = tokio::task::spawn_blocking(move || SqliteStore::open(path))
                .await
                .unwrap()
                .unwrap();
            go_to(&store, run(number), 20).await.unwrap();
            store
        });
    }
    let stores = openers.join_all().await;
    for store in &stores {
        for number in 0..8 {
            assert_eq!(whole_steps(store, run(number)).await, 20);
        }
    }
}

#[tokio::test]
async fn closing_keeps_what_was_asked_before_and_takes_nothing_after() {
    let (_folder, path) = place();
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let mut asked = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        asked.spawn(async move { (number, go_to(&store, run(number), 1).await) });
    }
    let (_, first) = asked.join_next().await.unwrap().unwrap();
    assert_eq!(first, Ok(()));
    store.close().await;
    let answers: Vec<(u32, Result<(), StoreError>)> = asked.join_all().await;
    assert_eq!(
        store.commit(run(99), batch(0, [said("late")])).await,
        Err(StoreError::Closed)
    );
    assert_eq!(store.runs().await, Err(StoreError::Closed));
    store.close().await;
    let again = SqliteStore::open(&path).unwrap();
    for (number, answer) in answers {
        let stored = whole_steps(&again, run(number)).await;
        assert!(
            answer == Err(StoreError::Closed) || stored == 1,
            "run {number}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn the_key_of_a_submission_outlives_its_process() {
    let (_folder, path) = place();
    let once = Once {
        key: "a".to_owned(),
        request: "what".to_owned(),
        until: At(i64::MAX),
    };
    let submission = || Batch {
        once: Some(once.clone()),
        ..batch(0, [said("first")])
    };
    let store = SqliteStore::open(&path).unwrap();
    store.commit(run(1), submission()).await.unwrap();
    store.close().await;
    let again = SqliteStore::open(&path).unwrap();
    let sent = Sent {
        request: "what".to_owned(),
        run: run(1),
    };
    assert_eq!(
        again.commit(run(2), submission()).await,
        Err(StoreError::Repeated(sent.clone()))
    );
    assert_eq!(again.sent("a".to_owned(), At(0)).await, Ok(Some(sent)));
}

/// Keys that have ended do not pile up.
#[tokio::test]
async fn keys_that_have_ended_are_swept() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    for number in 0..100 {
        let mut batch = batch(0, [said("first")]);
        batch.once = Some(Once {
            key: number.to_string(),
            request: String::new(),
            until: batch.events[0].at,
        });
        store.commit(run(number), batch).await.unwrap();
    }
    store.close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    let left: u32 = connection
        .query_row("SELECT count(*) FROM sent", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1, "the newest, which nothing came after");
}

/// A request beyond all measure is refused alone.
#[tokio::test]
async fn what_is_too_large_is_refused_alone() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let refused = store
        .commit(run(1), batch(0, [said("x".repeat(65 << 20))]))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("66 MiB at once; 64 are the most"),
        "{refused}"
    );
    assert_eq!(log_of(&store, run(1)).await, []);
    go_to(&store, run(1), 1).await.unwrap();
}

/// A database from before the feed: its events get numbers when it is opened, and new ones come after them.
#[tokio::test]
async fn events_of_an_older_schema_join_the_feed() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    for number in 1..=2 {
        store
            .commit(run(number), batch(0, [said("a"), said("b")]))
            .await
            .unwrap();
    }
    store.close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP INDEX runs_by_birth; ALTER TABLE inbox DROP COLUMN key; ALTER TABLE inbox DROP COLUMN request; ALTER TABLE inbox DROP COLUMN until;
             DROP INDEX events_own_calls; DROP TABLE asked; DROP TABLE sent; DROP TABLE feed; DROP VIEW agents; DROP VIEW violations; DROP VIEW decisions; DROP VIEW reviews;
             DROP VIEW model_metrics; DROP VIEW model_usage; DROP VIEW workflows; DROP VIEW tasks;
             ALTER TABLE gateway_calls DROP COLUMN trace; ALTER TABLE gateway_calls DROP COLUMN waited_millis;
             ALTER TABLE gateway_calls DROP COLUMN finish; ALTER TABLE gateway_calls DROP COLUMN operation;
             ALTER TABLE gateway_calls DROP COLUMN door; PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(&path).unwrap();
    store.commit(run(1), batch(2, [said("c")])).await.unwrap();
    let told = store.feed(0, 100).await.unwrap();
    let places: Vec<_> = told.iter().map(|t| (t.number, t.run, t.stored.seq.0)).collect();
    assert_eq!(
        places,
        [
            (1, run(1), 1),
            (2, run(1), 2),
            (3, run(2), 1),
            (4, run(2), 2),
            (5, run(1), 3)
        ]
    );
}
