use super::{Follower, MOST_KEPT, Tail, Wanted, takes_kind};
use maestria_kernel::{
    At, Event, RunId, Seq,
    port::{Batch, Store, Stored},
};
use maestria_store::MemoryStore;
use std::sync::Arc;
use uuid::Uuid;

fn run(number: u128) -> RunId {
    RunId::new(Uuid::from_u128(number))
}

async fn say(store: &MemoryStore, run: RunId, after: u64, times: u64) {
    let events = (after + 1..=after + times).map(|seq| Stored {
        seq: Seq(seq),
        at: At(1),
        event: Event::TaskSaid {
            task: None,
            text: format!("{seq}"),
        },
    });
    let batch = Batch {
        after: Seq(after),
        events: events.collect(),
        ..Batch::default()
    };
    store.commit(run, batch).await.unwrap();
}

async fn numbers(follower: &mut Follower) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(page) = follower.next().await.unwrap() {
        all.extend(page.iter().map(|told| told.number));
    }
    all
}

#[tokio::test]
async fn a_follower_loses_and_repeats_nothing_wherever_it_begins() {
    let store = MemoryStore::new();
    say(&store, run(1), 0, 10).await;
    let tail = Tail::open(Arc::new(store.clone()), false).await.unwrap();
    say(&store, run(2), 0, 10).await;
    tail.look().await.unwrap();
    for after in 0..=20 {
        let mut follower = Follower::new(tail.clone(), Wanted::default(), Some(after));
        assert_eq!(numbers(&mut follower).await, (after + 1..=20).collect::<Vec<_>>());
    }
    let mut from_now = Follower::new(tail.clone(), Wanted::default(), None);
    assert!(numbers(&mut from_now).await.is_empty());
    say(&store, run(1), 10, 1).await;
    tail.look().await.unwrap();
    from_now.wait().await;
    assert_eq!(numbers(&mut from_now).await, [21]);
}

#[tokio::test]
async fn a_follower_far_behind_catches_up_from_the_store() {
    let store = MemoryStore::new();
    let tail = Tail::open(Arc::new(store.clone()), false).await.unwrap();
    let mut slow = Follower::new(tail.clone(), Wanted::default(), None);
    let many = MOST_KEPT as u64 + 1000;
    for place in 0..many / 100 {
        say(&store, run(1), place * 100, 100).await;
    }
    say(&store, run(1), many / 100 * 100, many % 100).await;
    tail.look().await.unwrap();
    assert_eq!(tail.kept.read().unwrap().events.len(), MOST_KEPT);
    assert_eq!(numbers(&mut slow).await, (1..=many).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_what_is_wanted_is_told_and_the_rest_moves_the_reader_on() {
    let store = MemoryStore::new();
    let tail = Tail::open(Arc::new(store.clone()), false).await.unwrap();
    say(&store, run(1), 0, 5).await;
    say(&store, run(2), 0, 5).await;
    tail.look().await.unwrap();
    let wanted = Wanted {
        runs: vec![run(1)],
        kinds: vec!["task.*".to_owned()],
    };
    let mut follower = Follower::new(tail, wanted, Some(2));
    assert_eq!(numbers(&mut follower).await, [3, 4, 5]);
    assert_eq!(follower.at(), 10);
    let kinds = |kinds: &[&str]| kinds.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
    assert!(takes_kind(&kinds(&["run.*", "task.said"]), "task.said"));
    assert!(!takes_kind(&kinds(&["run.*", "task.sai"]), "task.said"));
    assert!(takes_kind(&[], "anything.else"));
}
