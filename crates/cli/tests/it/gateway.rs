//! The gateway as a process: keys, calls, usage, a kill in the middle.

use crate::process::{program, run};
use maestria_testkit::model::ModelServer;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// A gateway that runs until it is dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(home: &Path) -> Self {
        let mut child = program(home, &["gateway"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().trim_start_matches("http://").to_owned();
        assert!(!address.is_empty(), "the gateway did not start");
        Self { child, address }
    }

    fn post(&self, key: &str, body: &str) -> String {
        let mut socket = self.send(key, body);
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn send(&self, key: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let told = std::process::Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(told.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(home: &Path, server: &ModelServer) {
    let folder = home.join(".config/maestria");
    std::fs::create_dir_all(&folder).unwrap();
    let url = server.base_url();
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[routes.default]\npolicy = \"cheapest\"\n[budget]\nday = 1.0\n\
         [budget.client]\ndefault = 0.5\n[providers.p]\ndialect = \"openai\"\nbase_url = \"{url}/v1\"\nkey = \"sk-1\"\n\
         models = [\"gpt-4o-mini\", \"claude-sonnet-4-5\"]\n"
    );
    std::fs::write(folder.join("config.toml"), text).unwrap();
}

fn ask(model: &str, prompt: &str) -> String {
    serde_json::json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": prompt}]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_calls_usage_and_revocation() {
    let server = ModelServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    configure(home, &server);
    let made = run(
        home,
        &["keys", "create", "--name", "ci", "--budget", "5", "--project", "shop"],
    );
    let key = made.out.trim();
    assert!(made.code == 0 && key.starts_with("mk_"), "{}", made.err);
    let listed = run(home, &["keys", "list"]).out;
    assert!(
        listed.contains("ci") && listed.contains("shop") && !listed.contains(key),
        "{listed}"
    );
    assert_eq!(
        run(home, &["keys", "create", "--name", "ci"]).code,
        1,
        "the name is taken"
    );

    let gateway = Running::start(home);
    let answer = gateway.post(key, &ask("auto", r#"@script {"steps":[{"text":"hello there"}]}"#));
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("hello there"),
        "{answer}"
    );
    assert!(
        answer.contains("x-maestria-model: p/gpt-4o-mini"),
        "the cheapest answers: {answer}"
    );
    assert!(gateway.post("mk_wrong", &ask("auto", "x")).starts_with("HTTP/1.1 401"));
    assert_eq!(run(home, &["keys", "revoke", "ci"]).code, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !gateway.post(key, &ask("auto", "x")).starts_with("HTTP/1.1 401") {
        assert!(Instant::now() < deadline, "a revoked key goes on");
    }
    assert_eq!(gateway.end("-TERM"), Some(0));

    let usage = run(home, &["usage", "--by", "client", "--csv"]).out;
    assert!(usage.lines().any(|line| line.starts_with("ci,")), "{usage}");
    let models = run(home, &["usage", "--by", "model", "--json"]).out;
    assert!(models.contains("p/gpt-4o-mini"), "{models}");
    let budget = run(home, &["budget"]).out;
    assert!(budget.contains("client ci") && budget.contains("day"), "{budget}");
    assert!(!budget.contains("gateway-"), "{budget}");
    assert_eq!(run(home, &["budget", "set", "12.5/day"]).code, 0);
    assert!(
        run(home, &["budget"]).out.contains("day      $12.50"),
        "the file was changed"
    );
    assert_eq!(run(home, &["budget", "set", "12.5/moon"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_no_spending() {
    let server = ModelServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    configure(home, &server);
    let key = run(home, &["keys", "create", "--name", "ci", "--budget", "5"]).out;
    let gateway = Running::start(home);
    // Answered never: the call is under way when the gateway is killed.
    let silent = r#"@script {"steps":[{"text":"x"}],"faults":[{"kind":"silence"}]}"#;
    let _open = gateway.send(key.trim(), &ask("claude-sonnet-4-5", silent));
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.asked() == 0 {
        assert!(Instant::now() < deadline, "the call did not go out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.end("-KILL");
    let held = run(home, &["budget"]).out;
    assert!(
        held.lines()
            .any(|line| line.starts_with("day ") && line.contains("$0.0")),
        "{held}"
    );
    let gateway = Running::start(home);
    gateway.end("-TERM");
    let spent = run(home, &["budget"]).out;
    let day = spent.lines().rfind(|line| line.starts_with("day ")).unwrap();
    let cells: Vec<&str> = day.split_whitespace().collect();
    assert!(
        cells[1] != "$0.00" && cells[2] == "$0.00",
        "what was held counts as spent: {spent}"
    );
}

#[test]
fn a_route_is_explained_without_any_provider() {
    let home = tempfile::tempdir().unwrap();
    let left = run(home.path(), &["route", "Prove this lemma", "--explain"]);
    assert_eq!(left.code, 0, "{}", left.err);
    assert!(
        left.out.contains("balanced") && left.out.contains("quality"),
        "{}",
        left.out
    );
    assert!(left.err.contains("no provider is configured"), "{}", left.err);
    let none = run(home.path(), &["route", "x", "--context", "5m"]);
    assert!(none.code == 1 && none.err.contains("are needed"), "{}", none.err);
    assert_eq!(run(home.path(), &["route", "x", "--context", "lots"]).code, 2);
    let left = run(home.path(), &["gateway"]);
    assert!(left.code == 1 && left.err.contains("[providers.NAME]"), "{}", left.err);
}

#[test]
fn what_is_hard_is_learned_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let difficulty = || {
        let told = run(home, &["route", "Explain the frobnicator???", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
        told["difficulty"].as_f64().unwrap()
    };
    let before = difficulty();
    let few = run(home, &["models", "train"]);
    assert!(few.code == 1 && few.err.contains("there are 0 examples"), "{}", few.err);

    // What is asked with question marks never went well, all else did.
    let line = |n: usize| {
        let (prompt, well) = if n.is_multiple_of(2) {
            ("how so???", false)
        } else {
            ("do it", true)
        };
        serde_json::json!({"prompt": prompt, "model": "p/gpt-4o-mini", "well": well}).to_string() + "\n"
    };
    let file = home.join("examples.jsonl");
    std::fs::write(&file, (0..100).map(line).collect::<String>()).unwrap();
    let from = file.to_str().unwrap();
    let tried = run(home, &["models", "train", "--from", from, "--dry-run"]);
    assert!(
        tried.code == 0 && tried.out.contains("nothing is kept"),
        "{}{}",
        tried.out,
        tried.err
    );
    assert!((difficulty() - before).abs() < 1e-9);
    let learned = run(home, &["models", "train", "--from", from]);
    assert!(
        learned.code == 0 && learned.out.contains("kept in"),
        "{}{}",
        learned.out,
        learned.err
    );
    assert!(difficulty() > before + 0.2, "{} {before}", difficulty());
    let explained = run(home, &["route", "x", "--explain"]).out;
    assert!(explained.contains("learned from 100 examples"), "{explained}");

    let kept = learned
        .out
        .lines()
        .find_map(|line| line.strip_prefix("kept in "))
        .unwrap()
        .to_owned();
    std::fs::write(&kept, "trained = 1").unwrap();
    let broken = run(home, &["route", "x"]);
    assert!(
        broken.code != 0 && broken.err.contains(&kept) && broken.err.contains("models train"),
        "{}",
        broken.err
    );
    assert_eq!(
        run(home, &["models", "train", "--from", from]).code,
        0,
        "a broken file is written anew"
    );
    assert_eq!(run(home, &["models", "train", "--reset"]).code, 0);
    assert!((difficulty() - before).abs() < 1e-9);

    std::fs::write(&file, "{\"prompt\": \"x\", \"well\": true}").unwrap();
    let wrong = run(home, &["models", "train", "--from", from]);
    assert!(
        wrong.code == 1 && wrong.err.contains("line 1") && wrong.err.contains("model"),
        "{}",
        wrong.err
    );
}
