//! Each real CLI does one whole write turn against the model server.
//!
//! Skipped, with a line that says so, where the CLI is not installed; a failure there when `CI=true`.

use std::time::Duration;

use maestria_testkit::model::{Script, Step};
use maestria_testkit::{Launch, Lines, ModelServer, RealCli, TestHome};
use serde_json::{Value, json};

/// Starting a CLI on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
const WRITTEN: &str = "hello from the script\n";

struct Stage {
    home: TestHome,
    server: ModelServer,
    launch: Launch,
}

impl Stage {
    /// `None` when the CLI is not there and that is all right.
    async fn set(cli: RealCli) -> Option<Self> {
        cli.find_or_skip()?;
        let home = TestHome::new().unwrap();
        home.git_init().unwrap();
        let server = ModelServer::start().await;
        let launch = cli.launch(&server.base_url(), &home.path()).unwrap();
        launch.prepare().unwrap();
        Some(Self { home, server, launch })
    }

    fn spawn(&self) -> Lines {
        Lines::spawn(self.launch.command(&self.home.work())).unwrap()
    }

    fn prompt() -> String {
        let write = Step::Write {
            path: "src/hello.txt".into(),
            content: WRITTEN.into(),
        };
        let script = Script::of([write, Step::Text("wrote it".into())]);
        format!("please write the file {}", script.directive())
    }

    fn written(&self) -> Option<String> {
        std::fs::read_to_string(self.home.work().join("src/hello.txt")).ok()
    }

    fn asked(&self) -> Vec<String> {
        self.server
            .requests()
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }
}

fn says(lines: &[Value], text: &str) -> bool {
    lines.iter().any(|line| line.to_string().contains(text))
}

/// What an ACP agent said, its chunks joined.
fn spoken(lines: &[Value]) -> String {
    let updates = lines.iter().map(|line| &line["params"]["update"]);
    let chunks = updates.filter(|update| update["sessionUpdate"] == "agent_message_chunk");
    chunks.filter_map(|update| update["content"]["text"].as_str()).collect()
}

