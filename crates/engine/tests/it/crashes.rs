//! A crash at every commit of a run, before and after it is durable; the next process goes on, and the world shows what
//! was done twice or lost.

use crate::scene::{Scene, drive};
use maestria_kernel::{Event, Seq, port::Store, state::RunState};
use maestria_testkit::ports::{Crash, Fakes, Mortal};
use std::{collections::BTreeMap, sync::Arc};

/// Drives a run that dies at one commit, then again with a store that lives. Returns the commits the first life had.
async fn crash_at(number: u64, crash: Crash) -> u64 {
    let scene = Scene::new(Fakes {
        strict: true,
        ..Fakes::default()
    });
    let run = scene.engine().submit(scene.request()).await.unwrap();
    let mortal = Arc::new(Mortal::new(scene.store.clone(), number, crash));
    let store: Arc<dyn Store> = mortal.clone();
    let first = drive(&scene.engine_on(store), run).await;
    let died = first.is_err();
    let ended = match first {
        Ok(run) => run,
        Err(_) => drive(&scene.engine(), run).await.unwrap(),
    };
    let place = format!("crash {crash:?} commit {number}");
    assert_eq!(ended.state, RunState::Completed, "{place}: {}", ended.because);
    {
        let world = scene.fakes.world.lock().unwrap();
        assert!(
            world.worked.values().all(|times| *times == 1),
            "{place}: an attempt was worked on twice {:?}",
            world.worked
        );
        assert_eq!(world.merged.len(), 3, "{place}");
        assert!(world.merged.values().all(|n| *n == 1), "{place}: merged twice");
    }
    let log = scene.store.events(run, Seq(0), 100_000).await.unwrap();
    assert!(
        log.iter().zip(1..).all(|(stored, n)| stored.seq == Seq(n)),
        "{place}: gaps"
    );
    let mut finished = BTreeMap::new();
    let mut merged = BTreeMap::new();
    for stored in &log {
        match &stored.event {
            Event::TaskFinished { task, attempt, .. } => *finished.entry((*task, *attempt)).or_insert(0) += 1,
            Event::TaskMerged { task, .. } => *merged.entry(*task).or_insert(0) += 1,
            _ => {}
        }
    }
    assert!(
        finished.values().all(|n| *n == 1) && merged.values().all(|n| *n == 1),
        "{place}: told twice"
    );
    assert!(
        scene.store.owed(run).await.unwrap().is_empty(),
        "{place}: something is still owed"
    );
    let lines = std::fs::read_to_string(scene.folder.path().join("session/events.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), log.len(), "{place}: events.jsonl is the log");
    if died { mortal.commits() } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_commit_loses_nothing_and_does_nothing_twice() {
    let mut crashes = 0;
    for crash in [Crash::Before, Crash::After] {
        for number in 0.. {
            if crash_at(number, crash).await == 0 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 40, "only {crashes} places to crash were found");
}
