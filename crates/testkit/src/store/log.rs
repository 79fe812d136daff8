//! The log: appended to at its end only, read from anywhere.

use super::{batch, log_of, row, run, said};
use maestria_kernel::{
    At, Cost, DecisionId, EffectId, Event, RunId, Seq, Tokens, Usage,
    decision::{About, Answer, Choice, Decision, Opt},
    effect::Effect,
    port::{RunRow, Store, StoreError},
    state::{Phase, RunState},
};
use std::sync::Arc;
use uuid::Uuid;

/// Nothing is there before something was stored.
pub async fn a_new_run_is_empty(store: Arc<dyn Store>) {
    assert_eq!(log_of(&*store, run(1)).await, []);
    assert_eq!(store.owed(run(1)).await.unwrap(), []);
    assert_eq!(store.inbox(run(1)).await.unwrap(), []);
    assert_eq!(store.answered(run(1), 1).await.unwrap(), None);
    assert_eq!(store.runs().await.unwrap(), []);
}

/// Events of every shape: none but its kind, nested, with awkward characters.
pub async fn events_come_back_as_they_were(store: Arc<dyn Store>) {
    let first = batch(
        0,
        [
            said("plain"),
            said("“quotes”, \"quotes\", \\, \0, \u{1b}[31m, \u{2028}, 🦀, \u{fffd}"),
            Event::RunReady,
        ],
    );
    let second = batch(
        3,
        [
            Event::ModelCalled {
                task: None,
                model: "anthropic/some-model".to_owned(),
                usage: Usage {
                    input: Tokens(u64::MAX),
                    cached: Tokens(0),
                    output: Tokens(7),
                    cost: Cost(i64::MIN),
                },
                millis: 12,
                scripted: true,
                request: None,
            },
            Event::RunTransitioned {
                from: RunState::Active(Phase::Planning),
                to: RunState::Escalated(Phase::Planning),
                because: String::new(),
            },
        ],
    );
    let mut expected = first.events.clone();
    expected.extend(second.events.clone());
    store.commit(run(1), first).await.unwrap();
    store.commit(run(1), second).await.unwrap();
    assert_eq!(log_of(&*store, run(1)).await, expected);
}

/// Every place to go on from, every size of page.
pub async fn reading_goes_on_from_any_event(store: Arc<dyn Store>) {
    let whole = batch(0, (1..=20).map(|n| said(format!("number {n}")))).events;
    store
        .commit(run(1), batch(0, whole.iter().map(|s| s.event.clone())))
        .await
        .unwrap();
    for after in 0..=20 {
        for limit in [0, 1, 7, 19, 20, 21, u32::MAX] {
            let page = store.events(run(1), Seq(after), limit).await.unwrap();
            let until = whole.len().min(after as usize + limit as usize);
            assert_eq!(page, whole[after as usize..until], "{limit} events after {after}");
        }
    }
    for after in [21, u64::MAX] {
        assert_eq!(store.events(run(1), Seq(after), 1).await.unwrap(), []);
    }
}

/// Whoever does not know the newest event writes nothing at all, and hears what it is.
pub async fn a_batch_on_another_event_is_refused_whole(store: Arc<dyn Store>) {
    let id = run(1);
    let effect = EffectId { seq: Seq(2), index: 0 };
    let mut first = batch(0, [said("one"), said("two")]);
    first.owed = vec![(effect, Effect::Prepare)];
    store.commit(id, first).await.unwrap();
    let before = log_of(&*store, id).await;
    for after in [0, 1, 3, u64::MAX - 9] {
        let mut late = batch(after, [said("late")]);
        late.owed = vec![(EffectId { seq: Seq(3), index: 0 }, Effect::Plan)];
        late.settled = vec![effect];
        late.row = Some(row(id, 1));
        let refused = StoreError::Conflict {
            expected: Seq(after),
            found: Seq(2),
        };
        assert_eq!(store.commit(id, late).await, Err(refused));
        assert_eq!(log_of(&*store, id).await, before);
        assert_eq!(store.owed(id).await.unwrap(), [(effect, Effect::Prepare)]);
        assert_eq!(store.runs().await.unwrap(), []);
    }
    store.commit(id, batch(2, [said("three")])).await.unwrap();
}

