//! Commands that come again under their key: done once, wherever the run is driven and whoever dies meanwhile.

use crate::scene::Scene;
use maestria_engine::{Engine, EngineError, Leave, Patience};
use maestria_kernel::{
    At, Command, Event, Run, RunId, Seq, TaskKey,
    message::Message,
    port::{Once, Store, StoreError},
    state::RunState,
};
use maestria_testkit::ports::{Crash, Fakes, Mortal};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

fn once(key: &str, request: &str) -> Option<Once> {
    Some(Once {
        key: key.to_owned(),
        request: request.to_owned(),
        until: At(i64::MAX),
    })
}

fn pause() -> Command {
    Command::Pause { by: "ada".to_owned() }
}

/// A message to the task that nobody works on yet.
fn tell(run: &Run, text: &str) -> Command {
    let message = Message {
        by: "ada".to_owned(),
        text: text.to_owned(),
        file: None,
        line: None,
    };
    Command::Tell {
        task: run.by_key(&TaskKey::from("E4")).unwrap().plan.id,
        message: Box::new(message),
    }
}

/// Drives a run until its workers wait for a person.
async fn waiting(engine: &Arc<Engine>, scene: &Scene) -> (Run, JoinHandle<()>, watch::Sender<Leave>) {
    let id = engine.submit(scene.request()).await.unwrap();
    let (stay, leave) = watch::channel(Leave::No);
    let here = engine.clone();
    let driver = tokio::spawn(async move {
        here.drive(id, Patience::Wait, leave).await.unwrap();
    });
    for _ in 0..500 {
        let run = engine.load(id).await.unwrap();
        if run.open_decisions().next().is_some() {
            return (run, driver, stay);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody asks");
}

fn asking() -> Scene {
    Scene::new(Fakes {
        asks: true,
        ..Fakes::default()
    })
}

/// What was told, in order.
async fn told(store: &dyn Store, run: RunId) -> Vec<String> {
    let log = store.events(run, Seq(0), 100_000).await.unwrap();
    log.into_iter()
        .filter_map(|stored| match stored.event {
            Event::TaskTold { message, .. } => Some(message.text),
            _ => None,
        })
        .collect()
}

fn is_repeated(sent: &Result<(), EngineError>) -> bool {
    matches!(sent, Err(EngineError::Store(StoreError::Repeated(_))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_again_is_done_once_and_its_key_takes_no_other() {
    let scene = asking();
    let driving = Arc::new(scene.engine());
    let (run, driver, _stay) = waiting(&driving, &scene).await;
    // Another process leaves it in the inbox of the one that drives.
    let other = Arc::new(scene.engine());
    for engine in [&driving, &other, &driving] {
        engine
            .send_once(run.id, tell(&run, "one"), once("k", "one"))
            .await
            .unwrap();
        let reused = engine.send_once(run.id, tell(&run, "two"), once("k", "two")).await;
        assert!(is_repeated(&reused), "{reused:?}");
    }
    other
        .send_once(run.id, tell(&run, "three"), once("l", "three"))
        .await
        .unwrap();
    driver.abort();
    let _ = driver.await;
    // Nobody drives it.
    for (key, text) in [("k", "one"), ("l", "three"), ("m", "four"), ("m", "four")] {
        other
            .send_once(run.id, tell(&run, text), once(key, text))
            .await
            .unwrap();
    }
    assert_eq!(told(&*scene.store, run.id).await, ["one", "three", "four"]);
}

/// The first time is why the second would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_again_is_not_refused_for_having_been_done() {
    let scene = asking();
    let driving = Arc::new(scene.engine());
    let (run, driver, _stay) = waiting(&driving, &scene).await;
    let other = scene.engine();
    for engine in [&*driving, &other] {
        engine.send_once(run.id, pause(), once("k", "pause")).await.unwrap();
        let unkeyed = engine.send(run.id, pause()).await;
        let refused = matches!(unkeyed, Err(EngineError::Refused(_) | EngineError::RefusedElsewhere(_)));
        assert!(refused, "{unkeyed:?}");
    }
    // A key whose command was refused stands for nothing.
    let refused = other.send_once(run.id, pause(), once("l", "pause")).await;
    assert!(matches!(
        refused,
        Err(EngineError::Refused(_) | EngineError::RefusedElsewhere(_))
    ));
    let resume = Command::Resume { by: "ada".to_owned() };
    driving.send_once(run.id, resume, once("l", "resume")).await.unwrap();
    other.send_once(run.id, pause(), once("k", "pause")).await.unwrap();
    let now = driving.load(run.id).await.unwrap();
    assert!(
        !matches!(now.state, RunState::Paused(_)),
        "what came again did not happen again"
    );
    driver.abort();
    let _ = driver.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_done_once_when_the_process_dies_before_it_answers() {
    for (crash, before) in [(Crash::Before, 0), (Crash::After, 1)] {
        let scene = asking();
        let driving = Arc::new(scene.engine());
        let (run, driver, _stay) = waiting(&driving, &scene).await;
        driver.abort();
        let _ = driver.await;
        let mortal: Arc<dyn Store> = Arc::new(Mortal::new(scene.store.clone(), 0, crash));
        let lost = scene
            .engine_on(mortal)
            .send_once(run.id, tell(&run, "one"), once("k", "one"))
            .await;
        assert!(matches!(lost, Err(EngineError::Store(StoreError::Closed))), "{lost:?}");
        assert_eq!(told(&*scene.store, run.id).await.len(), before);
        let next = scene.engine();
        for _ in 0..2 {
            next.send_once(run.id, tell(&run, "one"), once("k", "one"))
                .await
                .unwrap();
        }
        assert_eq!(told(&*scene.store, run.id).await, ["one"]);
    }
}

/// What was left for a driver that stored it and died is not done again by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_the_inbox_is_done_once_whichever_driver_reads_it() {
    let scene = asking();
    let driving = Arc::new(scene.engine());
    let (run, driver, _stay) = waiting(&driving, &scene).await;
    driver.abort();
    let _ = driver.await;
    let key = once("k", "one");
    driving.send_once(run.id, tell(&run, "one"), key.clone()).await.unwrap();
    let letter = scene.store.post(run.id, tell(&run, "one"), key).await.unwrap();
    let refused = scene.store.post(run.id, pause(), once("k", "pause")).await.unwrap();
    let (_stay, leave) = watch::channel(Leave::No);
    let here = driving.clone();
    let next = tokio::spawn(async move { here.drive(run.id, Patience::Wait, leave).await });
    for _ in 0..500 {
        if scene.store.answered(run.id, refused).await.unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in [letter, refused] {
        let answer = scene.store.answered(run.id, number).await.unwrap();
        assert!(
            matches!(&answer, Some(Err(why)) if why.contains("was stored before")),
            "{answer:?}"
        );
    }
    next.abort();
    let _ = next.await;
    assert_eq!(told(&*scene.store, run.id).await, ["one"]);
    let state = driving.load(run.id).await.unwrap().state;
    assert!(!matches!(state, RunState::Paused(_)), "{state}");
}

/// A driver that dies between what it stores and what it answers leaves nothing to be done twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_key_is_taken_from_the_inbox_once() {
    let mut deaths = 0;
    for crash in [Crash::Before, Crash::After] {
        for number in 0.. {
            let scene = asking();
            let driving = Arc::new(scene.engine());
            let (run, driver, _stay) = waiting(&driving, &scene).await;
            driver.abort();
            let _ = driver.await;
            let letter = scene.store.post(run.id, tell(&run, "one"), None).await.unwrap();
            let mortal: Arc<dyn Store> = Arc::new(Mortal::new(scene.store.clone(), number, crash));
            let died = until_answered(scene.engine_on(mortal), &scene, run.id, letter).await;
            until_answered(scene.engine(), &scene, run.id, letter).await;
            assert_eq!(
                told(&*scene.store, run.id).await,
                ["one"],
                "{crash:?} at commit {number}"
            );
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 0, "nobody died before the answer");
}

/// Drives a run until a letter is answered; whether the driver died before that.
async fn until_answered(engine: Engine, scene: &Scene, run: RunId, letter: u64) -> bool {
    let (_stay, leave) = watch::channel(Leave::No);
    let driver = tokio::spawn(async move { engine.drive(run, Patience::Wait, leave).await });
    let is_answered = async || scene.store.answered(run, letter).await.unwrap().is_some();
    while !is_answered().await && !driver.is_finished() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let died = driver.is_finished();
    driver.abort();
    let _ = driver.await;
    died
}
