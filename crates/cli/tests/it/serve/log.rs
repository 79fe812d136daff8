//! The log of a server for programs: each line is JSON, says what it is about, and can be read alone.

use super::{PATIENCE, Scene, is_finished};
use serde_json::Value;
use std::{fs, time::Instant};

#[test]
fn the_log_for_programs_tells_how_work_goes_on() {
    let mut scene = Scene::new("");
    scene.kill();
    scene.start_with(&["--log-format", "json"]);
    let run = scene.demo_run();
    scene.stream("after=0", None, is_finished);
    let read = || -> Vec<Value> {
        let text = fs::read_to_string(scene.home.path().join("serve.err")).unwrap();
        // What is meant for the person who has started it is no JSON.
        let lines = text.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    };
    let since = Instant::now();
    let of_run = loop {
        let of_run: Vec<Value> = read()
            .into_iter()
            .filter(|entry| entry["run"] == run.as_str())
            .collect();
        if of_run.iter().any(|entry| entry["state"] == "completed") {
            break of_run;
        }
        assert!(since.elapsed() < PATIENCE, "{of_run:#?}");
    };
    for entry in &of_run {
        let message = entry["message"].as_str().unwrap();
        assert!(message.contains(&run), "it can be read alone: {message}");
        assert!(
            entry["timestamp"].is_string() && entry["level"].is_string() && entry["kind"].is_string(),
            "{entry}"
        );
    }
    let kinds: Vec<&str> = of_run.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    for kind in [
        "run.submitted",
        "run.transitioned",
        "task.dispatched",
        "task.finished",
        "review.received",
    ] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    let numbers: Vec<u64> = of_run.iter().filter_map(|entry| entry["number"].as_u64()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "each once, in order: {numbers:?}"
    );
}
