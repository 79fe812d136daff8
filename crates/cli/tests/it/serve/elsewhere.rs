//! `--server`: the same verbs, here and at a server in another home, say the same and end the same.

use super::scene::Scene;
use crate::{
    process::{Left, left, program},
    questions::Terminal,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

pub(super) const TASK: &str =
    "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both";

/// A home from which a server is asked: nothing of the server's is in it.
pub(super) struct Caller<'a> {
    pub(super) scene: &'a Scene,
    pub(super) home: tempfile::TempDir,
}

impl<'a> Caller<'a> {
    pub(super) fn of(scene: &'a Scene) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { scene, home }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.scene.address)
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.home.path(), args);
        command
            .env("MAESTRIA_SERVER", self.url())
            .env("MAESTRIA_TOKEN", &self.scene.token);
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Left {
        let left = left(&self.command(args).output().unwrap());
        let token = &self.scene.token;
        assert!(
            !left.out.contains(token) && !left.err.contains(token),
            "{args:?} shows the token"
        );
        left
    }
}

/// The two places of one comparison.
struct Both<'a> {
    here: &'a Scene,
    there: Caller<'a>,
}

impl Both<'_> {
    fn run(&self, args: &[&str]) -> [Left; 2] {
        let words = |scene: &Scene| {
            let target = scene.target();
            let named = |arg: &&str| arg.replace("TARGET", &target);
            args.iter().map(named).collect::<Vec<String>>()
        };
        let mut here = program(self.here.home.path(), &[]);
        let mut there = self.there.command(&[]);
        let here = here.args(words(self.here)).output().unwrap();
        let there = there.args(words(self.there.scene)).output().unwrap();
        [left(&here), left(&there)]
    }

    /// Says and ends the same, but for ids, hashes, moments and amounts.
    fn same(&self, args: &[&str]) -> [Left; 2] {
        let [here, there] = self.run(args);
        let homes = [
            self.here.home.path(),
            self.there.scene.home.path(),
            self.there.home.path(),
        ];
        assert_eq!(
            (here.code, mask(&here.out, &homes), mask(&here.err, &homes)),
            (there.code, mask(&there.out, &homes), mask(&there.err, &homes)),
            "{args:?}"
        );
        [here, there]
    }

    /// JSON of the same shape.
    fn same_shape(&self, args: &[&str]) -> [Value; 2] {
        let [here, there] = self.run(args);
        assert_eq!((here.code, there.code), (0, 0), "{args:?}: {}{}", here.err, there.err);
        let [here, there] = [here, there].map(|left| serde_json::from_str::<Value>(&left.out).unwrap());
        let shapes = [&here, &there].map(|value| {
            let mut paths = BTreeSet::new();
            shape(value, "", &mut paths);
            paths
        });
        assert_eq!(shapes[0], shapes[1], "{args:?}");
        [here, there]
    }
}

/// A text without what differs between two runs of the same: words with a digit in them, hashes, homes, and how wide a column is.
fn mask(text: &str, homes: &[&Path]) -> String {
    let text = homes.iter().fold(text.to_owned(), |text, home| {
        text.replace(&home.display().to_string(), "HOME")
    });
    let differs = |word: &str| {
        word.contains(|c: char| c.is_ascii_digit()) || (word.len() >= 6 && word.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let (mut masked, mut word) = (String::new(), String::new());
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        masked.push_str(if differs(&word) { "#" } else { &word });
        word.clear();
        if !(c == ' ' && masked.ends_with([' ', '\n'])) {
            masked.push(c);
        }
    }
    masked.trim().to_owned()
}

/// Every path of names in a value; ids that are names are one name.
fn shape(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = if name.starts_with("task_") { "task" } else { name };
                shape(value, &format!("{path}.{name}"), paths);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, path, paths)),
        _ => drop(paths.insert(path.to_owned())),
    }
}

