//! The demo, from plan to applied.

use crate::process::{program, run};
use serde_json::Value;
use std::{path::PathBuf, process::Stdio};

fn sample(home: &std::path::Path) -> PathBuf {
    let root = home.join(".local/share/maestria/workspaces");
    std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path().join("greetings"))
        .find(|p| p.is_dir())
        .unwrap()
}

#[test]
fn the_demo_does_the_whole_job_and_says_that_it_is_scripted() {
    let home = tempfile::tempdir().unwrap();
    let demo = run(home.path(), &["demo"]);
    assert_eq!(demo.code, 0, "{}{}", demo.err, demo.out);
    for told in [
        "SCRIPTED",
        "request_changes by playbook-reviewer",
        "E2 rework",
        "E4 merged",
        "completed: confidence",
    ] {
        assert!(demo.err.contains(told), "{told} is missing in\n{}", demo.err);
    }
    for told in [
        "SCRIPTED",
        "proved  `sh test.sh` succeeds (exit code 0)",
        "claimed",
        "maestria apply",
    ] {
        assert!(demo.out.contains(told), "{told} is missing in\n{}", demo.out);
    }
    let usage = run(home.path(), &["usage", "--by", "task"]).out;
    assert!(
        usage.contains("task_") && usage.contains("$0.00"),
        "every call is in the books: {usage}"
    );
    let target = sample(home.path());
    let before = std::fs::read_to_string(target.join("greet.sh")).unwrap();
    assert!(
        !before.contains("--json"),
        "the person's branch is untouched before apply"
    );
    let diff = run(home.path(), &["diff"]);
    assert!(
        diff.out.contains("+++ b/greet.sh") && diff.out.contains("sed 's/"),
        "{}",
        diff.out
    );
    let applied = run(home.path(), &["apply"]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    let test = std::process::Command::new("sh")
        .arg("test.sh")
        .current_dir(&target)
        .stdout(Stdio::null())
        .status();
    assert!(test.unwrap().success());
    let again = run(home.path(), &["apply"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("applied already"), "{}", again.err);
}

#[test]
fn events_are_json_lines_without_gaps_and_the_session_has_its_folders() {
    let home = tempfile::tempdir().unwrap();
    let demo = run(home.path(), &["demo", "--jsonl"]);
    assert_eq!(demo.code, 0, "{}", demo.err);
    let told: Vec<Value> = demo.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let log = run(home.path(), &["events"]);
    let log: Vec<Value> = log.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(log.iter().zip(1u64..).all(|(event, n)| event["seq"] == n));
    assert!(
        told.iter().all(|event| log.contains(event)),
        "what was told is what is stored"
    );
    let all = run(home.path(), &["events", "--since", "0", "--jsonl"]);
    let all: Vec<Value> = all.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(all.len(), log.len());
    let middle = all[all.len() / 2]["number"].to_string();
    let rest = run(home.path(), &["events", "--since", &middle]);
    assert_eq!(rest.out.lines().count(), all.len() - all.len() / 2 - 1);
    let tail = run(home.path(), &["tail", "last"]);
    assert_eq!(tail.code, 0, "{}", tail.err);
    assert!(tail.out.lines().count() > 4, "{}", tail.out);
    let session = sample(home.path()).with_file_name("session");
    for folder in [
        "requirements",
        "architecture",
        "implementation",
        "tests",
        "deployment",
        "documentation",
        "signals",
        "decisions",
    ] {
        assert!(session.join(folder).is_dir(), "{folder}");
    }
    assert_eq!(
        std::fs::read_to_string(session.join("events.jsonl"))
            .unwrap()
            .lines()
            .count(),
        log.len()
    );
}

#[test]
fn a_killed_run_is_resumed() {
    let home = tempfile::tempdir().unwrap();
    let mut first = program(home.path(), &["demo", "--jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Killed as soon as the first edit is told.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(first.stdout.take().unwrap()));
    lines
        .find(|line| {
            line.as_ref()
                .is_ok_and(|l| l.contains("tool.started") && l.contains("write_file"))
        })
        .unwrap()
        .unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let resumed = run(home.path(), &["resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let merged = run(home.path(), &["events"])
        .out
        .lines()
        .filter(|l| l.contains("\"kind\":\"task.merged\""))
        .count();
    assert_eq!(merged, 4, "each task is merged once");
}

#[test]
fn the_work_can_be_thrown_away_and_done_again() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["demo"]).code, 0);
    let deaf = run(home.path(), &["tell", "--task", "E2", "--message", "greet louder"]);
    assert_eq!(deaf.code, 1, "{}", deaf.err);
    assert!(
        deaf.err.contains("E2 is done") && deaf.err.contains("rerun"),
        "{}",
        deaf.err
    );
    let again = run(home.path(), &["rerun", "--from", "E2", "--message", "greet louder"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let log = run(home.path(), &["events"]).out;
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = events.iter().position(|event| event["kind"] == "task.told").unwrap();
    let task = &events[told]["task"];
    let heard = events[told..]
        .iter()
        .find(|event| event["kind"] == "task.dispatched" && event["task"] == *task);
    let guidance = heard.unwrap()["guidance"].to_string();
    assert!(
        guidance.contains("A person (terminal) says: greet louder"),
        "{guidance}"
    );
    let trail = run(home.path(), &["audit", "tail", "-n", "200"]).out;
    let told = trail.lines().find(|line| line.contains("task.told"));
    assert!(told.is_some_and(|line| line.contains("terminal")), "{trail}");
    let unknown = run(home.path(), &["rerun", "--from", "E9"]);
    assert!(unknown.err.contains("it has E1, E2, E3, E4"), "{}", unknown.err);
    assert_eq!(run(home.path(), &["discard"]).code, 0);
    assert_eq!(run(home.path(), &["apply"]).code, 1);
}
