//! Decisions among all: whose they are, and in which order people look at them.

use super::{batch, run};
use maestria_kernel::{
    At, DecisionId, Event,
    decision::{About, Answer, Choice, Decision},
    port::{Asked, Store},
};
use std::sync::Arc;
use uuid::Uuid;

fn id(number: u32) -> DecisionId {
    DecisionId::new(Uuid::from_u128(u128::from(number)))
}

fn requested(number: u32, expires_at: i64) -> Event {
    Event::DecisionRequested {
        decision: Box::new(Decision {
            id: id(number),
            about: About::Planning,
            question: "?".to_owned(),
            context: String::new(),
            options: Vec::new(),
            recommended: Choice::Retry,
            expires_at: At(expires_at),
            on_expiry: Choice::Stop,
            answer: None,
            used_at: None,
        }),
    }
}

fn made(number: u32) -> Event {
    let answer = Answer {
        choice: Choice::Retry,
        by: "somebody".to_owned(),
        because: String::new(),
        at: At(0),
    };
    Event::DecisionMade {
        decision: id(number),
        answer,
    }
}

/// Open ones by when they expire, then the others, the newest answer first; from any place on, and either kind alone.
pub async fn decisions_are_found_in_the_order_people_look_at_them(store: Arc<dyn Store>) {
    let first = [requested(1, 30), requested(2, 10), requested(3, 20)];
    store.commit(run(1), batch(0, first)).await.unwrap();
    let withdrawn = Event::DecisionWithdrawn {
        decision: id(6),
        because: String::new(),
    };
    // The later its number in the run, the later it happens.
    let second = [requested(4, 10), requested(5, 40), requested(6, 5), made(5), withdrawn];
    store.commit(run(2), batch(0, second)).await.unwrap();
    store.commit(run(1), batch(3, [made(1)])).await.unwrap();
    let list = async |closed, after, limit| store.asked(closed, after, limit).await.unwrap();
    let numbers = |asked: &[Asked]| -> Vec<DecisionId> { asked.iter().map(|one| one.decision).collect() };
    let all = list(None, None, 100).await;
    assert_eq!(numbers(&all), [2, 4, 3, 6, 1, 5].map(id));
    assert!(
        all.windows(2).all(|pair| pair[0] < pair[1]),
        "it is the order of the places: {all:?}"
    );
    assert_eq!(numbers(&list(Some(false), None, 100).await), [2, 4, 3].map(id));
    assert_eq!(numbers(&list(Some(true), None, 100).await), [6, 1, 5].map(id));
    for place in 0..all.len() {
        assert_eq!(
            list(None, Some(all[place]), 2).await,
            all[place + 1..].iter().copied().take(2).collect::<Vec<_>>()
        );
    }
    assert_eq!(
        list(Some(true), Some(all[0]), 1).await,
        [all[3]],
        "from another kind's place on"
    );
    assert_eq!(store.asker(id(5)).await.unwrap(), Some(run(2)));
    assert_eq!(store.asker(id(7)).await.unwrap(), None);
}