/// Events are numbered without gaps, in order, each number once.
pub async fn a_batch_with_a_gap_is_refused_whole(store: Arc<dyn Store>) {
    for numbers in [[2, 3, 4], [1, 3, 4], [1, 2, 2], [3, 2, 1], [0, 1, 2], [1, 2, u64::MAX]] {
        let mut torn = batch(0, [said("a"), said("b"), said("c")]);
        for (stored, number) in torn.events.iter_mut().zip(numbers) {
            stored.seq = Seq(number);
        }
        torn.row = Some(row(run(1), 1));
        let refused = store.commit(run(1), torn).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict { .. })),
            "{numbers:?}: {refused:?}"
        );
        assert_eq!(log_of(&*store, run(1)).await, [], "{numbers:?}");
        assert_eq!(store.runs().await.unwrap(), [], "{numbers:?}");
    }
}

/// A writer that did not hear the answer and tries again finds its own events there.
pub async fn a_batch_that_comes_again_is_stored_once(store: Arc<dyn Store>) {
    let events = || batch(0, [said("one"), said("two")]);
    store.commit(run(1), events()).await.unwrap();
    let again = store.commit(run(1), events()).await;
    let refused = StoreError::Conflict {
        expected: Seq(0),
        found: Seq(2),
    };
    assert_eq!(again, Err(refused));
    assert_eq!(log_of(&*store, run(1)).await, events().events);
}

/// Far more than a page of a database or a group of writes.
pub async fn large_events_come_back_whole(store: Arc<dyn Store>) {
    let sizes = [4_095, 65_537, 1 << 20, 8 << 20];
    for (after, size) in (0..).zip(sizes) {
        let text = "läng\"\n".chars().cycle().take(size).collect::<String>();
        store.commit(run(1), batch(after, [said(text)])).await.unwrap();
    }
    store.commit(run(1), batch(4, [said("small again")])).await.unwrap();
    for (after, size) in (0..).zip(sizes) {
        let page = store.events(run(1), Seq(after), 1).await.unwrap();
        let [stored] = &page[..] else {
            unreachable!("one event was asked for")
        };
        let Event::TaskSaid { text, .. } = &stored.event else {
            unreachable!("only such were stored")
        };
        assert!(
            text.chars().eq("läng\"\n".chars().cycle().take(size)),
            "the text of {size} characters is another one"
        );
    }
    assert_eq!(log_of(&*store, run(1)).await.len(), 5);
}

/// Logs, debts and inboxes of many runs, written in turns.
pub async fn runs_do_not_touch_each_other(store: Arc<dyn Store>) {
    const RUNS: u32 = 100;
    for step in 0..5 {
        for number in 0..RUNS {
            let mut next = batch(step, [said(format!("{number} says {step}"))]);
            let debt = |seq| EffectId {
                seq: Seq(seq),
                index: 0,
            };
            next.owed = vec![(
                debt(step + 1),
                Effect::Wake {
                    at: At(i64::from(number)),
                },
            )];
            next.settled = vec![debt(step)];
            store.commit(run(number), next).await.unwrap();
        }
    }
    for number in 0..RUNS {
        let texts = log_of(&*store, run(number))
            .await
            .into_iter()
            .map(|stored| stored.event);
        let expected = (0..5).map(|step| said(format!("{number} says {step}")));
        assert!(texts.eq(expected), "the log of run {number}");
        let debt = (
            EffectId { seq: Seq(5), index: 0 },
            Effect::Wake {
                at: At(i64::from(number)),
            },
        );
        assert_eq!(store.owed(run(number)).await.unwrap(), [debt]);
    }
}

/// A question to a person outlives whoever asked it, and so does the answer.
pub async fn decisions_are_kept_with_their_answers(store: Arc<dyn Store>) {
    let id = DecisionId::new(Uuid::from_u128(7));
    let asked = Event::DecisionRequested {
        decision: Box::new(Decision {
            id,
            about: About::Budget,
            question: "Spend as much again?".to_owned(),
            context: "$2.50 of $2.50 are spent".to_owned(),
            options: vec![Opt {
                choice: Choice::Raise,
                label: "yes".to_owned(),
            }],
            recommended: Choice::Raise,
            expires_at: At(i64::MAX),
            on_expiry: Choice::Stop,
            answer: None,
            used_at: None,
        }),
    };
    let made = Event::DecisionMade {
        decision: id,
        answer: Answer {
            choice: Choice::Raise,
            by: "someone".to_owned(),
            because: String::new(),
            at: At(1),
        },
    };
    let mut question = batch(0, [asked.clone()]);
    question.row = Some(row(run(1), 1));
    store.commit(run(1), question).await.unwrap();
    assert_eq!(store.runs().await.unwrap()[0].decisions, 1);
    let mut answer = batch(1, [made.clone()]);
    answer.row = Some(maestria_kernel::port::RunRow {
        decisions: 0,
        ..row(run(1), 1)
    });
    answer.owed = vec![(EffectId { seq: Seq(2), index: 0 }, Effect::Tell { decision: id })];
    store.commit(run(1), answer).await.unwrap();
    assert_eq!(store.runs().await.unwrap()[0].decisions, 0);
    assert_eq!(store.owed(run(1)).await.unwrap()[0].1, Effect::Tell { decision: id });
    let events: Vec<Event> = log_of(&*store, run(1)).await.into_iter().map(|s| s.event).collect();
    assert_eq!(events, [asked, made]);
}

