//! A server as a process, in a home of its own beside a repository, and requests whose every byte is ours.

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

pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A home, a repository in it, and a server until it is dropped.
pub(super) struct Scene {
    pub(super) home: tempfile::TempDir,
    pub(super) server: Option<Child>,
    pub(super) address: String,
    pub(super) token: String,
}

/// An answer: status, head, body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> String {
        let line = self
            .head
            .lines()
            .find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    }
}

impl Scene {
    pub(super) fn new(config: &str) -> Self {
        let mut scene = Self::asleep(config);
        scene.start();
        scene.token = run(scene.home.path(), &["token"]).out.trim().to_owned();
        scene
    }

    /// The same without a server.
    pub(super) fn asleep(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".config/maestria")).unwrap();
        fs::write(home.path().join(".config/maestria/config.toml"), config).unwrap();
        repository(&home.path().join("app"));
        Self {
            home,
            server: None,
            address: String::new(),
            token: String::new(),
        }
    }

    pub(super) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(super) fn start_with(&mut self, more: &[&str]) {
        let listen = if self.address.is_empty() {
            "127.0.0.1:0"
        } else {
            &self.address
        };
        let words = self.home.path().join("serve.err");
        let mut child = program(self.home.path(), &["serve", "--listen", listen])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&words).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line.trim().trim_start_matches("http://").clone_into(&mut self.address);
        let said = || fs::read_to_string(&words).unwrap_or_default();
        assert!(!self.address.is_empty(), "the server did not start: {}", said());
        self.server = Some(child);
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    pub(super) fn target(&self) -> String {
        self.home.path().join("app").display().to_string()
    }

    /// A request whose head is wholly ours.
    pub(super) fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
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

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        let path = format!("/api/v1{path}");
        self.raw(
            "GET",
            &path,
            &[("host", &self.address), ("authorization", &self.bearer())],
            "",
        )
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, &[])
    }

    pub(super) fn post_with(&self, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
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
    pub(super) fn stream(&self, query: &str, last: Option<u64>, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
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

    /// Submits a run for the agent called `claude`.
    pub(super) fn submit(&self, text: &str) -> String {
        let body = json!({"text": text, "target": self.target(), "agents": ["claude"]});
        let made = self.post("/runs", &body.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn state(&self, run: &str) -> String {
        let line = self.get(&format!("/runs/{run}")).json()["line"].clone();
        line["state"].as_str().unwrap().to_owned()
    }

    /// The events of a kind.
    pub(super) fn events(&self, run: &str, kind: &str) -> Vec<Value> {
        let page = self.get(&format!("/runs/{run}/events?limit=2000&kinds={kind}")).json();
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until something holds.
    pub(super) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}: {}", self.get("/runs").body);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an agent is at work; its task.
    pub(super) fn task_at_work(&self, run: &str) -> Value {
        self.until("an agent is at work", || !self.events(run, "task.started").is_empty());
        self.events(run, "task.started")[0]["task"].clone()
    }

    pub(super) fn demo_run(&self) -> String {
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
