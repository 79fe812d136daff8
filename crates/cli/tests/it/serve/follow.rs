//! Runs at a server, followed from elsewhere: interrupted, left alone, and across the death of the server.

use super::{
    elsewhere::{Caller, TASK, lines, with_agent},
    scene::{PATIENCE, Scene},
};
use crate::process::{left, program};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::Instant,
};

#[test]
fn an_interrupt_pauses_the_run_there_and_it_is_resumed() {
    let server = Scene::new(&with_agent(&json!({"turns": [["hang"]]})));
    let caller = Caller::of(&server);
    let follow = |args: &[&str], until: &str| {
        let mut child = caller.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        while !told.contains(until) {
            assert_ne!(out.read_line(&mut told).unwrap(), 0, "{told}");
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        while out.read_line(&mut told).unwrap() > 0 {}
        (child.wait().unwrap().code(), told)
    };
    let target = server.target();
    let (code, told) = follow(&["run", "Make a file", "--target", &target, "--jsonl"], "task.started");
    assert_eq!(code, Some(8), "{told}");
    let state = |caller: &Caller<'_>| {
        let run: Value = serde_json::from_str(&caller.run(&["show", "--json"]).out).unwrap();
        run["state"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&caller), "paused");
    // From where it was paused on, without a repeat.
    let (code, more) = follow(&["resume", "--jsonl"], "\"kind\":\"run.transitioned\"");
    assert_eq!(code, Some(8), "{more}");
    let seqs = |told: &str| {
        lines(told)
            .iter()
            .map(|e| e["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let both: Vec<u64> = [seqs(&told), seqs(&more)].concat();
    assert!(both.windows(2).all(|pair| pair[0] < pair[1]), "{both:?}");
    assert_eq!(caller.run(&["abort"]).code, 0);
    assert_eq!(state(&caller), "aborted");
}

#[test]
fn a_run_is_left_to_the_server_and_found_again() {
    let server = Scene::new("");
    let caller = Caller::of(&server);
    let target = server.target();
    let words = [
        "run",
        TASK,
        "--target",
        &target,
        "--agents",
        "playbook-author,playbook-reviewer",
        "--detach",
    ];
    let left = caller.run(&words);
    assert!(
        left.code == 0 && left.out.starts_with("run_"),
        "{}{}",
        left.out,
        left.err
    );
    let followed = caller.run(&["tail", left.out.trim()]);
    assert!(followed.out.contains("completed: confidence"), "{}", followed.out);
}

/// Follows in a process of its own.
struct Following(Child);

impl Following {
    fn begin(caller: &Caller<'_>, args: &[&str]) -> (Self, BufReader<std::process::ChildStdout>) {
        let mut child = caller
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (Self(child), out)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_is_followed_across_the_death_of_its_server() {
    let mut server = Scene::new("");
    let home = tempfile::tempdir().unwrap();
    let command = |server: &Scene, args: &[&str]| {
        let mut command = program(home.path(), args);
        command.args(["--server", &format!("http://{}", server.address)]);
        command.env("MAESTRIA_TOKEN", &server.token);
        command
    };
    let target = server.target();
    let words = [
        "run",
        TASK,
        "--target",
        &target,
        "--agents",
        "playbook-author,playbook-reviewer",
        "--jsonl",
    ];
    let mut child = command(&server, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    while !told.contains("task.dispatched") {
        assert_ne!(out.read_line(&mut told).unwrap(), 0, "it ended early: {told}");
    }
    server.kill();
    let since = Instant::now();
    server.start();
    while out.read_line(&mut told).unwrap() > 0 {
        assert!(since.elapsed() < PATIENCE, "it does not end");
    }
    let ended = left(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("trying again"), "{}", ended.err);
    let all = left(&command(&server, &["events"]).output().unwrap());
    assert_eq!(told, all.out, "nothing is lost and nothing repeated");
    assert!(lines(&told).iter().any(|event| event["to"]["state"] == "completed"));
}

#[test]
fn events_are_followed_across_the_death_of_a_server() {
    let mut server = Scene::new("");
    let (following, mut out) = {
        let caller = Caller::of(&server);
        Following::begin(&caller, &["events", "--since", "0", "--follow", "--jsonl"])
    };
    server.demo_run();
    let mut told = String::new();
    while !told.contains("task.dispatched") {
        assert_ne!(out.read_line(&mut told).unwrap(), 0);
    }
    server.kill();
    server.start();
    let is_over = |told: &str| {
        told.lines()
            .any(|line| line.contains("run.transitioned") && line.contains("\"completed\""))
    };
    while !is_over(&told) {
        assert_ne!(out.read_line(&mut told).unwrap(), 0);
    }
    drop(following);
    let numbers: Vec<u64> = lines(&told)
        .iter()
        .map(|event| event["number"].as_u64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    let seqs: Vec<u64> = lines(&told)
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}