/// By birth, then by id; a run has one row, the newest.
pub async fn runs_are_listed_newest_first(store: Arc<dyn Store>) {
    let births = [(1, 50), (2, 70), (3, 60), (4, 70)];
    for (number, created_at) in births {
        let mut first = batch(0, [said("born")]);
        first.row = Some(row(run(number), created_at));
        store.commit(run(number), first).await.unwrap();
    }
    store.commit(run(5), batch(0, [said("without a row")])).await.unwrap();
    let mut changed = row(run(1), 50);
    changed.state = "completed".to_owned();
    changed.percent = 100;
    let mut second = batch(1, [said("done")]);
    second.row = Some(changed.clone());
    store.commit(run(1), second).await.unwrap();
    store
        .commit(run(3), batch(1, [said("leaves its row alone")]))
        .await
        .unwrap();
    let expected = [row(run(4), 70), row(run(2), 70), row(run(3), 60), changed];
    assert_eq!(store.runs().await.unwrap(), expected);
}

/// Newest first, each once, also of those of one moment; a run that changes stays where it was.
pub async fn runs_are_listed_in_pages(store: Arc<dyn Store>) {
    assert_eq!(store.older(None, 10).await.unwrap(), []);
    let births = [(1, 50), (2, 70), (3, 60), (4, 70), (5, 70), (6, 40)];
    for (number, created_at) in births {
        let mut first = batch(0, [said("born")]);
        first.row = Some(row(run(number), created_at));
        store.commit(run(number), first).await.unwrap();
    }
    let (mut listed, mut last) = (Vec::new(), None);
    loop {
        let page = store.older(last, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(oldest) = page.last() else { break };
        last = Some((oldest.created_at, oldest.id));
        listed.extend(page);
        let mut changed = batch(1, [said("changes")]);
        changed.row = Some(row(run(6), 40));
        // The first time it is stored, later ones are refused.
        drop(store.commit(run(6), changed).await);
    }
    assert_eq!(listed, store.runs().await.unwrap());
    let before = store.older(Some((At(60), run(3))), 10).await.unwrap();
    assert_eq!(before, [row(run(1), 50), row(run(6), 40)]);
}

/// By number, once each, as they are now; a reader that goes on from the number it was told misses none.
pub async fn runs_that_changed_are_told(store: Arc<dyn Store>) {
    assert_eq!(store.changed(0).await.unwrap(), (0, Vec::new()));
    for number in [1, 2, 3] {
        let mut first = batch(0, [said("born"), said("again")]);
        first.row = Some(row(run(number), i64::from(number)));
        store.commit(run(number), first).await.unwrap();
    }
    store.commit(run(4), batch(0, [said("without a row")])).await.unwrap();
    let (newest, all) = store.changed(0).await.unwrap();
    let ids = |rows: &[RunRow]| {
        let mut ids: Vec<RunId> = rows.iter().map(|row| row.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        (newest, ids(&all)),
        (store.newest().await.unwrap(), vec![run(1), run(2), run(3)])
    );
    assert_eq!(store.changed(newest).await.unwrap(), (newest, Vec::new()));
    let mut second = batch(2, [said("done")]);
    let mut changed = row(run(2), 2);
    changed.state = "completed".to_owned();
    second.row = Some(changed.clone());
    store.commit(run(2), second).await.unwrap();
    store
        .commit(run(3), batch(2, [said("leaves its row alone")]))
        .await
        .unwrap();
    let (later, rows) = store.changed(newest).await.unwrap();
    assert!(later > newest);
    assert_eq!(ids(&rows), vec![run(2), run(3)]);
    assert!(rows.contains(&changed), "{rows:?}");
    assert_eq!(
        store.changed(later - 1).await.unwrap().1.len(),
        1,
        "the last commit alone"
    );
}
