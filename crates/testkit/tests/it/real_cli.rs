//! Each real CLI does one whole turn (write, edit, shell, say) against the model server.
//!
//! Skipped, with a line that says so, where the CLI is not installed; a failure there when `CI=true`.

use std::time::Duration;

use maestria_testkit::model::{Script, Step};
use maestria_testkit::{Launch, Lines, ModelServer, RealCli, TestHome};
use serde_json::{Value, json};

/// Starting a CLI on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
const WRITTEN: &str = "hello from the edit\n";

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
        let path = || "src/hello.txt".to_owned();
        let script = Script::of([
            Step::Write {
                path: path(),
                content: "hello from the script\n".into(),
            },
            Step::Edit {
                path: path(),
                old: "hello from the script".into(),
                new: "hello from the edit".into(),
            },
            Step::Shell("cp src/hello.txt src/copy.txt".into()),
            Step::Text("wrote it".into()),
        ]);
        format!("please write the file {}", script.directive())
    }

    fn written(&self) -> Option<String> {
        std::fs::read_to_string(self.home.work().join("src/hello.txt")).ok()
    }

    /// What the whole script leaves behind.
    fn check(&self, said: &str) {
        assert_eq!(self.written().as_deref(), Some(WRITTEN), "{:?}\n{said}", self.asked());
        let copy = std::fs::read_to_string(self.home.work().join("src/copy.txt")).ok();
        assert_eq!(copy.as_deref(), Some(WRITTEN), "{:?}\n{said}", self.asked());
    }

    fn asked(&self) -> Vec<String> {
        self.server
            .requests()
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }
}

/// Answers every question of `agent` until its turn is over; the first one must come before any effect.
async fn allow_all(
    stage: &Stage,
    agent: &mut Lines,
    allow: impl Fn(&Value) -> Option<Value>,
    over: impl Fn(&Value) -> bool,
) -> Value {
    let mut asked = 0;
    loop {
        let line = agent
            .until(PATIENCE, |line| over(line) || allow(line).is_some())
            .await
            .unwrap();
        let Some(answer) = allow(&line) else {
            assert!(asked > 0, "nothing was asked: {line}\n{}", agent.stderr());
            return line;
        };
        if asked == 0 {
            assert_eq!(
                stage.written(),
                None,
                "nothing may be written before the host allows it"
            );
        }
        asked += 1;
        agent.send(&answer).await.unwrap();
    }
}

