//! Debts: effects owed by events, settled by what their results lead to, in the same commit.

use super::{batch, log_of, run, said};
use maestria_kernel::{At, EffectId, Seq, effect::Effect, port::Store};
use std::sync::Arc;

fn debt(seq: u64, index: u16) -> EffectId {
    EffectId { seq: Seq(seq), index }
}

/// An event and what it owes are there together.
pub async fn what_is_owed_comes_with_its_events(store: Arc<dyn Store>) {
    let owed = vec![(debt(1, 0), Effect::Prepare), (debt(1, 1), Effect::Wake { at: At(-1) })];
    let mut first = batch(0, [said("owes two")]);
    first.owed.clone_from(&owed);
    store.commit(run(1), first).await.unwrap();
    assert_eq!(store.owed(run(1)).await.unwrap(), owed);
    assert_eq!(log_of(&*store, run(1)).await.len(), 1);
}

/// A result, the next debt and the end of the former one are one commit.
pub async fn what_is_settled_goes_with_its_events(store: Arc<dyn Store>) {
    let mut first = batch(0, [said("owes")]);
    first.owed = vec![(debt(1, 0), Effect::Prepare)];
    store.commit(run(1), first).await.unwrap();
    let mut second = batch(1, [said("settles and owes")]);
    second.settled = vec![debt(1, 0)];
    second.owed = vec![(debt(2, 0), Effect::Plan)];
    store.commit(run(1), second).await.unwrap();
    assert_eq!(store.owed(run(1)).await.unwrap(), [(debt(2, 0), Effect::Plan)]);
    // A result that leads to no event.
    let mut third = batch(2, []);
    third.settled = vec![debt(2, 0)];
    store.commit(run(1), third).await.unwrap();
    assert_eq!(store.owed(run(1)).await.unwrap(), []);
    assert_eq!(log_of(&*store, run(1)).await.len(), 2);
}

/// After a crash the same result may come twice; so may the word that it came.
pub async fn settling_twice_does_no_harm(store: Arc<dyn Store>) {
    let mut first = batch(0, [said("owes two")]);
    first.owed = vec![(debt(1, 0), Effect::Prepare), (debt(1, 1), Effect::Plan)];
    store.commit(run(1), first).await.unwrap();
    for _ in 0..2 {
        let mut settling = batch(1, []);
        settling.settled = vec![debt(1, 0), debt(9, 9)];
        store.commit(run(1), settling).await.unwrap();
    }
    assert_eq!(store.owed(run(1)).await.unwrap(), [(debt(1, 1), Effect::Plan)]);
}

/// By the event, then by the place; as numbers, not as words.
pub async fn what_is_owed_is_in_order(store: Arc<dyn Store>) {
    let expected: Vec<(EffectId, Effect)> = [(1, 0), (2, 0), (2, 2), (2, 10), (10, 0), (11, u16::MAX)]
        .map(|(seq, index)| (debt(seq, index), Effect::Validate))
        .into();
    let mut first = batch(0, (0..11).map(|n| said(n.to_string())));
    first.owed = expected.iter().rev().cloned().collect();
    store.commit(run(1), first).await.unwrap();
    assert_eq!(store.owed(run(1)).await.unwrap(), expected);
}

/// The debts of all runs together.
pub async fn all_that_is_owed_is_counted(store: Arc<dyn Store>) {
    assert_eq!(store.debts().await.unwrap(), 0);
    for number in 1..=3 {
        let mut first = batch(0, [said("owes two")]);
        first.owed = vec![(debt(1, 0), Effect::Prepare), (debt(1, 1), Effect::Plan)];
        store.commit(run(number), first).await.unwrap();
    }
    assert_eq!(store.debts().await.unwrap(), 6);
    let mut settling = batch(1, []);
    settling.settled = vec![debt(1, 0)];
    store.commit(run(2), settling).await.unwrap();
    assert_eq!(store.debts().await.unwrap(), 5);
}
