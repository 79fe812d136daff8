//! Keys of requests: whatever is sent under one is stored once.

use super::{batch, log_of, run, said};
use maestria_kernel::{
    At, RunId,
    port::{Batch, Once, Sent, Store, StoreError},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

/// A run's first batch, sent under a key.
fn submission(text: &str, key: &str, until: At) -> Batch {
    keyed(0, text, key, until)
}

/// A batch after event number `after`, sent under a key.
fn keyed(after: u64, text: &str, key: &str, until: At) -> Batch {
    let once = Once {
        key: key.to_owned(),
        request: text.to_owned(),
        until,
    };
    Batch {
        once: Some(once),
        ..batch(after, [said(text)])
    }
}

/// When the events of [`submission`] happen, and a while later.
fn moments() -> (At, At) {
    let at = batch(0, [said("")]).events[0].at;
    (at, At(at.0 + 1000))
}

fn sent(text: &str, id: RunId) -> Sent {
    Sent {
        request: text.to_owned(),
        run: id,
    }
}

/// It is told what became of the first; the second leaves nothing behind.
pub async fn a_key_stands_for_one_submission_until_it_ends(store: Arc<dyn Store>) {
    let (now, later) = moments();
    let stands_for = async |key: &str, at| store.sent(key.to_owned(), at).await.unwrap();
    assert_eq!(stands_for("a", now).await, None);
    store.commit(run(1), submission("one", "a", later)).await.unwrap();
    store.commit(run(2), submission("two", "b", now)).await.unwrap();
    assert_eq!(
        store.commit(run(3), submission("three", "a", later)).await,
        Err(StoreError::Repeated(sent("one", run(1))))
    );
    assert_eq!(log_of(&*store, run(3)).await, []);
    assert_eq!(stands_for("a", now).await, Some(sent("one", run(1))));
    assert_eq!(stands_for("a", later).await, None, "it has ended by then");
    assert_eq!(stands_for("b", now).await, None, "this one has ended by now");
    store.commit(run(4), submission("four", "b", later)).await.unwrap();
    assert_eq!(stands_for("b", now).await, Some(sent("four", run(4))));
}

/// A batch that is refused leaves its key free.
pub async fn a_key_goes_with_its_batch(store: Arc<dyn Store>) {
    let (now, later) = moments();
    store.commit(run(1), batch(0, [said("first")])).await.unwrap();
    let refused = store.commit(run(1), submission("second", "a", later)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.sent("a".to_owned(), now).await.unwrap(), None);
    store.commit(run(2), submission("third", "a", later)).await.unwrap();
}

/// Whichever batch of a run came with it; nothing of the second is stored, whatever it is and whosever.
pub async fn a_key_makes_an_action_on_a_run_happen_once(store: Arc<dyn Store>) {
    let (now, later) = moments();
    store.commit(run(1), submission("begin", "a", later)).await.unwrap();
    store.commit(run(1), keyed(1, "act", "b", later)).await.unwrap();
    for (id, after, text) in [(run(1), 2, "act"), (run(1), 2, "act otherwise"), (run(2), 0, "act")] {
        let before = log_of(&*store, id).await;
        assert_eq!(
            store.commit(id, keyed(after, text, "b", later)).await,
            Err(StoreError::Repeated(sent("act", run(1))))
        );
        assert_eq!(log_of(&*store, id).await, before);
    }
    assert_eq!(
        store.sent("b".to_owned(), now).await.unwrap(),
        Some(sent("act", run(1)))
    );
    store.commit(run(1), keyed(2, "act", "c", later)).await.unwrap();
    assert_eq!(log_of(&*store, run(1)).await.len(), 3);
}

/// Whoever loses is told who has won.
pub async fn of_submissions_at_once_under_one_key_one_is_stored(store: Arc<dyn Store>) {
    let (_, later) = moments();
    let mut writers = JoinSet::new();
    for number in 0..32 {
        let store = store.clone();
        writers.spawn(async move {
            match store.commit(run(number), submission("the same", "a", later)).await {
                Err(StoreError::Repeated(sent)) => sent.run,
                stored => {
                    stored.unwrap();
                    run(number)
                }
            }
        });
    }
    let told: BTreeSet<RunId> = writers.join_all().await.into_iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(store.newest().await.unwrap(), 1, "one event was stored");
}