#[tokio::test]
async fn claude_works_when_the_host_allows_it() {
    let Some(stage) = Stage::set(RealCli::Claude).await else {
        return;
    };
    let mut claude = stage.spawn();
    let initialize = json!({"subtype": "initialize", "hooks": null});
    claude
        .send(&json!({"type": "control_request", "request_id": "req_1", "request": initialize}))
        .await
        .unwrap();
    claude
        .until(PATIENCE, |line| line["type"] == "control_response")
        .await
        .unwrap();
    let message = json!({"role": "user", "content": [{"type": "text", "text": Stage::prompt()}]});
    let user = json!({"type": "user", "message": message, "parent_tool_use_id": null, "session_id": ""});
    claude.send(&user).await.unwrap();
    let allow = |line: &Value| {
        let request = (line["request"]["subtype"] == "can_use_tool").then_some(&line["request"])?;
        let allow = json!({"behavior": "allow", "updatedInput": request["input"]});
        let response = json!({"subtype": "success", "request_id": line["request_id"], "response": allow});
        Some(json!({"type": "control_response", "response": response}))
    };
    let result = allow_all(&stage, &mut claude, allow, |line| line["type"] == "result").await;
    assert_eq!(
        (&result["is_error"], &result["result"]),
        (&json!(false), &json!("wrote it")),
        "{result}"
    );
    stage.check(&result.to_string());
    assert!(claude.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn codex_app_server_works_when_the_host_accepts() {
    let Some(stage) = Stage::set(RealCli::Codex).await else {
        return;
    };
    let mut codex = stage.spawn();
    let call = |id: u32, method: &str, params: Value| json!({"id": id, "method": method, "params": params});
    let client = json!({"name": "testkit", "title": "testkit", "version": "0.1.0"});
    codex
        .send(&call(1, "initialize", json!({"clientInfo": client})))
        .await
        .unwrap();
    codex.until(PATIENCE, |line| line["id"] == 1).await.unwrap();
    codex.send(&json!({"method": "initialized"})).await.unwrap();
    let policy = ("untrusted", "workspace-write");
    let params =
        json!({"model": stage.launch.model, "cwd": stage.home.work(), "approvalPolicy": policy.0, "sandbox": policy.1});
    codex.send(&call(2, "thread/start", params)).await.unwrap();
    let thread = codex.until(PATIENCE, |line| line["id"] == 2).await.unwrap();
    let input = json!([{"type": "text", "text": Stage::prompt()}]);
    let params = json!({"threadId": thread["result"]["thread"]["id"], "input": input});
    codex.send(&call(3, "turn/start", params)).await.unwrap();
    let allow = |line: &Value| {
        let asks = line["method"]
            .as_str()
            .is_some_and(|method| method.ends_with("/requestApproval"));
        asks.then(|| json!({"id": line["id"], "result": {"decision": "accept"}}))
    };
    let done = allow_all(&stage, &mut codex, allow, |line| line["method"] == "turn/completed").await;
    assert_eq!(
        done["params"]["turn"]["status"],
        "completed",
        "{done}\n{}",
        codex.stderr()
    );
    assert!(done.to_string().contains("wrote it"), "{done}");
    stage.check(&codex.stderr());
}

#[tokio::test]
async fn codex_exec_works_inside_its_sandbox() {
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
    assert!(
        codex.seen().iter().any(|line| line["item"]["text"] == "wrote it"),
        "{:?}",
        codex.seen()
    );
    stage.check(&codex.stderr());
}

#[tokio::test]
async fn gemini_works_over_acp() {
    acp(RealCli::Gemini).await;
}

#[tokio::test]
async fn opencode_works_over_acp() {
    acp(RealCli::Opencode).await;
}

#[tokio::test]
async fn claude_agent_acp_works_over_acp() {
    acp(RealCli::ClaudeAcp).await;
}

async fn acp(cli: RealCli) {
    let Some(stage) = Stage::set(cli).await else { return };
    let mut agent = stage.spawn();
    let call =
        |id: u32, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let abilities = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
    let initialize = json!({"protocolVersion": 1, "clientCapabilities": abilities});
    agent.send(&call(1, "initialize", initialize)).await.unwrap();
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
    let params = json!({"sessionId": session["result"]["sessionId"], "prompt": prompt});
    agent.send(&call(3, "session/prompt", params)).await.unwrap();
    let allow = |line: &Value| {
        let asks = line["method"] == "session/request_permission";
        let options = line["params"]["options"].as_array().filter(|_| asks)?;
        let once = options.iter().find(|option| option["kind"] == "allow_once")?;
        let outcome = json!({"outcome": {"outcome": "selected", "optionId": once["optionId"]}});
        Some(json!({"jsonrpc": "2.0", "id": line["id"], "result": outcome}))
    };
    let over = |line: &Value| line["id"] == 3 && line.get("method").is_none();
    let done = allow_all(&stage, &mut agent, allow, over).await;
    assert_eq!(done["result"]["stopReason"], "end_turn", "{done}\n{}", agent.stderr());
    assert!(spoken(agent.seen()).ends_with("wrote it"), "{:?}", spoken(agent.seen()));
    stage.check(&agent.stderr());
}

/// What an ACP agent said, its chunks joined.
fn spoken(lines: &[Value]) -> String {
    let updates = lines.iter().map(|line| &line["params"]["update"]);
    let chunks = updates.filter(|update| update["sessionUpdate"] == "agent_message_chunk");
    chunks.filter_map(|update| update["content"]["text"].as_str()).collect()
}
