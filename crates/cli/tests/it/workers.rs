//! Workers of a run on the gateway: what they are given, what is counted, what is refused.

use crate::process::{Left, left, program};
use maestria_testkit::model::ModelServer;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The key that no worker may ever see.
pub(crate) const REAL_KEY: &str = "sk-the-real-one-0123456789";

/// A home with a provider on a model server, agents, and a repository.
pub(crate) struct Scene {
    home: tempfile::TempDir,
}

impl Scene {
    /// `agents` are tables of the configuration file, `gateway` lines of `[gateway]`.
    pub(crate) fn new(server: &ModelServer, agents: &str, gateway: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let url = server.base_url();
        let config = format!(
            "[gateway]\n{gateway}\n[limits]\nretries = 1\n[providers.vendor]\ndialect = \"anthropic\"\nbase_url = \"{url}\"\n\
             key = \"{REAL_KEY}\"\nmodels = [\"claude-sonnet-4-5\", \"gpt-5\", \"gemini-2.5-flash\"]\n{agents}\n"
        );
        fs::write(home.path().join("config.toml"), config).unwrap();
        // One worker and nothing else, so that each call is the worker's.
        let workflows = home.path().join("workflows");
        fs::create_dir(&workflows).unwrap();
        let solo = "name = \"solo\"\ndescription = \"Plan and edit.\"\nstages = [\"plan\", \"edit\"]\n\
                    [limits]\nretries = 1\nconfidence_percent = 0\n";
        fs::write(workflows.join("solo.toml"), solo).unwrap();
        let target = home.path().join("app");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("README.md"), "An app.\n").unwrap();
        let scene = Self { home };
        scene.git(&["init", "-q", "-b", "main"]);
        scene.git(&["add", "-A"]);
        scene.git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@localhost",
            "commit",
            "-qm",
            "begin",
        ]);
        scene
    }

    pub(crate) fn git(&self, words: &[&str]) {
        let mut git = Command::new("git");
        let target = self.home().join("app");
        git.args(words).current_dir(target).env_clear().env("HOME", self.home());
        git.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        assert!(git.status().unwrap().success());
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn config(&self) -> PathBuf {
        self.home().join("config.toml")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Left {
        let config = self.config().display().to_string();
        let mut words = vec!["--config", &config];
        words.extend_from_slice(args);
        left(&program(self.home(), &words).output().unwrap())
    }

    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let log = self.run(&["events"]).out;
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["kind"] == kind).collect()
    }

    /// What the run has cost by its own log, in micro-dollars; and what the books say, by this.
    pub(crate) fn costs(&self, by: &str) -> (i64, i64) {
        let told = self.events("model.called");
        let told = told.iter().map(|e| e["usage"]["cost"].as_i64().unwrap()).sum();
        let csv = self.run(&["usage", "--by", by, "--csv"]).out;
        let of = |line: &str| {
            let dollars = line.split(',').nth(6).unwrap().to_owned();
            dollars.replace('.', "").parse::<i64>().unwrap()
        };
        (told, csv.lines().skip(1).map(of).sum())
    }

    /// A file of the run's work.
    pub(crate) fn made(&self, file: &str) -> String {
        let applied = self.run(&["apply"]);
        assert_eq!(applied.code, 0, "{}", applied.err);
        fs::read_to_string(self.home().join("app").join(file)).unwrap()
    }
}

fn fake(plan: &Value) -> String {
    let program = maestria_testkit::built::program("fake-agent").unwrap();
    format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n",
        json!(program),
        json!(plan.to_string())
    )
}

