//! The server as a process: who may come in, what is refused and how, runs followed and decided through it, a kill.

use crate::process::{program, run};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// A home, a repository in it, and a server until it is dropped.
struct Scene {
    home: tempfile::TempDir,
    server: Option<Child>,
    address: String,
    token: String,
}

/// An answer: status, head, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> String {
        let line = self
            .head
            .lines()
            .find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    }
}

impl Scene {
    fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".config/maestria")).unwrap();
        fs::write(home.path().join(".config/maestria/config.toml"), config).unwrap();
        repository(&home.path().join("app"));
        let mut scene = Self {
            home,
            server: None,
            address: String::new(),
            token: String::new(),
        };
        scene.start();
        scene.token = run(scene.home.path(), &["token"]).out.trim().to_owned();
        scene
    }

    fn start(&mut self) {
        let listen = if self.address.is_empty() {
            "127.0.0.1:0"
        } else {
            &self.address
        };
        let mut child = program(self.home.path(), &["serve", "--listen", listen])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line.trim().trim_start_matches("http://").clone_into(&mut self.address);
        assert!(!self.address.is_empty(), "the server did not start");
        self.server = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn target(&self) -> String {
        self.home.path().join("app").display().to_string()
    }

    /// A request whose head is wholly ours.
    fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut text = Vec::new();
        socket.read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or_default();
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Answer {
            status,
            head: head.to_owned(),
            body,
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn get(&self, path: &str) -> Answer {
        let path = format!("/api/v1{path}");
        self.raw(
            "GET",
            &path,
            &[("host", &self.address), ("authorization", &self.bearer())],
            "",
        )
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, &[])
    }

    fn post_with(&self, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
        let bearer = self.bearer();
        let mut headers = vec![
            ("host", self.address.as_str()),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ];
        headers.extend_from_slice(more);
        self.raw("POST", &format!("/api/v1{path}"), &headers, body)
    }

    /// Reads the stream after a number until `enough`.
    fn stream(&self, query: &str, last: Option<u64>, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last
            .map(|last| format!("last-event-id: {last}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "GET /api/v1/events?{query} HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\n{last}\r\n",
            self.address,
            self.bearer()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut events = Vec::new();
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { break };
            if let Some(event) = line
                .strip_prefix("data: ")
                .and_then(|d| serde_json::from_str::<Value>(d).ok())
                && event["kind"].is_string()
            {
                events.push(event);
            }
            if enough(&events) {
                break;
            }
        }
        assert!(enough(&events), "the stream ended early");
        events
    }

    fn demo_run(&self) -> String {
        let body = json!({"text": "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both",
                          "target": self.target(), "agents": ["playbook-author", "playbook-reviewer"]});
        let made = self.post_with("/runs", &body.to_string(), &[("idempotency-key", "demo-1")]);
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill();
    }
}

fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

fn repository(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo/sample");
    for entry in fs::read_dir(sample).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    for words in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["commit", "-qm", "begin"],
    ] {
        let mut git = Command::new("git");
        git.args(identity)
            .args(words)
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder);
        git.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        assert!(git.status().unwrap().success());
    }
}

fn is_finished(events: &[Value]) -> bool {
    let ends = |event: &Value| {
        event["kind"] == "run.transitioned" && matches!(event["to"]["state"].as_str(), Some("completed" | "failed"))
    };
    events.iter().any(ends)
}

const READS: [&str; 14] = [
    "/meta",
    "/runs",
    "/runs/last",
    "/runs/last/diff",
    "/runs/last/events",
    "/events",
    "/workers",
    "/decisions",
    "/usage",
    "/budgets",
    "/models",
    "/policies",
    "/doctor",
    "/config",
];
const ACTIONS: [&str; 8] = [
    "/runs",
    "/runs/last/pause",
    "/runs/last/abort",
    "/runs/last/apply",
    "/runs/last/discard",
    "/decisions/x",
    "/policies/test",
    "/agents/probe",
];

