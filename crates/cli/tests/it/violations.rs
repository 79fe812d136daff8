//! Workers that go too far, in the real program: counted, stopped, and a person decides.

use crate::questions::Scene;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that tries to delete one thing after the other, and then does something else.
fn deleting(last: &str) -> Value {
    let tries = (1..=5).map(|n| json!({"shell": format!("rm -rf /srv/{n}")}));
    json!({"turns": [tries.chain([json!(last)]).collect::<Vec<_>>()]})
}

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["kind"] == kind).cloned().collect()
}

#[test]
fn a_worker_that_goes_too_far_is_stopped_and_a_person_decides() {
    let scene = Scene::new(&deleting("hang"));
    let waits = scene.run(&["run", "Make a file", "--target", "app"]);
    assert_eq!(waits.code, 9, "{}{}", waits.out, waits.err);
    let listed = scene.run(&["violations", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|line| (line["count"].as_u64().unwrap(), line["subject"].as_str().unwrap()))
        .collect();
    let wanted: Vec<String> = (1..=5).map(|n| format!("rm -rf /srv/{n}")).collect();
    assert_eq!(told, (1..=5).zip(wanted.iter().map(String::as_str)).collect::<Vec<_>>());
    assert_eq!(
        (&listed[0]["rule"], &listed[0]["agent"], &listed[0]["attempt"]),
        (&json!("delete.recursive_force"), &json!("claude"), &json!(1))
    );
    let lines = scene.run(&["violations"]).out;
    assert_eq!(lines.lines().count(), 5, "{lines}");
    let question = scene.run(&["decisions"]).out;
    assert!(
        question.contains("was stopped for its violations") && question.contains("rm -rf /srv/5"),
        "{question}"
    );
    let trail = scene.run(&["audit", "tail", "-n", "100"]).out;
    let entry = trail.lines().find(|line| line.contains("violation.recorded")).unwrap();
    assert!(
        entry.contains("rule delete.recursive_force") && entry.contains("claude: ") && entry.contains(", command "),
        "{entry}"
    );
    let id = question
        .split_whitespace()
        .find(|word| word.starts_with("dec_"))
        .unwrap();
    let answered = scene.run(&["decisions", "approve", id, "--option", "skip"]);
    assert_eq!(answered.code, 0, "{}", answered.err);
    scene.run(&["resume"]);
    assert_eq!(of_kind(&scene.events(), "task.skipped").len(), 1);
    assert_eq!(
        of_kind(&scene.events(), "task.started").len(),
        1,
        "nobody was started again"
    );
}

/// The worker neither hears the interrupt nor ends by itself, and Maestria dies while it waits for it.
#[test]
fn a_worker_that_was_to_be_stopped_is_not_started_again_after_a_crash() {
    let scene = Scene::new(&deleting("deaf"));
    let mut first = scene
        .command(&["run", "Make a file", "--target", "app"])
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !scene.run(&["events"]).out.contains("\"task.stopped\"") {
        assert!(Instant::now() < deadline, "it was never stopped");
        std::thread::sleep(Duration::from_millis(50));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(
        of_kind(&scene.events(), "task.finished").len(),
        0,
        "it was killed in between"
    );
    let waits = scene.run(&["resume"]);
    assert_eq!(waits.code, 9, "{}{}", waits.out, waits.err);
    let events = scene.events();
    assert_eq!(of_kind(&events, "task.started").len(), 1);
    assert_eq!(
        of_kind(&events, "task.finished")[0]["outcome"]["verdict"],
        "interrupted"
    );
    assert_eq!(
        of_kind(&events, "decision.requested")[0]["decision"]["stuck"],
        "violations"
    );
}