#[tokio::test]
async fn claude_writes_when_the_host_allows_it() {
    let Some(stage) = Stage::set(RealCli::Claude).await else {
        return;
    };
    let mut claude = stage.spawn();
    claude.send(&json!({"type": "control_request", "request_id": "req_1", "request": {"subtype": "initialize", "hooks": null}})).await.unwrap();
    claude
        .until(PATIENCE, |line| line["type"] == "control_response")
        .await
        .unwrap();
    let content = json!([{"type": "text", "text": Stage::prompt()}]);
    claude.send(&json!({"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": null, "session_id": ""})).await.unwrap();
    let question = claude
        .until(PATIENCE, |line| line["request"]["subtype"] == "can_use_tool")
        .await
        .unwrap();
    assert_eq!(question["request"]["tool_name"], "Write");
    assert_eq!(
        stage.written(),
        None,
        "nothing may be written before the host allows it"
    );
    let allow = json!({"behavior": "allow", "updatedInput": question["request"]["input"]});
    let response = json!({"subtype": "success", "request_id": question["request_id"], "response": allow});
    claude
        .send(&json!({"type": "control_response", "response": response}))
        .await
        .unwrap();
    let result = claude.until(PATIENCE, |line| line["type"] == "result").await.unwrap();
    assert_eq!(result["is_error"], false, "{result}");
    assert_eq!(result["result"], "wrote it");
    assert_eq!(stage.written().as_deref(), Some(WRITTEN), "{:?}", stage.asked());
    assert!(claude.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn codex_app_server_writes_when_the_host_accepts() {
    let Some(stage) = Stage::set(RealCli::Codex).await else {
        return;
    };
    let mut codex = stage.spawn();
    let client = json!({"name": "testkit", "title": "testkit", "version": "0.1.0"});
    codex
        .send(&json!({"id": 1, "method": "initialize", "params": {"clientInfo": client}}))
        .await
        .unwrap();
    codex.until(PATIENCE, |line| line["id"] == 1).await.unwrap();
    codex.send(&json!({"method": "initialized"})).await.unwrap();
    let params = json!({"model": stage.launch.model, "cwd": stage.home.work(), "approvalPolicy": "untrusted", "sandbox": "workspace-write"});
    codex
        .send(&json!({"id": 2, "method": "thread/start", "params": params}))
        .await
        .unwrap();
    let thread = codex.until(PATIENCE, |line| line["id"] == 2).await.unwrap();
    let input = json!([{"type": "text", "text": Stage::prompt()}]);
    codex.send(&json!({"id": 3, "method": "turn/start", "params": {"threadId": thread["result"]["thread"]["id"], "input": input}})).await.unwrap();
    let question = codex
        .until(PATIENCE, |line| line["method"] == "item/fileChange/requestApproval")
        .await
        .unwrap();
    assert_eq!(stage.written(), None, "nothing may be written before the host accepts");
    codex
        .send(&json!({"id": question["id"], "result": {"decision": "accept"}}))
        .await
        .unwrap();
    let done = codex
        .until(PATIENCE, |line| line["method"] == "turn/completed")
        .await
        .unwrap();
    assert_eq!(
        done["params"]["turn"]["status"],
        "completed",
        "{done}\n{}",
        codex.stderr()
    );
    assert_eq!(stage.written().as_deref(), Some(WRITTEN), "{:?}", stage.asked());
    assert!(says(codex.seen(), "wrote it"));
}

#[tokio::test]
async fn codex_exec_writes_inside_its_sandbox() {
    let Some(stage) = Stage::set(RealCli::Codex).await else {
        return;
    };
    let prompt = Stage::prompt();
    let args = [
        "exec",
        "--json",
        "--sandbox",
        "workspace-write",
        "-m",
        stage.launch.model,
        &prompt,
    ];
    let mut codex = Lines::spawn(stage.launch.command_with(&args.map(str::to_owned), &stage.home.work())).unwrap();
    // With its stdin left open it would wait for more of the prompt for ever.
    codex.close();
    codex
        .until(PATIENCE, |line| line["type"] == "turn.completed")
        .await
        .unwrap();
    assert!(codex.wait(PATIENCE).await.unwrap().success());
    assert_eq!(
        stage.written().as_deref(),
        Some(WRITTEN),
        "{:?}\n{}",
        stage.asked(),
        codex.stderr()
    );
    assert!(says(codex.seen(), "wrote it"));
}

#[tokio::test]
async fn gemini_writes_over_acp() {
    acp_write(RealCli::Gemini).await;
}

#[tokio::test]
async fn opencode_writes_over_acp() {
    acp_write(RealCli::Opencode).await;
}

#[tokio::test]
async fn claude_agent_acp_writes_over_acp() {
    acp_write(RealCli::ClaudeAcp).await;
}

async fn acp_write(cli: RealCli) {
    let Some(stage) = Stage::set(cli).await else { return };
    let mut agent = stage.spawn();
    let abilities = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
    let call =
        |id: u32, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    agent
        .send(&call(
            1,
            "initialize",
            json!({"protocolVersion": 1, "clientCapabilities": abilities}),
        ))
        .await
        .unwrap();
    agent.until(PATIENCE, |line| line["id"] == 1).await.unwrap();
    agent
        .send(&call(
            2,
            "session/new",
            json!({"cwd": stage.home.work(), "mcpServers": []}),
        ))
        .await
        .unwrap();
    let session = agent.until(PATIENCE, |line| line["id"] == 2).await.unwrap();
    let prompt = json!([{"type": "text", "text": Stage::prompt()}]);
    agent
        .send(&call(
            3,
            "session/prompt",
            json!({"sessionId": session["result"]["sessionId"], "prompt": prompt}),
        ))
        .await
        .unwrap();
    let question = agent
        .until(PATIENCE, |line| line["method"] == "session/request_permission")
        .await
        .unwrap();
    assert_eq!(
        stage.written(),
        None,
        "nothing may be written before the host allows it"
    );
    let options = question["params"]["options"].as_array().unwrap();
    let once = options.iter().find(|option| option["kind"] == "allow_once").unwrap();
    let outcome = json!({"outcome": {"outcome": "selected", "optionId": once["optionId"]}});
    agent
        .send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": outcome}))
        .await
        .unwrap();
    let done = agent
        .until(PATIENCE, |line| line["id"] == 3 && line.get("method").is_none())
        .await
        .unwrap();
    assert_eq!(done["result"]["stopReason"], "end_turn", "{done}\n{}", agent.stderr());
    assert_eq!(stage.written().as_deref(), Some(WRITTEN), "{:?}", stage.asked());
    assert_eq!(spoken(agent.seen()), "wrote it");
}