#[test]
fn nobody_comes_in_without_a_valid_credential() {
    let scene = Scene::new("");
    let good = scene.bearer();
    let other = if good.ends_with('0') { '1' } else { '0' };
    let flipped = format!("{}{other}", &good[..good.len() - 1]);
    let short = &good[..good.len() - 1];
    let basic = good.replace("Bearer", "Basic");
    let padded = good.replace("Bearer ", "Bearer \"");
    let bad = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        short,
        &flipped,
        &basic,
        &padded,
        &good["Bearer ".len()..],
    ];
    let mut bodies = std::collections::BTreeSet::new();
    for (method, paths) in [("GET", &READS[..]), ("POST", &ACTIONS[..])] {
        for path in paths {
            for credential in bad {
                let path = format!("/api/v1{path}");
                let headers = [
                    ("host", scene.address.as_str()),
                    ("authorization", credential),
                    ("x-request-id", "same"),
                ];
                let refused = scene.raw(method, &path, &headers, "{}");
                assert_eq!(refused.status, 401, "{method} {path} {credential}");
                bodies.insert(refused.body);
            }
        }
    }
    assert_eq!(bodies.len(), 1, "the same words for whatever is wrong");
    let health = scene.raw("GET", "/health", &[("host", &scene.address)], "");
    assert_eq!((health.status, health.json()["status"].clone()), (200, json!("ok")));
    let page = scene.raw("GET", "/runs/some", &[("host", &scene.address)], "");
    assert!(
        page.status == 200 && page.header("content-security-policy").contains("default-src 'none'"),
        "{}",
        page.head
    );
}

#[test]
fn foreign_hosts_and_pages_are_kept_out() {
    let scene = Scene::new("");
    let port = scene.address.rsplit(':').next().unwrap().to_owned();
    let bearer = scene.bearer();
    for host in [
        "evil.example",
        "127.0.0.1",
        "localhost.evil.example",
        "",
        "127.0.0.1:1",
        &format!("evil.example:{port}"),
    ] {
        for path in ["/api/v1/meta", "/health", "/"] {
            let refused = scene.raw("GET", path, &[("host", host), ("authorization", &bearer)], "");
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (403, "foreign-host"),
                "{host} {path}"
            );
        }
    }
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}")] {
        let taken = scene.raw(
            "GET",
            "/api/v1/meta",
            &[("host", &host), ("authorization", &bearer)],
            "",
        );
        assert_eq!(taken.status, 200, "{host}");
    }
    for origin in [
        "null",
        "http://evil.example",
        &format!("https://{}", scene.address),
        "http://127.0.0.1:1",
    ] {
        let refused = scene.post_with("/policies/test", r#"{"command":"ls"}"#, &[("origin", origin)]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "foreign-origin"),
            "{origin}"
        );
    }
    let own = format!("http://{}", scene.address);
    assert_eq!(
        scene
            .post_with("/policies/test", r#"{"command":"ls"}"#, &[("origin", &own)])
            .status,
        200
    );
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let scene = Scene::new("");
    let target = scene.target();
    let submit = |fields: Value| {
        let mut body = json!({"text": "x", "target": target});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    for (path, status, code) in [
        ("/runs?stat=open", 400, "unknown-field"),
        ("/runs?state=asleep", 400, "bad-value"),
        ("/runs?limit=0", 400, "bad-value"),
        ("/runs?limit=201", 400, "bad-value"),
        ("/runs?limit=many", 400, "bad-value"),
        ("/runs?cursor=made-up", 400, "bad-cursor"),
        ("/runs?cursor=0123456789abcdef.run_1", 400, "bad-cursor"),
        ("/runs/task_01a1fdf81018753197932db2b453e741", 400, "bad-id"),
        ("/runs/run_01a1fdf81018753197932db2b453e741", 404, "unknown-run"),
        ("/runs/last", 404, "unknown-run"),
        (
            "/decisions/dec_01a1fdf81018753197932db2b453e741",
            404,
            "unknown-decision",
        ),
        ("/decisions/run_01a1fdf81018753197932db2b453e741", 400, "bad-id"),
        ("/decisions?state=later", 400, "bad-value"),
        ("/usage?by=moon", 400, "bad-value"),
        ("/events?run=last", 400, "bad-id"),
        ("/events?kinds=task.flown", 400, "bad-value"),
        ("/nowhere", 404, "unknown-path"),
        ("/runs/%2e%2e/%2e%2e/etc", 404, "unknown-path"),
    ] {
        let refused = scene.get(path);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{path}: {}",
            refused.body
        );
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(refused.json()["request_id"], json!(refused.header("x-request-id")));
    }
    for (path, body, status, code) in [
        ("/runs", "{".to_owned(), 400, "bad-json"),
        ("/runs", "[]".to_owned(), 400, "bad-json"),
        ("/runs", json!({"text": "x"}).to_string(), 400, "bad-json"),
        ("/runs", submit(json!({"txt": 1})), 400, "unknown-field"),
        ("/runs", submit(json!({"text": ""})), 422, "bad-task"),
        ("/runs", submit(json!({"text": 7})), 400, "bad-json"),
        ("/runs", submit(json!({"target": "app"})), 422, "bad-target"),
        ("/runs", submit(json!({"target": "/nowhere/at/all"})), 422, "bad-target"),
        ("/runs", submit(json!({"workflow": "develp"})), 400, "bad-value"),
        ("/runs", submit(json!({"agents": ["nobody"]})), 400, "bad-value"),
        ("/runs", submit(json!({"budget": -1})), 400, "bad-value"),
        ("/runs/last/pause", "{}".to_owned(), 404, "unknown-run"),
        ("/sign-in", json!({"code": "x"}).to_string(), 401, "bad-code"),
        (
            "/gateway/route",
            json!({"prompt": "x", "context": 99_000_000}).to_string(),
            422,
            "no-route",
        ),
        (
            "/policies/path",
            json!({"op": "fly", "path": "x", "cwd": "/"}).to_string(),
            400,
            "bad-value",
        ),
        ("/policies/test", "x".repeat(5 << 20), 413, "too-large"),
    ] {
        let refused = scene.post(path, &body);
        let shown = &body[..body.len().min(80)];
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{path} {shown}: {}",
            refused.body
        );
    }
    let nearest = scene.post("/runs", &submit(json!({"worklow": "develop"}))).json();
    assert!(nearest["hint"].as_str().unwrap().contains("workflow"), "{nearest}");
    let bearer = scene.bearer();
    let plain = [
        ("host", scene.address.as_str()),
        ("authorization", &bearer),
        ("content-type", "text/plain"),
    ];
    assert_eq!(
        scene.raw("POST", "/api/v1/policies/test", &plain, "{}").code(),
        "not-json"
    );
    let other = scene.raw("DELETE", "/api/v1/runs", &plain[..2], "");
    assert_eq!((other.status, other.code().as_str()), (405, "method-not-allowed"));
    assert!(other.header("allow").contains("POST"), "{}", other.head);
}

