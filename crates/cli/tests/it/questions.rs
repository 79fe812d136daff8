//! Decisions: taken by `--yes`, typed at the live view, answered from another process.

use crate::process::{Left, left, program, run};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A home whose only agent does nothing, and a repository.
pub(crate) struct Scene {
    home: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new(plan: &Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let fake = maestria_testkit::built::program("fake-agent").unwrap();
        let config = format!(
            "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n\
             [limits]\nretries = 1\n",
            json!(fake),
            json!(plan.to_string())
        );
        fs::write(home.path().join("config.toml"), config).unwrap();
        let target = home.path().join("app");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("README.md"), "An app.\n").unwrap();
        for words in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@localhost",
                "commit",
                "-qm",
                "begin",
            ],
        ] {
            let mut git = Command::new("git");
            git.args(words)
                .current_dir(&target)
                .env_clear()
                .env("HOME", home.path());
            git.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            assert!(git.status().unwrap().success());
        }
        Self { home }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn config(&self) -> PathBuf {
        self.home().join("config.toml")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let config = self.config().display().to_string();
        let mut words = vec!["--config", &config];
        words.extend_from_slice(args);
        program(self.home(), &words)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Left {
        left(&self.command(args).output().unwrap())
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let log = run(self.home(), &["events"]).out;
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What was chosen, in order.
    fn choices(&self) -> Vec<String> {
        let events = self.events();
        let made = events.iter().filter(|e| e["kind"] == "decision.made");
        made.map(|e| e["answer"]["choice"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn idle() -> Value {
    json!({"turns": [[{"say": "nothing to do"}]]})
}

#[test]
fn yes_takes_each_recommendation_and_tries_again_only_once() {
    let scene = Scene::new(&idle());
    let ended = scene.run(&["run", "Make a file", "--target", "app", "--yes", "--jsonl"]);
    assert_eq!(ended.code, 3, "{}{}", ended.out, ended.err);
    assert_eq!(scene.choices(), ["retry", "skip"]);
    let told: Vec<Value> = ended.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(
        told,
        scene.events(),
        "a new run is told from its first event to its last"
    );
}

#[test]
fn without_a_person_the_run_waits_and_another_process_answers() {
    let scene = Scene::new(&idle());
    let waits = scene.run(&["run", "Make a file", "--target", "app"]);
    assert_eq!(waits.code, 9, "{}", waits.err);
    let listed = scene.run(&["decisions"]);
    let id = listed
        .out
        .split_whitespace()
        .find(|w| w.starts_with("dec_"))
        .unwrap()
        .to_owned();
    let denied = scene.run(&["decisions", "deny", &id, "--because", "not worth it"]);
    assert_eq!(denied.code, 0, "{}", denied.err);
    let ended = scene.run(&["resume"]);
    assert_eq!(ended.code, 8, "{}{}", ended.out, ended.err);
    assert_eq!(scene.choices(), ["stop"]);
}

#[test]
fn a_budget_is_never_raised_by_yes() {
    let scene = Scene::new(&idle());
    let ended = scene.run(&["run", "Make a file", "--target", "app", "--yes", "--budget", "0.000001"]);
    assert_eq!(ended.code, 6, "{}{}", ended.out, ended.err);
    let count = |kind: &str| scene.events().iter().filter(|e| e["kind"] == kind).count();
    assert_eq!((count("budget.raised"), count("task.dispatched")), (0, 1));
}

/// The program on a terminal of its own, on which something is typed.
pub(crate) struct Terminal {
    screen: mpsc::Receiver<Vec<u8>>,
    keys: File,
    seen: String,
}

impl Terminal {
    pub(crate) fn new(command: &mut Command) -> (Self, std::process::Child) {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || File::options().read(true).write(true).open(&name).unwrap();
        let child = command
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        let keys = File::from(ours);
        let mut reader = keys.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            // The read fails once nobody holds the other side any more.
            while let Ok(count @ 1..) = reader.read(&mut part) {
                let _ = sender.send(part[..count].to_vec());
            }
        });
        let seen = String::new();
        (Self { screen, keys, seen }, child)
    }

    pub(crate) fn until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(part) => self.seen.push_str(&String::from_utf8_lossy(&part)),
                Err(_) => panic!("{text:?} is not on the screen:\n{}", self.seen),
            }
        }
        self.seen.clear();
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

#[test]
fn questions_are_asked_and_answered_in_the_live_view() {
    let scene = Scene::new(&idle());
    let mut command = scene.command(&["run", "Make a file", "--target", "app"]);
    let (mut terminal, mut child) = Terminal::new(command.env("TERM", "xterm-256color"));
    terminal.until("What now?");
    terminal.type_line("9");
    terminal.until("type a (approve)");
    terminal.type_line("1");
    terminal.until("retry");
    terminal.until("What now?");
    terminal.type_line("d");
    terminal.until("aborted");
    assert_eq!(child.wait().unwrap().code(), Some(8));
    assert_eq!(scene.choices(), ["retry", "stop"]);
}
