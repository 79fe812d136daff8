//! The fake agents do what their plan says, in each protocol.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use maestria_testkit::{Lines, TestHome};
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(20);

fn command(role: &str, plan: &Value, home: &TestHome) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-agent"));
    command
        .env_clear()
        .envs(home.env())
        .env("FAKE_AGENT_AS", role)
        .env("FAKE_AGENT_PLAN", plan.to_string());
    command.current_dir(home.work());
    command
}

fn claude(plan: &Value, home: &TestHome) -> Lines {
    let mut command = command("claude", plan, home);
    command.args([
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
    ]);
    Lines::spawn(command).unwrap()
}

fn user(text: &str) -> Value {
    json!({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": text}]}})
}

async fn result(agent: &mut Lines) -> Value {
    agent.until(PATIENCE, |line| line["type"] == "result").await.unwrap()
}

/// Waits for a file to appear.
async fn appears(path: &Path) -> String {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        assert!(tokio::time::Instant::now() < end, "{} never appeared", path.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn claude_writes_what_the_host_rewrote_and_reports_denials() {
    let home = TestHome::new().unwrap();
    let write = json!({"write": {"path": "a.txt", "content": "mine"}});
    let mut agent = claude(&json!({"turns": [[write, {"say": "done"}]]}), &home);
    agent
        .send(&json!({"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}}))
        .await
        .unwrap();
    agent
        .until(PATIENCE, |line| line["type"] == "control_response")
        .await
        .unwrap();
    for (answer, denials) in [
        (
            json!({"behavior": "allow", "updatedInput": {"file_path": "a.txt", "content": "the host's"}}),
            0,
        ),
        (json!({"behavior": "deny", "message": "no"}), 1),
    ] {
        agent.send(&user("go")).await.unwrap();
        let question = agent
            .until(PATIENCE, |line| line["request"]["subtype"] == "can_use_tool")
            .await
            .unwrap();
        let response = json!({"subtype": "success", "request_id": question["request_id"], "response": answer});
        agent
            .send(&json!({"type": "control_response", "response": response}))
            .await
            .unwrap();
        let result = result(&mut agent).await;
        assert_eq!(
            (&result["subtype"], &result["is_error"]),
            (&json!("success"), &json!(false))
        );
        assert_eq!(result["permission_denials"].as_array().unwrap().len(), denials);
        assert_eq!(
            std::fs::read_to_string(home.work().join("a.txt")).unwrap(),
            "the host's"
        );
    }
    assert!(agent.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn claude_is_limited_then_hangs_until_interrupted_then_works() {
    let home = TestHome::new().unwrap();
    let plan = json!({"turns": [[{"fail": "rate_limit"}], ["hang"], [{"say": "fine"}]]});
    let mut agent = claude(&plan, &home);
    agent.send(&user("one")).await.unwrap();
    let limited = result(&mut agent).await;
    assert_eq!(
        (&limited["is_error"], &limited["api_error_status"]),
        (&json!(true), &json!(429))
    );
    assert!(agent.seen().iter().any(|line| line["subtype"] == "api_retry"));
    agent.send(&user("two")).await.unwrap();
    agent
        .send(&json!({"type": "control_request", "request_id": "9", "request": {"subtype": "interrupt"}}))
        .await
        .unwrap();
    assert_eq!(result(&mut agent).await["subtype"], "error_during_execution");
    agent.send(&user("three")).await.unwrap();
    assert_eq!(result(&mut agent).await["result"], "fine");
    assert_eq!(agent.wait(PATIENCE).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn claude_one_shot_refuses_by_its_mode_and_still_exits_0() {
    let home = TestHome::new().unwrap();
    let write = json!({"write": {"path": "a.txt", "content": "mine"}});
    for (mode, denials) in [("default", 1), ("acceptEdits", 0)] {
        let mut command = command("claude", &json!({"turns": [[write]]}), &home);
        command.args(["-p", "go", "--output-format", "stream-json", "--permission-mode", mode]);
        let mut agent = Lines::spawn(command).unwrap();
        assert_eq!(
            result(&mut agent).await["permission_denials"].as_array().unwrap().len(),
            denials
        );
        assert!(agent.wait(PATIENCE).await.unwrap().success());
        assert_eq!(home.work().join("a.txt").exists(), denials == 0);
    }
}

async fn codex(plan: &Value, home: &TestHome) -> Lines {
    let mut command = command("codex", plan, home);
    command.arg("app-server");
    let mut agent = Lines::spawn(command).unwrap();
    agent
        .send(&json!({"id": 1, "method": "initialize", "params": {}}))
        .await
        .unwrap();
    agent.send(&json!({"method": "initialized"})).await.unwrap();
    agent
        .send(&json!({"id": 2, "method": "thread/start", "params": {"cwd": home.work()}}))
        .await
        .unwrap();
    agent
        .until(PATIENCE, |line| {
            line["id"] == 2 && line["result"]["thread"]["id"].is_string()
        })
        .await
        .unwrap();
    agent
        .send(&json!({"id": 3, "method": "turn/start", "params": {"input": [{"type": "text", "text": "go"}]}}))
        .await
        .unwrap();
    agent
}

async fn completed(agent: &mut Lines) -> Value {
    agent
        .until(PATIENCE, |line| line["method"] == "turn/completed")
        .await
        .unwrap()["params"]["turn"]
        .clone()
}

#[tokio::test]
async fn codex_asks_declines_and_keeps_quiet_about_what_it_refused_itself() {
    let home = TestHome::new().unwrap();
    let acts = json!([
        {"write": {"path": "a.txt", "content": "x"}}, {"write": {"path": "b.txt", "content": "x"}},
        {"shell": "echo out; exit 3"}, {"refused_write": {"path": "/outside"}},
    ]);
    let mut agent = codex(&json!({"turns": [acts]}), &home).await;
    for decision in ["accept", "decline", "accept"] {
        let question = agent
            .until(PATIENCE, |line| {
                line["method"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("requestApproval"))
            })
            .await
            .unwrap();
        agent
            .send(&json!({"id": question["id"], "result": {"decision": decision}}))
            .await
            .unwrap();
    }
    assert_eq!(completed(&mut agent).await["status"], "completed");
    let done = agent
        .seen()
        .iter()
        .filter(|line| line["method"] == "item/completed")
        .map(|line| &line["params"]["item"]);
    let states: Vec<_> = done
        .map(|item| (item["status"].as_str().unwrap(), item["exitCode"].as_i64()))
        .collect();
    assert_eq!(states, [("completed", None), ("declined", None), ("failed", Some(3))]);
    assert!(home.work().join("a.txt").exists() && !home.work().join("b.txt").exists());
    assert!(agent.wait(PATIENCE).await.unwrap().success());
    assert!(
        agent
            .stderr()
            .contains("patch rejected: writing outside of the project")
    );
}

#[tokio::test]
async fn codex_fails_and_is_interrupted_in_its_own_shapes() {
    let home = TestHome::new().unwrap();
    let mut limited = codex(&json!({"turns": [[{"fail": "rate_limit"}]]}), &home).await;
    let turn = completed(&mut limited).await;
    assert_eq!(turn["status"], "failed");
    assert_eq!(
        turn["error"]["codexErrorInfo"]["responseTooManyFailedAttempts"]["httpStatusCode"],
        429
    );
    let mut hung = codex(&json!({"turns": [["hang"]]}), &home).await;
    hung.until(PATIENCE, |line| line["method"] == "turn/started")
        .await
        .unwrap();
    hung.send(&json!({"id": 4, "method": "turn/interrupt", "params": {}}))
        .await
        .unwrap();
    assert_eq!(completed(&mut hung).await["status"], "interrupted");
}

async fn acp(plan: &Value, home: &TestHome) -> Lines {
    let mut agent = Lines::spawn(command("acp", plan, home)).unwrap();
    agent
        .send(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": 1}}))
        .await
        .unwrap();
    agent
        .send(&json!({"jsonrpc": "2.0", "id": 2, "method": "session/new", "params": {"cwd": home.work()}}))
        .await
        .unwrap();
    let prompt = json!([{"type": "text", "text": "go"}]);
    agent
        .send(&json!({"jsonrpc": "2.0", "id": 3, "method": "session/prompt", "params": {"prompt": prompt}}))
        .await
        .unwrap();
    agent
}

#[tokio::test]
async fn acp_asks_fails_and_is_cancelled() {
    let home = TestHome::new().unwrap();
    let mut agent = acp(
        &json!({"turns": [[{"write": {"path": "a.txt", "content": "x"}}, "hang"]]}),
        &home,
    )
    .await;
    let question = agent
        .until(PATIENCE, |line| line["method"] == "session/request_permission")
        .await
        .unwrap();
    let outcome = json!({"outcome": {"outcome": "selected", "optionId": "once"}});
    agent
        .send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": outcome}))
        .await
        .unwrap();
    agent
        .until(PATIENCE, |line| line["params"]["update"]["status"] == "completed")
        .await
        .unwrap();
    assert!(home.work().join("a.txt").exists());
    agent
        .send(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {}}))
        .await
        .unwrap();
    let end = agent.until(PATIENCE, |line| line["id"] == 3).await.unwrap();
    assert_eq!(end["result"]["stopReason"], "cancelled");
    let mut refused = acp(&json!({"turns": [[{"fail": "auth"}]]}), &home).await;
    assert_eq!(
        refused.until(PATIENCE, |line| line["id"] == 3).await.unwrap()["error"]["code"],
        401
    );
}

#[tokio::test]
async fn bad_lines_are_as_bad_as_planned() {
    let home = TestHome::new().unwrap();
    let acts = json!(["invalid_utf8", "truncated_json", {"long_line": 52_428_800}, {"exit": 7}]);
    let mut agent = claude(&json!({"turns": [acts]}), &home);
    agent.send(&user("go")).await.unwrap();
    agent
        .until(PATIENCE, |line| {
            line.as_str().is_some_and(|text| text.ends_with("cut in the mid"))
        })
        .await
        .unwrap();
    let long = agent.until(PATIENCE, |line| line["type"] == "noise").await.unwrap();
    let bytes = long["text"].as_str().unwrap().len();
    assert_eq!(bytes, 52_428_800);
    assert_eq!(agent.wait(PATIENCE).await.unwrap().code(), Some(7));
    let utf8: Vec<_> = agent
        .seen()
        .iter()
        .filter(|line| line.to_string().contains('\u{fffd}'))
        .collect();
    assert_eq!(utf8.len(), 1);
}

#[tokio::test]
async fn it_dies_in_the_middle_of_a_line() {
    let home = TestHome::new().unwrap();
    let mut agent = claude(
        &json!({"turns": [[{"say": "a"}, {"say": "b"}]], "die_after_lines": 2}),
        &home,
    );
    agent.send(&user("go")).await.unwrap();
    let torn = agent.until(PATIENCE, Value::is_string).await.unwrap();
    assert!(torn.as_str().unwrap().starts_with('{'), "{torn}");
    assert!(!agent.wait(PATIENCE).await.unwrap().success());
    assert_eq!(agent.seen().len(), 3);
}

#[tokio::test]
async fn it_ignores_term_when_told() {
    let home = TestHome::new().unwrap();
    let mut agent = claude(&json!({"ignore_term": true}), &home);
    // Its first answer proves that the handlers are in place.
    agent.send(&user("one")).await.unwrap();
    result(&mut agent).await;
    let pid = rustix::process::Pid::from_raw(agent.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    agent.send(&user("two")).await.unwrap();
    assert_eq!(result(&mut agent).await["result"], "ok");
}

/// The session as the kernel's table shows it: 0 where its leader lies outside this PID namespace,
/// as a container's own can, which `getsid` has no value for.
fn session_of(process: &str) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    after_name.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_leaves_a_detached_process_behind() {
    let home = TestHome::new().unwrap();
    let file = home.path().join("pid");
    let mut agent = claude(&json!({"turns": [[{"detach": file}]]}), &home);
    agent.send(&user("go")).await.unwrap();
    result(&mut agent).await;
    assert!(agent.wait(PATIENCE).await.unwrap().success());
    let pid = rustix::process::Pid::from_raw(appears(&file).await.parse().unwrap()).unwrap();
    assert_ne!(
        session_of(&pid.to_string()),
        session_of("self"),
        "it must have a session of its own"
    );
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn it_answers_questions_about_itself() {
    let home = TestHome::new().unwrap();
    let ask = async |role: &str, plan: Value, words: &[&str]| {
        let mut command = command(role, &plan, &home);
        let said = command.args(words).stdin(Stdio::null()).output().await.unwrap();
        (
            said.status.code(),
            String::from_utf8([said.stdout, said.stderr].concat()).unwrap(),
        )
    };
    assert_eq!(
        ask("claude", json!({}), &["--version"]).await,
        (Some(0), "2.1.329 (Claude Code)\n".into())
    );
    assert_eq!(
        ask("codex", json!({"version": "codex-cli 9.9"}), &["--version"])
            .await
            .1,
        "codex-cli 9.9\n"
    );
    let lacking = json!({"missing_flags": ["--permission-prompt-tool"]});
    assert!(
        !ask("claude", lacking.clone(), &["--help"])
            .await
            .1
            .contains("--permission-prompt-tool")
    );
    let (code, said) = ask("claude", lacking, &["-p", "x", "--permission-prompt-tool", "stdio"]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("--permission-prompt-tool"));
    assert_eq!(
        ask("codex", json!({"logged_out": true}), &["login", "status"]).await,
        (Some(1), "Not logged in\n".into())
    );
    assert!(
        ask("claude", json!({}), &["auth", "status"])
            .await
            .1
            .contains("\"loggedIn\":true")
    );
    assert_eq!(
        ask("acp", json!({"exit_at_start": 3, "stderr_at_start": "no"}), &[]).await,
        (Some(3), "no\n".into())
    );
    assert_eq!(ask("acp", json!({"tunrs": []}), &[]).await.0, Some(64));
}

#[tokio::test]
async fn prompts_are_counted_over_processes_or_bring_their_own_acts() {
    let home = TestHome::new().unwrap();
    let counter = home.path().join("count");
    let plan = json!({"turns": [[{"say": "first"}], [{"say": "second"}]], "counter": counter});
    for (prompt, said) in [
        ("go", "first"),
        ("go", "second"),
        (r#"@acts [{"say":"own"}] please"#, "own"),
        ("go", "second"),
    ] {
        let mut agent = claude(&plan, &home);
        agent.send(&user(prompt)).await.unwrap();
        assert_eq!(result(&mut agent).await["result"], said);
    }
}
