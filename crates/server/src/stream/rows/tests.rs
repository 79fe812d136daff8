use super::Rows;
use maestria_kernel::{
    At, Cost, Event, RunId, Seq, Usage,
    port::{Batch, RunRow, Store as _, Stored},
};
use maestria_store::MemoryStore;
use std::sync::Arc;
use uuid::Uuid;

const HOUR: i64 = 3_600_000;

fn id(number: u128) -> RunId {
    RunId::new(Uuid::from_u128(number))
}

/// Stores an event of a run and its row with a cost.
async fn store(store: &MemoryStore, run: RunId, after: u64, born: i64, cost: i64) {
    store_as(store, run, after, (born, "executing"), cost).await;
}

/// The same in a state.
async fn store_as(store: &MemoryStore, run: RunId, after: u64, (born, state): (i64, &str), cost: i64) {
    let row = RunRow {
        id: run,
        state: state.to_owned(),
        text: String::new(),
        target: String::new(),
        workspace: String::new(),
        workflow: String::new(),
        percent: 0,
        usage: Usage {
            cost: Cost(cost),
            ..Usage::default()
        },
        decisions: 0,
        work: "pending".to_owned(),
        scripted: false,
        created_at: At(born),
        updated_at: At(born),
    };
    let event = Stored {
        seq: Seq(after + 1),
        at: At(born),
        event: Event::RunReady,
    };
    let batch = Batch {
        after: Seq(after),
        events: vec![event],
        row: Some(row),
        ..Batch::default()
    };
    store.commit(run, batch).await.unwrap();
}

#[tokio::test]
async fn what_another_process_stores_is_there_at_the_next_question() {
    let log = MemoryStore::new();
    let rows = Rows::new(Arc::new(log.clone()));
    assert_eq!(rows.newest().await.unwrap(), 0);
    store(&log, id(1), 0, 10, 5).await;
    store(&log, id(2), 0, 20, 7).await;
    let ids = rows.read(|kept| kept.newest_first().map(|row| row.id).collect::<Vec<_>>());
    assert_eq!(ids.await.unwrap(), [id(2), id(1)]);
    store(&log, id(1), 1, 10, 6).await;
    let told = rows.read(|kept| (kept.number(), kept.moved(id(1)), kept.moved(id(2)), kept.moved(id(3))));
    assert_eq!(told.await.unwrap(), (3, Some(3), Some(2), None));
    let older = rows.read(|kept| {
        kept.older_than(Some(id(2)))
            .map(|row| row.usage.cost)
            .collect::<Vec<_>>()
    });
    assert_eq!(older.await.unwrap(), [Cost(6)]);
}

#[tokio::test]
async fn many_who_ask_at_once_all_see_what_was_stored_before() {
    let log = MemoryStore::new();
    let rows = Arc::new(Rows::new(Arc::new(log.clone())));
    for number in 1..=200_u64 {
        store(&log, id(u128::from(number)), 0, 1, 1).await;
        let asking = (0..8).map(|_| {
            let rows = rows.clone();
            tokio::spawn(async move { rows.newest().await.unwrap() })
        });
        for newest in futures_util::future::join_all(asking).await {
            assert_eq!(newest.unwrap(), number);
        }
    }
}

#[tokio::test]
async fn the_days_spending_follows_the_runs_and_the_clock() {
    let log = MemoryStore::new();
    let rows = Rows::new(Arc::new(log.clone()));
    let spent = |now: i64| rows.read(move |kept| kept.spent_today(At(now)));
    let day = 100 * HOUR;
    store(&log, id(1), 0, day - 30 * HOUR, 1_000).await;
    store(&log, id(2), 0, day - 20 * HOUR, 200).await;
    store(&log, id(3), 0, day - HOUR, 30).await;
    assert_eq!(spent(day).await.unwrap(), Cost(230));
    store(&log, id(2), 1, day - 20 * HOUR, 250).await;
    store(&log, id(1), 1, day - 30 * HOUR, 9_000).await;
    assert_eq!(
        spent(day).await.unwrap(),
        Cost(280),
        "a run of the day before does not count, whatever it costs now"
    );
    assert_eq!(spent(day + 5 * HOUR).await.unwrap(), Cost(30));
    assert_eq!(spent(day + 30 * HOUR).await.unwrap(), Cost(0));
    assert_eq!(
        spent(day - 10 * HOUR).await.unwrap(),
        Cost(9_280),
        "the clock was set back"
    );
}

#[tokio::test]
async fn open_runs_and_totals_follow_each_change() {
    let log = MemoryStore::new();
    let rows = Rows::new(Arc::new(log.clone()));
    for (number, state) in [(1, "executing"), (2, "completed"), (3, "paused"), (4, "executing")] {
        store_as(&log, id(number), 0, (10, state), 5).await;
    }
    let open = async |from: Option<u128>| {
        let open = rows.read(|kept| kept.open(from.map(id)).map(|row| row.id).collect::<Vec<_>>());
        open.await.unwrap()
    };
    let totals = async || {
        let totals = rows.read(|kept| kept.totals().clone()).await.unwrap();
        let count = |state: &str| totals.states.get(state).copied().unwrap_or_default();
        (count("executing"), count("completed"), count("paused"), totals.cost)
    };
    assert_eq!(open(None).await, [id(4), id(3), id(1)]);
    assert_eq!(open(Some(3)).await, [id(3), id(1)], "from this run on");
    assert_eq!(open(Some(2)).await, [id(1)], "one that is not open is a place as good");
    assert_eq!(totals().await, (2, 1, 1, Cost(20)));
    store_as(&log, id(4), 1, (10, "completed"), 7).await;
    store_as(&log, id(2), 1, (10, "executing"), 4).await;
    assert_eq!(open(None).await, [id(3), id(2), id(1)]);
    assert_eq!(totals().await, (2, 1, 1, Cost(21)));
}