pub(super) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_verb_says_the_same_here_and_there() {
    let here = Scene::asleep("");
    let server = Scene::new("");
    let both = Both {
        here: &here,
        there: Caller::of(&server),
    };
    for args in [
        &["runs"][..],
        &["show"],
        &["tail", "last"],
        &["audit"],
        &["usage"],
        &["decisions"],
    ] {
        both.same(args);
    }
    let agents = ["--agents", "playbook-author,playbook-reviewer", "--no-dashboard"];
    let run = |manner: &str| {
        let words: Vec<&str> = ["run", TASK, "--target", "TARGET", manner]
            .into_iter()
            .chain(agents)
            .collect();
        both.run(&words)
    };
    for ended in run("--jsonl") {
        assert_eq!(ended.code, 0, "{}", ended.err);
        let seqs: Vec<u64> = lines(&ended.out).iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        assert_eq!(
            seqs,
            (1..=seqs.len() as u64).collect::<Vec<_>>(),
            "from the first event to the last"
        );
    }
    for (args, told) in [
        (&["runs"][..], "completed"),
        (&["runs", "--state", "finished,paused", "-n", "5"], "completed"),
        (&["runs", "--state", "open"], "no run is open"),
        (&["runs", "--state", "open", "--json"], "[]"),
        (&["runs", "--state", "flying"], ""),
        (&["runs", "--limit", "0"], ""),
        (&["show"], "--json"),
        (&["diff"], "+++ b/greet.sh"),
        (&["diff", "--task", "e3"], "+++ b/farewell.sh"),
        (&["diff", "--task", "E9"], ""),
        (&["show", "nonsense"], ""),
        (&["show", "run_01a1fdf81018753197932db2b453e741"], ""),
        (&["violations"], ""),
        (&["violations", "--json"], "[]"),
        (&["decisions"], ""),
        (&["decisions", "list", "--json"], "[]"),
        (&["decisions", "deny", "dec_1234", "--because", "x"], ""),
        (&["pause"], ""),
        (&["abort"], ""),
        (&["resume"], ""),
        (&["rerun", "--from", "E9"], ""),
        (&["tell", "--message", "x"], ""),
        (&["tell", "--task", "e9", "--message", "x"], ""),
        (&["tell", "--task", "e3", "--message", "x"], ""),
        (&["rerun", "--from", "e3", "--message", " "], ""),
        (&["usage", "--by", "model", "--run", "last"], "playbook-author/script"),
        (&["usage", "--advice"], "nothing to advise from"),
        (&["usage", "--advice", "--json"], "[]"),
        (&["budget"], "$100.00"),
        (&["budget", "alerts"], "no scope"),
        (&["models"], ""),
        (&["route", "Prove this lemma", "--explain"], "confidence"),
        (&["route", "Prove this lemma", "--json"], "candidates"),
        (&["route", "x", "--context", "5m"], ""),
        (&["policy", "test", "--", "git push"], "confirm git.push"),
        (&["policy", "test", "--json", "--", "rm -rf /"], "block"),
        (
            &["policy", "path", "--op", "write", "--cwd", "/", "--", "/etc/passwd"],
            "block",
        ),
        (
            &["policy", "path", "--op", "fly", "--cwd", "/", "--", "/etc/passwd"],
            "",
        ),
        (&["policy", "list"], "git.push"),
        (&["policy", "explain", "git.push"], "git push"),
        (&["policy", "explain", "git.fly", "--json"], ""),
        (&["config", "show", "--origin"], "# default"),
        (&["agents"], "claude"),
        (&["agents", "--help"], "--server"),
        (&["agents", "list", "--json"], "claude"),
        (&["agents", "probe", "--json"], "claude"),
        (&["doctor", "--json"], "git"),
        (&["audit", "verify"], "whole"),
    ] {
        let [local, remote] = both.same(args);
        assert!(remote.out.contains(told), "{args:?}: {}", remote.out);
        // What cannot be printed is an error that says what to do.
        assert!(!(local.out.is_empty() && local.err.is_empty()), "{args:?} says nothing");
    }
    both.same_shape(&["runs", "--json"]);
    let [_, shown] = both.same_shape(&["show", "--json"]);
    assert_eq!(shown["state"]["state"], "completed");
    for events in both.run(&["events"]) {
        assert_eq!(lines(&events.out)[0]["kind"], "run.submitted");
    }
    let [_, all] = both.run(&["events", "--since", "0"]);
    let one = both.there.run(&["events"]);
    let numbered = lines(&all.out);
    assert_eq!(numbered.len(), lines(&one.out).len());
    assert!(numbered.iter().all(|event| event["number"].is_u64()));
    let followed = both.there.run(&["events", "--follow"]);
    assert_eq!(
        (followed.code, followed.out),
        (0, one.out),
        "a finished run is followed to its end"
    );
    let tail = both.there.run(&["tail", "last"]);
    assert!(
        tail.code == 0 && tail.out.contains("completed: confidence"),
        "{}",
        tail.out
    );
    let trail = both.there.run(&["audit", "tail", "-n", "1000"]).out;
    assert!(
        trail.contains("run.submitted") && trail.contains("task.started"),
        "{trail}"
    );
    let exported = both.there.run(&["audit", "export"]).out;
    let kept = fs::read_to_string(server.home.path().join(".local/share/maestria/audit/audit.jsonl")).unwrap();
    assert_eq!(exported, kept, "the trail is exported as it stands");
    let [_, rules] = both.same_shape(&["policy", "list", "--json"]);
    assert!(rules.as_array().unwrap().len() > 20);

    both.same(&["review"]);
    both.same(&["apply"]);
    both.same(&["apply"]);
    both.same(&["discard"]);
    let applied = |scene: &Scene| fs::read_to_string(scene.home.path().join("app/greet.sh")).unwrap();
    assert_eq!(applied(&here), applied(&server));
    let [ended, there] = run("--json").map(|left| serde_json::from_str::<Value>(&left.out).unwrap());
    assert_eq!(ended["state"], there["state"]);
}

