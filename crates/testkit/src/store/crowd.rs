//! Many callers at once.

use super::{batch, log_of, run, said};
use maestria_kernel::{
    EffectId, Event, Seq,
    command::Command,
    effect::Effect,
    port::{Store, StoreError},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

/// Writers that all want the next place: each event is there once, at the place that was acknowledged.
pub async fn writers_of_one_run_exclude_each_other(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut newest = 0;
            let mut acknowledged = Vec::new();
            for number in 0..EACH {
                let text = format!("{writer} says {number}");
                newest = append(&*store, newest, &text).await;
                acknowledged.push((newest, said(text)));
            }
            acknowledged
        });
    }
    let mut expected: Vec<(u64, Event)> = writers.join_all().await.into_iter().flatten().collect();
    expected.sort_by_key(|(seq, _)| *seq);
    let found: Vec<(u64, Event)> = log_of(&*store, run(1))
        .await
        .into_iter()
        .map(|s| (s.seq.0, s.event))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(found.len() as u64, WRITERS * EACH);
}

/// Appends behind whatever is newest and says where.
async fn append(store: &dyn Store, mut newest: u64, text: &str) -> u64 {
    loop {
        match store.commit(run(1), batch(newest, [said(text)])).await {
            Ok(()) => return newest + 1,
            Err(StoreError::Conflict { found, .. }) => newest = found.0,
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// More callers than are served at once, each on a run of its own; who has gone away meanwhile does no harm.
pub async fn writers_of_many_runs_lose_nothing(store: Arc<dyn Store>) {
    const RUNS: u32 = 400;
    let mut writers = JoinSet::new();
    for number in 0..RUNS {
        let store = store.clone();
        writers.spawn(async move {
            for after in 0..5 {
                store
                    .commit(run(number), batch(after, [said(format!("{number}/{after}"))]))
                    .await
                    .unwrap();
            }
        });
    }
    for number in RUNS..RUNS + 50 {
        let store = store.clone();
        let gone = tokio::spawn(async move { store.commit(run(number), batch(0, [said("gone")])).await });
        gone.abort();
    }
    writers.join_all().await;
    for number in 0..RUNS {
        let texts = log_of(&*store, run(number))
            .await
            .into_iter()
            .map(|stored| stored.event);
        assert!(
            texts.eq((0..5).map(|after| said(format!("{number}/{after}")))),
            "run {number}"
        );
    }
    for number in RUNS..RUNS + 50 {
        assert!(log_of(&*store, run(number)).await.len() <= 1, "all of it or nothing");
    }
}

/// Batches of three events and one debt, read while they are written. What is acknowledged is seen at once.
pub async fn readers_see_whole_batches(store: Arc<dyn Store>) {
    const BATCHES: u64 = 100;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..BATCHES {
                let mut next = batch(number * 3, [said("a"), said("b"), said("c")]);
                let debt = |seq| EffectId {
                    seq: Seq(seq),
                    index: 0,
                };
                next.owed = vec![(debt(number * 3 + 3), Effect::Plan)];
                next.settled = vec![debt(number * 3)];
                store.commit(run(1), next).await.unwrap();
                assert_eq!(log_of(&*store, run(1)).await.len() as u64, number * 3 + 3);
            }
        })
    };
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        readers.spawn(async move {
            let mut before = 0;
            while before < BATCHES * 3 {
                let log = log_of(&*store, run(1)).await;
                let length = log.len() as u64;
                assert!(log.iter().map(|stored| stored.seq.0).eq(1..=length));
                assert!(
                    length.is_multiple_of(3) && length >= before,
                    "{length} events after {before}"
                );
                let owed = store.owed(run(1)).await.unwrap();
                assert!(
                    length == 0 || owed.len() == 1 && owed[0].0.seq.0 >= length,
                    "{length}: {owed:?}"
                );
                before = length;
                tokio::task::yield_now().await;
            }
        });
    }
    writing.await.unwrap();
    readers.join_all().await;
}

/// Posted at the same time, each gets a number of its own.
pub async fn commands_from_many_get_their_own_numbers(store: Arc<dyn Store>) {
    const SENDERS: u64 = 60;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let store = store.clone();
        let command = Command::Pause { by: sender.to_string() };
        senders.spawn(async move { (store.post(run(1), command.clone(), None).await.unwrap(), command) });
    }
    let given: Vec<(u64, Command)> = senders.join_all().await;
    let numbers: BTreeSet<u64> = given.iter().map(|(number, _)| *number).collect();
    assert!(numbers.into_iter().eq(1..=SENDERS));
    let waiting = store.inbox(run(1)).await.unwrap();
    assert_eq!(waiting.len(), given.len());
    for posted in waiting {
        assert!(given.contains(&(posted.number, posted.command)));
    }
}

/// The feed tells the events of all runs in one order, goes on from any number, and agrees with each run's own log.
pub async fn the_feed_has_every_event_once_in_the_order_of_commits(store: Arc<dyn Store>) {
    assert_eq!(store.newest().await.unwrap(), 0);
    for after in [0, 3, 6] {
        for number in 1..=4 {
            let events = (0..3).map(|n| said(format!("{number} says {}", after + n)));
            store.commit(run(number), batch(after, events)).await.unwrap();
        }
    }
    let told = store.feed(0, u32::MAX).await.unwrap();
    assert_eq!(told.len(), 36);
    assert!(told.windows(2).all(|pair| pair[0].number < pair[1].number));
    assert_eq!(store.newest().await.unwrap(), told[35].number);
    let commits: Vec<_> = told
        .chunks(3)
        .map(|commit| (commit[0].run, commit[0].stored.seq))
        .collect();
    assert_eq!(
        commits[..5],
        [
            (run(1), Seq(1)),
            (run(2), Seq(1)),
            (run(3), Seq(1)),
            (run(4), Seq(1)),
            (run(1), Seq(4))
        ]
    );
    for place in 0..told.len() {
        let rest = store.feed(told[place].number, 5).await.unwrap();
        assert_eq!(rest, told[place + 1..].iter().take(5).cloned().collect::<Vec<_>>());
    }
    let own: Vec<_> = told.iter().filter(|told| told.run == run(2)).cloned().collect();
    assert_eq!(store.numbered(run(2), Seq(0), u32::MAX).await.unwrap(), own);
    assert_eq!(store.numbered(run(2), Seq(4), 2).await.unwrap(), own[4..6]);
    let log: Vec<_> = own.into_iter().map(|told| told.stored).collect();
    assert_eq!(log_of(&*store, run(2)).await, log);
}

/// Some kinds only, between any two numbers, also within a commit: what is left of the feed.
pub async fn the_feed_can_be_asked_for_some_kinds(store: Arc<dyn Store>) {
    for after in [0, 4, 8] {
        for number in 1..=3 {
            let events = [said("a"), Event::RunReady, said("b"), Event::RunDiscarded];
            store.commit(run(number), batch(after, events)).await.unwrap();
        }
    }
    let all = store.feed(0, u32::MAX).await.unwrap();
    let kinds: &[&str] = &["run.ready", "run.discarded"];
    for after in 0..=37 {
        for until in 0..=37 {
            let between = all.iter().filter(|told| after < told.number && told.number <= until);
            let wanted: Vec<_> = between
                .filter(|told| kinds.contains(&told.stored.event.kind()))
                .cloned()
                .collect();
            assert_eq!(
                store.told(kinds, after, until).await.unwrap(),
                wanted,
                "{after}..={until}"
            );
        }
    }
    assert_eq!(store.told(&[], 0, 100).await.unwrap(), []);
}