#[test]
fn a_run_is_submitted_followed_and_applied() {
    let scene = Scene::new("");
    let id = scene.demo_run();
    assert_eq!(scene.demo_run(), id, "the same key is the same run");
    let other = scene.post_with(
        "/runs",
        r#"{"text":"y","target":"/"}"#,
        &[("idempotency-key", "demo-1")],
    );
    assert_eq!((other.status, other.code().as_str()), (409, "key-reused"));

    let all = scene.stream(&format!("run={id}&after=0"), None, is_finished);
    let numbers: Vec<u64> = all.iter().map(|e| e["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    let seqs: Vec<u64> = all.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let middle = all.len() / 2;
    let rest = scene.stream(&format!("run={id}"), Some(numbers[middle]), is_finished);
    assert_eq!(rest, all[middle + 1..], "nothing is lost or repeated");

    let shown = scene.get(&format!("/runs/{id}"));
    let view = shown.json();
    assert_eq!(view["state"]["state"], "completed");
    assert_eq!(
        view["line"]["actions"],
        json!(["rerun", "review", "apply", "discard"]),
        "{}",
        view["line"]
    );
    assert_eq!(
        view["graph"]["nodes"].as_array().unwrap().len(),
        view["tasks"].as_object().unwrap().len()
    );
    assert!(view["number"].as_u64().unwrap() >= *numbers.last().unwrap());

    let first = scene.get(&format!("/runs/{id}/events?limit=5")).json();
    assert_eq!(first["items"].as_array().unwrap()[..], all[..5]);
    let next = first["next"].as_str().unwrap();
    let second = scene.get(&format!("/runs/{id}/events?limit=5&after={next}")).json();
    assert_eq!(second["items"].as_array().unwrap()[..], all[5..10]);
    let newest = scene
        .get(&format!("/runs/{id}/events?order=desc&limit=1&kinds=run.*"))
        .json();
    assert_eq!(newest["items"][0]["to"]["state"], "completed");

    let listed = scene.get("/runs?state=finished&q=JSON");
    assert_eq!(listed.json()["items"][0]["id"], json!(id));
    let bearer = scene.bearer();
    let etag = listed.header("etag");
    let again = [
        ("host", scene.address.as_str()),
        ("authorization", &bearer),
        ("if-none-match", &etag),
    ];
    assert_eq!(
        scene
            .raw("GET", "/api/v1/runs?state=finished&q=JSON", &again, "")
            .status,
        304
    );

    let viewer = run(
        scene.home.path(),
        &["token", "issue", "--name", "eve", "--role", "viewer"],
    )
    .out;
    let viewer = format!("Bearer {}", viewer.trim());
    let headers = [("host", scene.address.as_str()), ("authorization", viewer.as_str())];
    assert_eq!(scene.raw("GET", "/api/v1/runs", &headers, "").status, 200);
    let refused = scene.raw("POST", &format!("/api/v1/runs/{id}/apply"), &headers, "");
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    assert_eq!(scene.raw("GET", "/api/v1/config", &headers, "").status, 403);

    let paused = scene.post(&format!("/runs/{id}/pause"), "{}");
    assert_eq!((paused.status, paused.code().as_str()), (409, "wrong-state"));
    assert!(scene.get(&format!("/runs/{id}/diff")).body.contains("+++ b/greet.sh"));
    assert_eq!(scene.post(&format!("/runs/{id}/apply"), "{}").status, 202);
    scene.stream(&format!("run={id}&after=0"), None, |events| {
        events.iter().any(|e| e["kind"] == "run.applied")
    });
    let greet = fs::read_to_string(scene.home.path().join("app/greet.sh")).unwrap();
    assert!(greet.contains("--json"), "{greet}");
}

#[test]
fn a_link_signs_a_page_in_once() {
    let scene = Scene::new("");
    let link = run(scene.home.path(), &["open"]).out;
    let code = link.trim().split_once("#signin=").unwrap().1.to_owned();
    let body = json!({"code": code}).to_string();
    let headers = [("host", scene.address.as_str()), ("content-type", "application/json")];
    let signed = scene.raw("POST", "/api/v1/sign-in", &headers, &body);
    assert_eq!(signed.status, 200, "{signed:?}");
    let bearer = format!("Bearer {}", signed.json()["token"].as_str().unwrap());
    let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(
        scene.raw("GET", "/api/v1/meta", &headers, "").json()["name"],
        "dashboard"
    );
    assert_eq!(scene.post("/sign-in", &body).code(), "bad-code");
}

#[test]
fn a_killed_server_goes_on_where_it_was() {
    let mut scene = Scene::new("");
    let id = scene.demo_run();
    let before = scene.stream(&format!("run={id}&after=0"), None, |events| {
        events.iter().any(|e| e["kind"] == "task.dispatched")
    });
    scene.kill();
    scene.start();
    let last = before.last().unwrap()["number"].as_u64().unwrap();
    let after = scene.stream(&format!("run={id}"), Some(last), is_finished);
    let seqs: Vec<u64> = before
        .iter()
        .chain(&after)
        .map(|e| e["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        seqs,
        (1..=seqs.len() as u64).collect::<Vec<_>>(),
        "nothing is lost or repeated"
    );
    assert_eq!(scene.get(&format!("/runs/{id}")).json()["state"]["state"], "completed");
}

#[test]
fn a_decision_is_made_once_and_the_second_is_told_by_whom() {
    let fake = maestria_testkit::built::program("fake-agent").unwrap();
    let plan = json!({"turns": [[{"say": "done"}]]}).to_string();
    let config = format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n[limits]\nretries = 1\n",
        json!(fake),
        json!(plan)
    );
    let scene = Scene::new(&config);
    let body = json!({"text": "Change something", "target": scene.target(), "agents": ["claude"]});
    let made = scene.post("/runs", &body.to_string());
    assert_eq!(made.status, 201, "{made:?}");
    let deadline = Instant::now() + PATIENCE;
    let decision = loop {
        let open = scene.get("/decisions").json();
        if let Some(decision) = open["items"].as_array().unwrap().first() {
            break decision.clone();
        }
        assert!(
            Instant::now() < deadline,
            "nothing is asked: {}",
            scene.get("/runs/last").body
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    let id = decision["id"].as_str().unwrap();
    assert_eq!(decision["run"], made.json()["id"]);
    assert!(
        decision["asked_at"].is_i64() && decision["driven"] == json!(true),
        "{decision}"
    );
    let bad = scene.post(&format!("/decisions/{id}"), r#"{"choice":"raise"}"#);
    assert_eq!((bad.status, bad.code().as_str()), (422, "no-choice"), "{bad:?}");
    let both = scene.post(&format!("/decisions/{id}"), r#"{"choice":"skip","approve":true}"#);
    assert_eq!(both.code(), "bad-value");
    let answered = scene.post(
        &format!("/decisions/{id}"),
        r#"{"choice":"skip","because":"not needed"}"#,
    );
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.json()["answer"]["by"], "token");
    let second = scene.post(&format!("/decisions/{id}"), r#"{"approve":true}"#);
    assert_eq!(
        (second.status, second.code().as_str()),
        (409, "already-decided"),
        "{second:?}"
    );
    assert_eq!(second.json()["answer"]["choice"], "skip");
    assert_eq!(second.json()["answer"]["because"], "not needed");
}

#[test]
fn other_machines_are_not_let_in() {
    let home = tempfile::tempdir().unwrap();
    let left = run(home.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert!(left.code == 1 && left.err.contains("other machines"), "{}", left.err);
    let none = run(home.path(), &["open"]);
    assert!(none.code == 1 && none.err.contains("maestria serve"), "{}", none.err);
}
