//! Fifty secrets, each in five encodings, told by a worker in every way it has: they reach no file, no face and no model.

use crate::{
    process::{Left, left, program},
    workers::Scene,
};
use maestria_testkit::model::ModelServer;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const CANARIES: usize = 50;

/// A secret with characters that every encoding changes.
fn canary(number: usize) -> String {
    // Steps that are prime to 2^32 make no two alike.
    let word = |step: usize| (number + 1).wrapping_mul(step) & 0xffff_ffff;
    format!(
        "cn{number:02}\"{:08x}+{:08x}%&{:08X}=é",
        word(2_654_435_761),
        word(40_503),
        word(2_246_822_519)
    )
}

fn variable(number: usize) -> String {
    format!("CANARY_{number:02}_TOKEN")
}

/// The five encodings; base64 as it stands behind any number of bytes.
fn encodings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let url: String = secret
        .bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    let json = Value::from(secret).to_string().trim_matches('"').to_owned();
    let mut all = vec![secret.to_owned(), hex, url, json];
    all.extend((0..3).map(|before| base64(&[vec![b'-'; before], secret.as_bytes().to_vec()].concat())));
    all
}

/// Base64 without what it shares with a neighbour, made here: the product's own must not be its judge.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let digit = |six: &[u8]| DIGITS[six.iter().fold(0, |value, bit| value << 1 | usize::from(*bit))];
    let leading = bytes.iter().take_while(|byte| **byte == b'-').count();
    let digits = bits.chunks_exact(6).map(|six| char::from(digit(six)));
    digits.skip((leading * 8).div_ceil(6)).collect()
}

/// A worker that tells all of them: in words, on stderr, in raw lines, as a command, as a path, and to its model.
fn talkative() -> Value {
    let mut acts = Vec::new();
    for number in 0..CANARIES {
        let told = encodings(&canary(number)).join(" and ");
        acts.push(json!({"say": format!("canary {number}: {told}")}));
        acts.push(json!({"stderr": format!("stderr {number}: {told}")}));
        acts.push(json!({"raw": format!("raw {number}: {told}")}));
        acts.push(json!({"raw": json!({"type": "noise", "text": told}).to_string()}));
    }
    let all: String = (0..CANARIES)
        .map(|number| encodings(&canary(number)).join(" ") + "\n")
        .collect();
    acts.push(json!({"call": all}));
    acts.push(json!({"shell": format!("true '{}'", canary(1))}));
    acts.push(json!({"shell": format!("rm -rf '/srv/{}'", canary(2))}));
    acts.push(json!({"refused_write": {"path": format!("notes-{}.txt", canary(3))}}));
    acts.push(json!({"write": {"path": "made.txt", "content": "made\n"}}));
    acts.push(json!({"say": format!("all done, {}", canary(4))}));
    json!({"turns": [acts]})
}

fn told(scene: &Scene, words: &[&str]) -> Command {
    let mut command = program(scene.home(), &["--config", "config.toml"]);
    command.args(words).env("MAESTRIA_LOG", "debug");
    command.envs((0..CANARIES).map(|number| (variable(number), canary(number))));
    command
}

fn run(scene: &Scene, words: &[&str]) -> Left {
    left(&told(scene, words).output().unwrap())
}

/// A server of the same home, until it is dropped.
struct Server {
    child: Child,
    address: String,
    token: String,
}

