//! Conversations: the Unix socket and the WebSocket, who may open them, what they take and what they stand.

use super::scene::{PATIENCE, Scene};
use crate::process::program;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

/// A line of JSON over the socket.
struct Line(BufReader<UnixStream>);

impl Line {
    fn open(path: &PathBuf) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// The next message that is no beat.
    fn hear(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("beat").is_none() {
                return Some(value);
            }
        }
    }
}

fn with_socket() -> (Scene, PathBuf) {
    let mut scene = Scene::new("");
    scene.kill();
    let path = scene.home.path().join("talk/socket");
    scene.start_with(&["--socket", path.to_str().unwrap()]);
    (scene, path)
}

#[test]
fn the_socket_takes_commands_and_tells_events() {
    let (scene, path) = with_socket();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    let mut line = Line::open(&path);
    line.say(r#"{"id":"a","path":"/api/v1/meta"}"#);
    let meta = line.hear().unwrap();
    assert_eq!((meta["id"].as_str(), meta["status"].as_u64()), (Some("a"), Some(200)));
    assert_eq!(meta["body"]["role"], "admin");

    line.say(r#"{"id":1,"follow":{"kinds":"run.*"}}"#);
    assert_eq!(line.hear().unwrap(), json!({"id": 1, "status": 200, "body": null}));
    assert!(line.hear().unwrap()["ready"].is_u64());
    let body = json!({"text": "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both",
                      "target": scene.target(), "agents": ["playbook-author", "playbook-reviewer"]});
    line.say(&json!({"id": 2, "method": "POST", "path": "/api/v1/runs", "body": body}).to_string());
    let (mut answered, mut kinds) = (false, Vec::new());
    while !answered || !kinds.iter().any(|kind| kind == "run.transitioned") {
        let told = line.hear().unwrap();
        if told["id"] == 2 {
            assert_eq!(told["status"], 201, "{told}");
            answered = true;
        } else if let Some(kind) = told["event"]["kind"].as_str() {
            assert!(kind.starts_with("run."), "{told}");
            kinds.push(kind.to_owned());
        }
    }
    for (said, code) in [
        ("{", "bad-json"),
        ("[1]", "bad-json"),
        (r#"[3,"GET","/api/v1/runs",null]"#, "bad-json"),
        (r#"{"id":3}"#, "bad-value"),
        (r#"{"id":3,"path":"/api/v1/runs","follow":{}}"#, "bad-value"),
        (r#"{"id":3,"pathh":"/"}"#, "unknown-field"),
        (r#"{"id":3,"method":"DELETE","path":"/api/v1/runs"}"#, "bad-value"),
        (r#"{"id":3,"path":"not a path"}"#, "bad-value"),
        (r#"{"id":3,"path":"/api/v1/runs/none"}"#, "bad-id"),
        (r#"{"id":3,"follow":{"kinds":"task.flown"}}"#, "bad-value"),
    ] {
        line.say(said);
        let refused = loop {
            let told = line.hear().unwrap();
            if told.get("status").is_some() {
                break told;
            }
        };
        assert_eq!(refused["body"]["code"], code, "{said}: {refused}");
    }
}

#[test]
fn a_socket_is_not_laid_where_others_may_come() {
    let scene = Scene::new("");
    let folder = scene.home.path().join("open");
    fs::DirBuilder::new().mode(0o755).create(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.join("socket");
    let refused = program(scene.home.path(), &["serve", "--listen", "127.0.0.1:0", "--socket"])
        .arg(&socket)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("chmod 700"), "{why}");
    assert!(!socket.exists());
}

/// A path that is given by mistake costs nobody a file.
#[test]
fn a_socket_takes_no_files_place() {
    let scene = Scene::new("");
    let folder = scene.home.path().join("mine");
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let file = folder.join("notes");
    fs::write(&file, "kept").unwrap();
    let refused = program(scene.home.path(), &["serve", "--listen", "127.0.0.1:0", "--socket"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no socket"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn the_example_follows_the_socket() {
    let (scene, path) = with_socket();
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/converse.py");
    let started = Command::new("python3")
        .arg(example)
        .arg(&path)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", scene.home.path())
        .stdout(Stdio::piped())
        .spawn();
    // The example is for people who have Python; the product does not need it.
    let Ok(mut client) = started else { return };
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "{");
    scene.demo_run();
    let told = lines.map(Result::unwrap).find(|line| line.contains("run.submitted"));
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(told.is_some());
}

/// A WebSocket as a client has it, byte by byte.
struct Web(TcpStream);

impl Web {
    /// Asks for one; the status, and the line if it was opened.
    fn ask(scene: &Scene, path: &str, more: &[(&str, &str)]) -> (u16, String, Self) {
        let mut socket = TcpStream::connect(&scene.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            scene.address
        );
        more.iter()
            .for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.to_lowercase(), Self(socket))
    }

    fn open(scene: &Scene, path: &str) -> Self {
        let (status, head, line) = Self::ask(scene, path, &[("authorization", &scene.bearer())]);
        assert_eq!(status, 101, "{head}");
        line
    }

    fn frame(&mut self, opcode: u8, bytes: &[u8]) {
        let mask = [7, 21, 9, 77];
        let mut frame = vec![0x80 | opcode, 0x80 | 126];
        frame.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        frame.extend(mask);
        frame.extend(bytes.iter().enumerate().map(|(place, byte)| byte ^ mask[place % 4]));
        self.0.write_all(&frame).unwrap();
    }

    fn say(&mut self, text: &str) {
        self.frame(1, text.as_bytes());
    }

    /// The next message that is no beat; none when the line was closed.
    fn hear(&mut self) -> Option<Value> {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).ok()?;
            let mut length = usize::from(head[1] & 0x7f);
            if length == 126 {
                let mut long = [0; 2];
                self.0.read_exact(&mut long).ok()?;
                length = usize::from(u16::from_be_bytes(long));
            } else if length == 127 {
                let mut long = [0; 8];
                self.0.read_exact(&mut long).ok()?;
                length = usize::try_from(u64::from_be_bytes(long)).unwrap();
            }
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).ok()?;
            match head[0] & 0x0f {
                1 => {
                    let value: Value = serde_json::from_slice(&bytes).unwrap();
                    if value.get("beat").is_none() {
                        return Some(value);
                    }
                }
                8 => return None,
                _ => {}
            }
        }
    }
}

#[test]
fn a_websocket_is_opened_by_whoever_may_and_by_nobody_else() {
    let scene = Scene::new("");
    let bearer = scene.bearer();
    let foreign = [("authorization", bearer.as_str()), ("origin", "http://evil.example")];
    for path in ["/api/v1/ws", "/ws"] {
        for (more, status) in [
            (&[][..], 401),
            (&[("authorization", "Bearer made-up")], 401),
            (&[("sec-websocket-protocol", "maestria.v1, bearer.made-up")], 401),
            (&foreign, 403),
        ] {
            let (given, head, _) = Web::ask(&scene, path, more);
            assert_eq!(given, status, "{path} {more:?}: {head}");
        }
    }
    let page = format!("maestria.v1, bearer.{}", scene.token);
    let origin = format!("http://{}", scene.address);
    let (status, head, _) = Web::ask(
        &scene,
        "/api/v1/ws",
        &[("sec-websocket-protocol", &page), ("origin", &origin)],
    );
    assert_eq!(status, 101, "{head}");
    assert!(head.contains("sec-websocket-protocol: maestria.v1\r\n"), "{head}");
    assert!(!head.contains(&scene.token), "the credential is not sent back");
    let plain = scene.get("/ws");
    assert_eq!((plain.status, plain.code().as_str()), (400, "bad-value"));
}

#[test]
fn a_websocket_converses_and_stands_garbage_and_who_never_reads() {
    let scene = Scene::new("");
    let mut line = Web::open(&scene, "/api/v1/ws");
    line.say(r#"{"id":1,"path":"/api/v1/meta"}"#);
    assert_eq!(line.hear().unwrap()["body"]["name"], "token");
    line.frame(2, &[0xff, 0x00, 0xfe]);
    assert_eq!(line.hear().unwrap()["body"]["code"], "bad-json");
    line.say(r#"{"id":2,"path":"/api/v1/runs"}"#);
    assert_eq!(line.hear().unwrap()["status"], 200, "one mistake ends nothing");
    for _ in 0..40 {
        line.say("garbage");
    }
    let mut refused = 0;
    while line.hear().is_some() {
        refused += 1;
    }
    assert!((32..=40).contains(&refused), "{refused}");

    // Asks for much and takes nothing of it.
    let mut deaf = Web::open(&scene, "/api/v1/ws");
    deaf.0
        .set_write_timeout(Some(std::time::Duration::from_secs(2)))
        .unwrap();
    let ask = r#"{"path":"/api/v1/openapi.json"}"#;
    for _ in 0..64 {
        deaf.say(ask);
    }
    let mut told = Web::open(&scene, "/ws");
    assert!(told.hear().unwrap()["ready"].is_u64());
    let id = scene.demo_run();
    let event = told.hear().unwrap();
    assert_eq!(event["event"]["run"], json!(id), "others are served meanwhile");
    assert_eq!(scene.get("/health").status, 200);
}
