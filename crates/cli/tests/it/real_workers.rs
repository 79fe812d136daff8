//! The real CLIs as workers of a whole run, their models on the gateway. Run by `cargo xtask contract`.

use crate::workers::{REAL_KEY, Scene};
use maestria_testkit::{RealCli, model::ModelServer};
use serde_json::{Value, json};

/// What the CLI is scripted to do; the file that it leaves shows its environment.
const TASK: &str = r#"Make a file @script {"steps":[{"shell":"env > seen.txt"},{"text":"wrote it"}]}"#;

async fn works(cli: RealCli, name: &str, kind: &str, model: &str) {
    let Some(path) = cli.find_or_skip() else { return };
    let server = ModelServer::start().await;
    let agent = format!(
        "[agents.{name}]\nkind = \"{kind}\"\ncommand = {}\nmodel = \"{model}\"\n[checks]\ncommand = [\"true\"]\n",
        json!(path)
    );
    let scene = Scene::new(&server, &agent, "");
    let ended = scene.run(&[
        "run",
        TASK,
        "--target",
        "app",
        "--workflow",
        "solo",
        "--agents",
        name,
        "--jsonl",
    ]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let calls = scene.events("model.called");
    assert!(calls.len() >= 2, "{calls:?}");
    let well = |call: &Value| call["model"].as_str().is_some_and(|m| m.starts_with("vendor/"));
    assert!(calls.iter().all(well), "{calls:?}");
    for by in ["run", "task", "agent"] {
        let (told, booked) = scene.costs(by);
        assert!(told > 0 && told == booked, "by {by}: {told} and {booked} micro-dollars");
    }
    let usage = scene.run(&["usage", "--by", "agent", "--csv"]).out;
    assert!(
        usage.lines().nth(1).is_some_and(|line| line.starts_with(name)),
        "{usage}"
    );
    let seen = scene.made("seen.txt");
    assert!(seen.contains("PATH=") && !seen.contains(REAL_KEY), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claude() {
    works(RealCli::Claude, "claude", "claude", "claude-sonnet-4-5").await;
}

/// Codex speaks the responses dialect to a provider that speaks Anthropic's.
#[tokio::test(flavor = "multi_thread")]
async fn codex() {
    works(RealCli::Codex, "codex", "codex", "gpt-5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini() {
    works(RealCli::Gemini, "gemini", "gemini", "gemini-2.5-flash").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode() {
    works(RealCli::Opencode, "opencode", "opencode", "claude-sonnet-4-5").await;
}