impl Server {
    fn start(scene: &Scene) -> Self {
        let mut command = told(scene, &["serve", "--listen", "127.0.0.1:0"]);
        let errors = fs::File::create(scene.home().join("serve.err")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        Self {
            child,
            address: line.trim().trim_start_matches("http://").to_owned(),
            token: run(scene, &["token"]).out.trim().to_owned(),
        }
    }

    /// What it answers, to its end or until `enough` of it is there.
    fn answer(&self, line: &str, more: &str, body: &str, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (address, token, length) = (&self.address, &self.token, body.len());
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n{more}\r\n{body}"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let (mut all, mut piece) = (Vec::new(), [0; 64 << 10]);
        while !enough(&all) {
            match socket.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) => panic!("{line}: {error}: {}", String::from_utf8_lossy(&all)),
            }
        }
        all
    }

    fn get(&self, path: &str) -> Vec<u8> {
        self.answer(&format!("GET {path}"), "connection: close\r\n", "", |_| false)
    }

    fn json(&self, path: &str) -> Value {
        let answer = String::from_utf8(self.get(path)).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = body.find('{').map_or("", |at| &body[at..=body.rfind('}').unwrap()]);
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// Every path that is read, with what it holds of this home.
    fn paths(&self) -> Vec<String> {
        let described = self.json("/api/v1/openapi.json");
        let paths = described["paths"].as_object().unwrap().iter();
        let run = self.json("/api/v1/runs")["items"][0]["id"].as_str().unwrap().to_owned();
        let read = paths.filter(|(path, verbs)| !verbs["get"].is_null() && !path.ends_with("/ws"));
        let plain =
            read.filter(|(_, verbs)| verbs["get"]["responses"]["200"]["content"]["text/event-stream"].is_null());
        let mut all: Vec<String> = plain.map(|(path, _)| path.replace("{run}", &run)).collect();
        all.retain(|path| !path.contains('{'));
        assert!(
            all.iter().any(|path| path.ends_with("/diff")) && all.len() > 30,
            "{all:?}"
        );
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every face of a server: what is read, what is refused, and both ways to follow.
fn served(scene: &Scene, look: &mut impl FnMut(&str, &[u8])) {
    let server = Server::start(scene);
    for path in server.paths() {
        look(&path, &server.get(&path));
    }
    let spelt = &encodings(&canary(6))[2];
    for path in [format!("/api/v1/runs?state={spelt}"), format!("/api/v1/{spelt}")] {
        look("a refusal", &server.get(&path));
    }
    let wish = json!({"text": format!("the key is {}", canary(7)), "target": canary(8)}).to_string();
    let more = "connection: close\r\ncontent-type: application/json\r\n";
    look(
        "a refused wish",
        &server.answer("POST /api/v1/runs", more, &wish, |_| false),
    );
    // It ends with a question: the worker was stopped for what it tried.
    let is_over = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("escalated");
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (face, line, more) in [
        ("events", "GET /api/v1/events?after=0", ""),
        ("events of earlier systems", "GET /api/events/stream?after=0", ""),
        ("websocket", "GET /ws?after=0", upgrade),
    ] {
        let answer = server.answer(line, more, "", is_over);
        assert!(is_over(&answer), "{face}: {}", String::from_utf8_lossy(&answer));
        look(face, &answer);
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every place where a canary shows.
fn hits(sink: &str, bytes: &[u8], report: &mut String) {
    let text = String::from_utf8_lossy(bytes);
    for number in 0..CANARIES {
        for (encoding, spelling) in encodings(&canary(number)).iter().enumerate() {
            if text.contains(spelling.as_str()) {
                let _ = writeln!(report, "{sink}: canary {number}, encoding {encoding}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_reaches_a_sink() {
    let server = ModelServer::start().await;
    let fake = maestria_testkit::built::program("fake-agent").unwrap();
    let plan = talkative().to_string();
    let agent = format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n",
        json!(fake),
        json!(plan)
    );
    let scene = Scene::new(&server, &agent, "");
    let task = format!("Make a file, the key is {}", canary(0));
    let wish = ["--target", "app", "--workflow", "solo", "--agents", "claude", "--jsonl"];
    let ran = run(&scene, &[&["--verbose", "run", &task][..], &wish].concat());
    let mut report = String::new();
    let mut markers = 0;
    let mut look = |sink: &str, bytes: &[u8]| {
        markers += String::from_utf8_lossy(bytes).matches("[secret:CANARY_").count();
        hits(sink, bytes, &mut report);
    };
    look("stdout", ran.out.as_bytes());
    look("stderr", ran.err.as_bytes());
    for words in [
        &["events"][..],
        &["show"],
        &["show", "--json"],
        &["runs", "--json"],
        &["diff"],
        &["decisions", "--json"],
        &["audit", "export"],
        &["usage", "--csv"],
        &["config", "show"],
        &["abort", &canary(5)],
    ] {
        let shown = run(&scene, words);
        look(&words.join(" "), format!("{}{}", shown.out, shown.err).as_bytes());
    }
    served(&scene, &mut look);
    let asked: Vec<Value> = server.requests().into_iter().map(|asked| asked.body).collect();
    assert!(!asked.is_empty(), "its model was asked: {}{}", ran.out, ran.err);
    look("the model", Value::from(asked).to_string().as_bytes());
    let mut all = Vec::new();
    files(scene.home(), &mut all);
    // What a person wrote into the configuration stays as it was written.
    all.retain(|path| !path.ends_with("config.toml"));
    assert!(all.iter().any(|path| path.ends_with("stream.jsonl")), "{all:?}");
    assert!(all.iter().any(|path| path.ends_with("maestria.db")), "{all:?}");
    for path in &all {
        look(&path.display().to_string(), &fs::read(path).unwrap());
    }
    assert!(report.is_empty(), "{report}");
    // They were told, and taken out.
    assert!(markers > CANARIES * 20, "{markers} markers: {}{}", ran.out, ran.err);
}