/// Calls its model twice, looks around, and leaves a file.
fn busy() -> Value {
    json!({"turns": [[
        {"call": "first"}, {"call": "second"}, {"shell": "env > seen.txt"}, {"say": "all done"},
    ]]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_a_key_of_its_own_and_every_token_is_counted_once() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, &fake(&busy()), "");
    let ended = scene.run(&[
        "run",
        "Make a file",
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        "claude",
        "--jsonl",
    ]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(
        ended.out.contains("models through the gateway"),
        "every face says so: {}",
        ended.out
    );
    assert!(ended.out.contains("200 {"), "the calls were answered: {}", ended.out);
    let calls = scene.events("model.called");
    assert_eq!(
        calls.len(),
        2,
        "what the stream says of its cost counts for nothing: {calls:?}"
    );
    let well = |call: &Value| call["model"] == "vendor/claude-sonnet-4-5" && call["task"].is_string();
    assert!(calls.iter().all(well), "{calls:?}");
    for by in ["run", "task", "agent", "model", "client"] {
        let (told, booked) = scene.costs(by);
        assert!(told > 0 && told == booked, "by {by}: {told} and {booked} micro-dollars");
    }
    let agents = scene.run(&["usage", "--by", "agent"]).out;
    assert!(agents.contains("claude"), "{agents}");
    let budget = scene.run(&["budget"]).out;
    assert!(!budget.contains("gateway-"), "{budget}");
    let day = budget.lines().rfind(|line| line.starts_with("day ")).unwrap();
    assert_eq!(
        day.split_whitespace().nth(2),
        Some("$0.00"),
        "nothing is held any more: {budget}"
    );
    let taught = scene.run(&["models", "train"]);
    assert!(
        taught.out.contains("1 examples from runs"),
        "the task is one: {}{}",
        taught.out,
        taught.err
    );
    let seen = scene.made("seen.txt");
    assert!(seen.contains("ANTHROPIC_API_KEY=mk_") && seen.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:"));
    let kept = fs::read_to_string(scene.home().join("config.toml")).unwrap();
    assert!(
        kept.contains(REAL_KEY) && !seen.contains(REAL_KEY),
        "the real key is not the worker's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_money_is_refused_before_the_call_and_asks_a_person() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, &fake(&busy()), "");
    let args = [
        "run",
        "Make a file",
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        "claude",
        "--budget",
        "0.000001",
    ];
    let ended = scene.run(&args);
    assert_eq!(ended.code, 6, "{}{}", ended.out, ended.err);
    assert_eq!(server.asked(), 0, "nothing was spent");
    let refused = scene.events("budget.refused");
    assert!(
        refused[0]["because"].as_str().unwrap().contains("budget of run"),
        "{refused:?}"
    );
    assert_eq!(scene.events("model.called").len(), 0);
    assert!(scene.run(&["decisions"]).out.contains("budget"), "a person is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_spends_counts_for_its_project() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, &fake(&busy()), "");
    let words = "run|Make a file|--target|app|--workflow|solo|--agents|claude";
    let words: Vec<&str> = words.split('|').collect();
    assert_eq!(scene.run(&words).code, 0);
    let usage = scene.run(&["usage", "--by", "project", "--csv"]).out;
    assert!(usage.lines().any(|line| line.starts_with("app,2,")), "{usage}");

    let poor = Scene::new(&server, &fake(&busy()), "[budget.project]\ndefault = 0.000001");
    let asked = server.asked();
    poor.run(&words);
    assert_eq!(server.asked(), asked, "nothing was spent");
    let refused = poor.events("budget.refused");
    assert!(
        refused[0]["because"]
            .as_str()
            .unwrap()
            .contains("budget of project app"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_in_the_log_of_the_run_that_set_it_off() {
    let server = ModelServer::start().await;
    let budget = "[budget]\nalert = 0.01\n[budget.project]\ndefault = 0.01";
    let scene = Scene::new(&server, &fake(&busy()), budget);
    let words = "run|Make a file|--target|app|--workflow|solo|--agents|claude";
    let words: Vec<&str> = words.split('|').collect();
    let ended = scene.run(&words);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let alerts = scene.events("budget.alerted");
    let [alert] = alerts.as_slice() else {
        panic!("once a day and budget: {alerts:?}")
    };
    assert_eq!(
        (&alert["account"], &alert["percent"]),
        (&json!("project app"), &json!(1))
    );
    assert!(alert["task"].is_string(), "{alert}");
    let told = scene.run(&["tail", "last"]).out;
    assert!(told.contains("1 % of the budget of project app"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn never_means_never_and_is_told() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, &fake(&busy()), "workers = \"never\"");
    let probed = scene.run(&["agents", "probe"]).out;
    assert!(probed.contains("not through the gateway"), "{probed}");
    let ended = scene.run(&[
        "run",
        "Make a file",
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        "claude",
    ]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(server.asked(), 0);
    let calls = scene.events("model.called");
    assert!(calls.iter().all(|call| call["model"] == "fake-model"), "{calls:?}");
    let usage = scene.run(&["usage", "--by", "project", "--csv"]).out;
    assert!(usage.lines().any(|line| line.starts_with("app,")), "{usage}");
    let wrong = Scene::new(&server, "", "workers = \"sometimes\"").run(&["agents"]);
    assert!(
        wrong.code == 1 && wrong.err.contains("gateway.workers"),
        "{}",
        wrong.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn native_agents_are_in_the_books_too() {
    let server = ModelServer::start().await;
    let scene = Scene::new(&server, "", "");
    let task = r#"Make a file @script {"steps":[{"write":{"path":"made.txt","content":"x\n"}},{"text":"done"}]}"#;
    let ended = scene.run(&[
        "run",
        task,
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        "native-vendor",
    ]);
    let (told, booked) = scene.costs("run");
    assert!(
        told > 0 && told == booked,
        "{told} {booked}: {}{}",
        ended.out,
        ended.err
    );
}
