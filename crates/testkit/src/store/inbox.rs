//! The inbox: commands left by other processes for whoever drives the run.

use super::{batch, run, said};
use maestria_kernel::{
    At,
    command::Command,
    port::{Batch, Once, Posted, Store},
};
use std::sync::Arc;

fn pause(by: &str) -> Command {
    Command::Pause { by: by.to_owned() }
}

/// Numbered from 1 in each run, shown in that order until answered.
pub async fn commands_wait_in_order(store: Arc<dyn Store>) {
    for (number, by) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(store.post(run(1), pause(by), None).await.unwrap(), number);
    }
    assert_eq!(store.post(run(2), pause("elsewhere"), None).await.unwrap(), 1);
    store.answer(run(1), 2, None).await.unwrap();
    let waiting = |number, by| Posted {
        number,
        command: pause(by),
        once: None,
    };
    assert_eq!(store.inbox(run(1)).await.unwrap(), [waiting(1, "a"), waiting(3, "c")]);
    assert_eq!(store.inbox(run(2)).await.unwrap(), [waiting(1, "elsewhere")]);
    store.answer(run(1), 3, None).await.unwrap();
    // The number of an answered command is not given to another one.
    assert_eq!(store.post(run(1), pause("d"), None).await.unwrap(), 4);
}

/// Taken or refused, and why; a driver that answers again after a crash does not change it.
pub async fn the_first_answer_stands(store: Arc<dyn Store>) {
    let taken = store.post(run(1), pause("a"), None).await.unwrap();
    let refused = store.post(run(1), pause("b"), None).await.unwrap();
    assert_eq!(store.answered(run(1), taken).await.unwrap(), None);
    store.answer(run(1), taken, None).await.unwrap();
    store
        .answer(run(1), refused, Some("it is paused".to_owned()))
        .await
        .unwrap();
    store.answer(run(1), taken, Some("too late".to_owned())).await.unwrap();
    store.answer(run(1), refused, None).await.unwrap();
    assert_eq!(store.answered(run(1), taken).await.unwrap(), Some(Ok(())));
    let because = Some(Err("it is paused".to_owned()));
    assert_eq!(store.answered(run(1), refused).await.unwrap(), because);
    assert_eq!(store.inbox(run(1)).await.unwrap(), []);
}

/// So that whoever takes it stores both together.
pub async fn a_command_waits_with_its_key(store: Arc<dyn Store>) {
    let once = Once {
        key: "key".to_owned(),
        request: "request".to_owned(),
        until: At(i64::MAX),
    };
    store.post(run(1), pause("a"), Some(once.clone())).await.unwrap();
    store.post(run(1), pause("a"), None).await.unwrap();
    let waiting = store.inbox(run(1)).await.unwrap();
    let keys: Vec<_> = waiting.into_iter().map(|posted| posted.once).collect();
    assert_eq!(keys, [Some(once), None]);
    assert_eq!(
        store.sent("key".to_owned(), At(0)).await.unwrap(),
        None,
        "nothing is done yet"
    );
}

/// Both or neither: whoever reads the inbox after a crash finds what was not done, and nothing else.
pub async fn a_command_is_answered_with_its_events(store: Arc<dyn Store>) {
    let taken = store.post(run(1), pause("a"), None).await.unwrap();
    let left = store.post(run(1), pause("b"), None).await.unwrap();
    let answering = |after, number| Batch {
        answered: Some(number),
        ..batch(after, [said("paused")])
    };
    store.commit(run(1), answering(0, taken)).await.unwrap();
    assert!(store.commit(run(1), answering(0, left)).await.is_err(), "a conflict");
    assert_eq!(store.answered(run(1), taken).await.unwrap(), Some(Ok(())));
    assert_eq!(store.answered(run(1), left).await.unwrap(), None);
    let waiting: Vec<u64> = store
        .inbox(run(1))
        .await
        .unwrap()
        .iter()
        .map(|posted| posted.number)
        .collect();
    assert_eq!(waiting, [left]);
    store.answer(run(1), taken, Some("too late".to_owned())).await.unwrap();
    assert_eq!(store.answered(run(1), taken).await.unwrap(), Some(Ok(())));
}

/// Numbers that were never given.
pub async fn an_answer_to_nothing_does_no_harm(store: Arc<dyn Store>) {
    let number = store.post(run(1), pause("a"), None).await.unwrap();
    for (id, unknown) in [(run(1), 0), (run(1), 99), (run(1), u64::MAX), (run(2), number)] {
        store.answer(id, unknown, None).await.unwrap();
        assert_eq!(store.answered(id, unknown).await.unwrap(), None);
    }
    assert_eq!(store.inbox(run(1)).await.unwrap().len(), 1);
}
