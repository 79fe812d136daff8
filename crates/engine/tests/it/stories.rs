//! Whole runs on the faked world.

use crate::scene::{Scene, drive};
use maestria_engine::{Engine, EngineError, Leave, Patience};
use maestria_kernel::{Command, Refused, RunId, Seq, decision::Choice, state::RunState};
use maestria_testkit::ports::Fakes;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_driven_to_its_end_and_told_in_the_session() {
    let scene = Scene::new(Fakes {
        strict: true,
        ..Fakes::default()
    });
    let engine = scene.engine();
    let run = engine.submit(scene.request()).await.unwrap();
    let ended = drive(&engine, run).await.unwrap();
    assert_eq!(ended.state, RunState::Completed, "{}", ended.because);
    assert!(
        engine.store().owed(run).await.unwrap().is_empty(),
        "nothing is owed any more"
    );
    let session = scene.folder.path().join("session");
    let lines = std::fs::read_to_string(session.join("events.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, ended.seq.0, "the file has the whole log");
    assert!(
        std::fs::read_to_string(session.join("documentation/summary.md"))
            .unwrap()
            .contains("**completed**")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tasks_are_refused_and_nothing_is_stored() {
    let scene = Scene::new(Fakes::default());
    let engine = scene.engine();
    for text in [String::new(), "x".repeat(1 << 20)] {
        let mut request = scene.request();
        request.text = text;
        assert!(matches!(engine.submit(request).await, Err(EngineError::Task(_))));
    }
    assert!(engine.store().runs().await.unwrap().is_empty());
    let nobody = RunId::new(uuid::Uuid::from_u128(1));
    assert!(matches!(
        engine.load(nobody).await,
        Err(EngineError::Refused(Refused::Unknown))
    ));
}

async fn until(engine: &Engine, run: RunId, what: impl Fn(&maestria_kernel::Run) -> bool) {
    for _ in 0..500 {
        if engine.load(run).await.is_ok_and(|r| what(&r)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_answers_a_waiting_worker() {
    let scene = Scene::new(Fakes {
        asks: true,
        ..Fakes::default()
    });
    let driving = Arc::new(scene.engine());
    let run = driving.submit(scene.request()).await.unwrap();
    let (_stay, leave) = watch::channel(Leave::No);
    let here = driving.clone();
    let driver = tokio::spawn(async move { here.drive(run, Patience::Wait, leave).await });
    let other = scene.engine();
    for answered in 0..3usize {
        until(&other, run, |r| {
            r.decisions.len() > answered && r.open_decisions().next().is_some()
        })
        .await;
        let decision = other.load(run).await.unwrap().open_decisions().next().unwrap().id;
        let busy = drive(&other, run).await;
        assert!(matches!(busy, Err(EngineError::Lease(_))), "two maestria on one run");
        let answer = Command::Answer {
            decision,
            choice: Some(Choice::Accept),
            approve: true,
            by: "ada".to_owned(),
            because: String::new(),
        };
        other.send(run, answer.clone()).await.unwrap();
        // Refused there, or here once the driver has ended.
        let again = other.send(run, answer).await;
        let refused = matches!(again, Err(EngineError::RefusedElsewhere(_) | EngineError::Refused(_)));
        assert!(refused, "{again:?}");
    }
    let ended = driver.await.unwrap().unwrap();
    assert_eq!(ended.state, RunState::Completed, "{}", ended.because);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_waits_on_disk_and_goes_on() {
    let scene = Scene::new(Fakes {
        asks: true,
        ..Fakes::default()
    });
    let engine = Arc::new(scene.engine());
    let run = engine.submit(scene.request()).await.unwrap();
    let (go, leave) = watch::channel(Leave::No);
    let here = engine.clone();
    let driver = tokio::spawn(async move { here.drive(run, Patience::Wait, leave).await });
    until(&engine, run, |r| r.open_decisions().next().is_some()).await;
    engine.send(run, Command::Pause { by: "ada".to_owned() }).await.unwrap();
    assert!(matches!(engine.load(run).await.unwrap().state, RunState::Paused(_)));
    drop(go);
    driver.abort();
    let _ = driver.await;
    let next = scene.engine();
    next.send(run, Command::Resume { by: "ada".to_owned() }).await.unwrap();
    next.send(
        run,
        Command::Abort {
            by: "ada".to_owned(),
            because: String::new(),
        },
    )
    .await
    .unwrap();
    let ended = drive(&next, run).await.unwrap();
    assert_eq!(ended.state, RunState::Aborted, "{}", ended.because);
    let events = next.store().events(run, Seq(0), 10_000).await.unwrap();
    assert!(
        events.iter().zip(1..).all(|(stored, n)| stored.seq == Seq(n)),
        "the log has no gaps"
    );
}

/// Ada answers whatever is open, from another process.
async fn accept(engine: &Engine, run: RunId) {
    until(engine, run, |r| r.open_decisions().next().is_some()).await;
    let decision = engine.load(run).await.unwrap().open_decisions().next().unwrap().id;
    let answer = Command::Answer {
        decision,
        choice: Some(Choice::Accept),
        approve: true,
        by: "ada".to_owned(),
        because: String::new(),
    };
    engine.send(run, answer).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leave_given_while_nobody_drives_is_used_by_the_same_question_once() {
    let scene = Scene::new(Fakes {
        asks: true,
        ..Fakes::default()
    });
    let engine = Arc::new(scene.engine());
    let run = engine.submit(scene.request()).await.unwrap();
    let (_stay, leave) = watch::channel(Leave::No);
    let here = engine.clone();
    let first = tokio::spawn(async move { here.drive(run, Patience::Wait, leave).await });
    until(&engine, run, |r| r.open_decisions().next().is_some()).await;
    first.abort();
    let _ = first.await;
    accept(&scene.engine(), run).await;
    let next = Arc::new(scene.engine());
    let (_stay, leave) = watch::channel(Leave::No);
    let here = next.clone();
    let second = tokio::spawn(async move { here.drive(run, Patience::Wait, leave).await });
    let other = scene.engine();
    for answered in 1..3usize {
        until(&other, run, |r| r.decisions.len() > answered).await;
        accept(&other, run).await;
    }
    let ended = second.await.unwrap().unwrap();
    assert_eq!(ended.state, RunState::Completed, "{}", ended.because);
    let events = other.store().events(run, Seq(0), 10_000).await.unwrap();
    let used = events
        .iter()
        .filter(|stored| stored.event.kind() == "approval.used")
        .count();
    assert_eq!(
        (ended.decisions.len(), used),
        (3, 3),
        "each question was asked once, and each leave used once"
    );
}