/// A plan is the same here and there, and leaves nothing behind.
#[test]
fn a_dry_run_says_the_same_here_and_there() {
    let here = Scene::asleep("");
    let server = Scene::new("");
    let both = Both {
        here: &here,
        there: Caller::of(&server),
    };
    let dry = |task, more: &[&'static str]| [&["run", task, "--target", "TARGET", "--dry-run"], more].concat();
    let [_, scripted] = both.same(&dry(TASK, &["--agents", "playbook-author,playbook-reviewer"]));
    assert!(
        scripted.code == 0 && scripted.out.contains("scripted") && scripted.out.contains("group 2"),
        "{}{}",
        scripted.out,
        scripted.err
    );
    let [_, ruled] = both.same(&dry("Add a flag. Then update README.md", &["--workflow", "plan"]));
    assert!(
        ruled.out.contains("planned by") && ruled.out.contains("estimate: "),
        "{}{}",
        ruled.out,
        ruled.err
    );
    for [here, there] in [both.run(&dry("x", &["--workflow", "devlop"])), both.run(&dry(" ", &[]))] {
        assert_eq!((here.code, there.code), (1, 1), "{}{}", here.err, there.err);
    }
    both.same(&["runs"]);
    assert!(both.there.run(&["runs"]).out.contains("no runs yet"));
    let body = json!({"text": TASK, "target": server.target(), "agents": ["playbook-author", "playbook-reviewer"]});
    let planned = server.post("/plans", &body.to_string());
    assert_eq!(planned.status, 200, "{planned:?}");
    let plan = planned.json();
    let tasks = plan["tasks"].as_object().unwrap().len();
    assert_eq!(plan["graph"]["nodes"].as_array().unwrap().len(), tasks);
    assert!(tasks > 1 && plan["estimate"]["tokens"].as_u64().unwrap() > 0, "{plan}");
    let unknown = server.get(&format!("/runs/{}", plan["id"].as_str().unwrap()));
    assert_eq!(unknown.code(), "unknown-run");
    let sessions = server.home.path().join(".local/share/maestria/workspaces");
    assert!(!sessions.exists() && !server.home.path().join("app/.git/worktrees").exists());
    let elsewhere = server.post("/plans", r#"{"text":"x","target":"/nowhere/at/all"}"#);
    assert_eq!(elsewhere.code(), "bad-target");
}

/// A configuration whose only agent does nothing.
fn idle() -> String {
    with_agent(&json!({"turns": [[{"say": "nothing to do"}]]}))
}

pub(super) fn with_agent(plan: &Value) -> String {
    let fake = maestria_testkit::built::program("fake-agent").unwrap();
    format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n[limits]\nretries = 1\n",
        json!(fake),
        json!(plan.to_string())
    )
}

#[test]
fn questions_are_answered_the_same_here_and_there() {
    let here = Scene::asleep(&idle());
    let server = Scene::new(&idle());
    let both = Both {
        here: &here,
        there: Caller::of(&server),
    };
    let run = ["run", "Make a file", "--target", "TARGET", "--no-dashboard"];
    let taken = both.run(&[&run[..], &["--yes", "--json"]].concat());
    for ended in &taken {
        let answers: Value = serde_json::from_str(&ended.out).unwrap();
        let choice = |decision: &Value| decision["answer"]["choice"].clone();
        let choices: Vec<Value> = answers["decisions"].as_array().unwrap().iter().map(choice).collect();
        assert_eq!(
            (ended.code, choices),
            (3, vec![json!("retry"), json!("skip")]),
            "{}",
            ended.err
        );
    }
    let [waits, there] = both.run(&run);
    assert_eq!((waits.code, there.code), (9, 9), "{}{}", waits.err, there.err);
    both.same(&["decisions"]);
    let [one, other] = both
        .same_shape(&["decisions", "list", "--json"])
        .map(|open| open[0]["id"].as_str().unwrap().to_owned());
    both.there.run(&["decisions", "show", &other]);
    for (left, told) in [
        (
            both.there.run(&["decisions", "approve", &other, "--option", "raise"]),
            "is no option",
        ),
        (
            both.there.run(&["decisions", "deny", &one, "--because", "x"]),
            "no open decision",
        ),
    ] {
        assert!(left.code == 1 && left.err.contains(told), "{}", left.err);
    }
    let denied = both
        .there
        .run(&["decisions", "deny", &other, "--because", "not worth it"]);
    assert!(denied.code == 0 && denied.err.contains("goes on"), "{}", denied.err);
    let again = both
        .there
        .run(&["decisions", "deny", &other, "--because", "not worth it"]);
    assert_eq!(again.code, 1, "{}", again.err);
    let ended = both.there.run(&["events", "--follow"]);
    let last = lines(&ended.out)
        .into_iter()
        .rfind(|event| event["kind"] == "run.transitioned");
    assert_eq!(last.unwrap()["to"]["state"], "aborted");
    let retried = both.there.run(&["retry", "--jsonl"]);
    assert_eq!(retried.code, 9, "{}", retried.err);
    let aborted = both.there.run(&["abort", "--because", "enough"]);
    assert!(
        aborted.code == 0 && aborted.err.contains("is aborted"),
        "{}",
        aborted.err
    );
    let paused = both.there.run(&["pause"]);
    assert!(paused.code == 1 && paused.err.contains("is aborted"), "{}", paused.err);
}

#[test]
fn questions_of_a_server_are_answered_in_the_live_view() {
    let server = Scene::new(&idle());
    let caller = Caller::of(&server);
    let mut command = caller.command(&["run", "Make a file", "--target", &server.target()]);
    let (mut terminal, mut child) = Terminal::new(command.env("TERM", "xterm-256color"));
    terminal.until("What now?");
    terminal.type_line("1");
    // Until it is tried again, the first question stands.
    terminal.until("(attempt 2)");
    terminal.until("type 1 retry");
    terminal.type_line("d");
    terminal.until("aborted");
    assert_eq!(child.wait().unwrap().code(), Some(8));
}
