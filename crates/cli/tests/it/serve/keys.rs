//! Keys and credentials: what each may do, how fast, and that nothing of a revoked one stays open.

use super::scene::{PATIENCE, Scene};
use crate::process::run;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

fn create(scene: &Scene, name: &str, role: &str) -> String {
    let made = run(scene.home.path(), &["token", "create", "--name", name, "--role", role]);
    assert_eq!(made.code, 0, "{}", made.err);
    made.out.trim().to_owned()
}

fn status(scene: &Scene, key: &str, method: &str, path: &str, body: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("host", scene.address.as_str()),
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    scene.raw(method, path, &headers, body).status
}

#[test]
fn each_role_may_do_what_is_its_own() {
    let scene = Scene::new("");
    let keys = ["viewer", "operator", "admin"].map(|role| create(&scene, role, role));
    let command = r#"{"command":"ls"}"#;
    for (method, path, body, told) in [
        ("GET", "/api/v1/runs", "", [200, 200, 200]),
        ("GET", "/metrics", "", [200, 200, 200]),
        ("POST", "/api/v1/policies/test", command, [200, 200, 200]),
        ("POST", "/api/v1/runs", "{}", [403, 400, 400]),
        ("POST", "/api/v1/runs/last/abort", "{}", [403, 404, 404]),
        (
            "POST",
            "/api/v1/decisions/dec_01a1fdf81018753197932db2b453e741",
            r#"{"approve":true}"#,
            [403, 404, 404],
        ),
        ("GET", "/api/v1/config", "", [403, 403, 200]),
        ("GET", "/api/v1/keys", "", [403, 403, 200]),
        (
            "POST",
            "/api/v1/keys",
            r#"{"name":"more","role":"admin","days":0}"#,
            [403, 403, 400],
        ),
        ("POST", "/api/v1/keys/revoke", r#"{"name":"nobody"}"#, [403, 403, 400]),
    ] {
        let all = keys.each_ref().map(|key| status(&scene, key, method, path, body));
        assert_eq!(all, told, "{method} {path}");
    }
    let meta = |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
        scene.raw("GET", "/api/v1/meta", &headers, "").json()
    };
    assert_eq!(
        (meta(&keys[1])["name"].clone(), meta(&keys[1])["role"].clone()),
        (json!("operator"), json!("operator"))
    );
    let made = scene.post("/keys", r#"{"name":"by-hand","role":"viewer","days":1}"#);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        status(&scene, made.json()["key"].as_str().unwrap(), "GET", "/api/v1/runs", ""),
        200
    );
    let listed = scene.get("/keys");
    let used = |name: &str| {
        let all = listed.json();
        let line = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["name"] == name)
            .unwrap()
            .clone();
        line["used_at"].is_i64()
    };
    assert!(used("viewer") && used("by-hand"), "{}", listed.body);
    for key in keys
        .iter()
        .map(String::as_str)
        .chain([made.json()["key"].as_str().unwrap()])
    {
        assert!(!listed.body.contains(&key[14..]), "a key is shown");
    }
    let told = run(scene.home.path(), &["token", "list"]);
    assert!(
        told.out.contains("by-hand") && told.out.contains("viewer"),
        "{}",
        told.out
    );
}

/// What a worker is given lets it ask for models, and nothing else.
#[test]
fn a_workers_own_key_decides_nothing() {
    let scene = Scene::new("");
    let made = run(
        scene.home.path(),
        &["keys", "create", "--name", "w", "--agent", "claude", "--task", "t"],
    );
    let key = made.out.trim();
    assert!(key.starts_with("mk_"), "{key}");
    for (method, path) in [
        ("GET", "/api/v1/decisions"),
        ("POST", "/api/v1/decisions/dec_01a1fdf81018753197932db2b453e741"),
        ("POST", "/api/v1/keys"),
        ("GET", "/escalations"),
    ] {
        assert_eq!(status(&scene, key, method, path, "{}"), 401, "{method} {path}");
    }
}

/// Opens a line and reads until the server closes it.
fn open(scene: &Scene, credential: &str, head: &str) -> std::thread::JoinHandle<String> {
    let mut socket = TcpStream::connect(&scene.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET {head}\r\nhost: {}\r\nauthorization: Bearer {credential}\r\n\r\n",
        scene.address
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(socket);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // A line that is cut off may end with an error as well.
        let _ = reader.read_to_end(&mut rest);
        first
    })
}

#[test]
fn what_is_revoked_is_cut_off_at_once() {
    let scene = Scene::new("");
    let key = create(&scene, "ci", "operator");
    let issued = run(
        scene.home.path(),
        &["token", "issue", "--name", "eve", "--role", "viewer"],
    );
    let credential = issued.out.trim().to_owned();
    let id = issued
        .err
        .split_whitespace()
        .find(|word| word.trim_end_matches('`').len() == 16)
        .unwrap();
    let id = id.trim_end_matches('`').to_owned();
    let websocket = "/api/v1/ws HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let stream = "/api/v1/events HTTP/1.1";
    for (credential, name) in [(&key, "ci"), (&credential, id.as_str())] {
        let lines = [open(&scene, credential, stream), open(&scene, credential, websocket)];
        let other = open(&scene, &scene.token, stream);
        assert_eq!(status(&scene, credential, "GET", "/api/v1/runs", ""), 200);
        let revoked = run(scene.home.path(), &["token", "revoke", name]);
        assert_eq!(revoked.code, 0, "{}", revoked.err);
        assert_eq!(status(&scene, credential, "GET", "/api/v1/runs", ""), 401, "{name}");
        let told = lines.map(|line| line.join().unwrap());
        assert!(told[0].contains(" 200 ") && told[1].contains(" 101 "), "{told:?}");
        assert!(!other.is_finished(), "nobody else is cut off");
    }
    let again = run(scene.home.path(), &["token", "revoke", "ci"]);
    assert!(again.code == 1 && again.err.contains("no key `ci`"), "{}", again.err);
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let scene = Scene::new("[server]\nrequests_per_second = 2\n");
    let (key, other) = (create(&scene, "busy", "viewer"), create(&scene, "calm", "viewer"));
    let bearer = format!("Bearer {key}");
    let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        let answer = scene.raw("GET", "/api/v1/meta", &headers, "");
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "nobody is ever told to wait");
    };
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate-limited"));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(
        status(&scene, &other, "GET", "/api/v1/meta", ""),
        200,
        "each has a pace of its own"
    );
    for _ in 0..20 {
        assert_eq!(scene.get("/meta").status, 200, "the token is held to none");
    }
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(status(&scene, &key, "GET", "/api/v1/meta", ""), 200);
}

/// The same words for whatever is wrong, so that nobody learns from them how near they were.
#[test]
fn refusals_are_the_same_words() {
    let scene = Scene::new("");
    let key = create(&scene, "ci", "admin");
    let (spare, expired) = (
        create(&scene, "spare", "admin"),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x",
    );
    run(scene.home.path(), &["token", "revoke", "spare"]);
    let other = if key.ends_with('0') { '1' } else { '0' };
    let mistyped = format!("{}{other}", &key[..key.len() - 1]);
    let bad = [spare.as_str(), expired, mistyped.as_str(), "mak_", &key[..60], "x"];
    let mut told = std::collections::BTreeSet::new();
    let mut ask = |path: &str, method: &str, more: [(&str, &str); 2], expected: u16| {
        let headers = [more[0], more[1], ("x-request-id", "same")];
        let refused = scene.raw(method, path, &headers, "{}");
        assert_eq!(refused.status, expected, "{method} {path} {more:?}");
        told.insert((expected, refused.body));
    };
    let bearers = bad.map(|credential| format!("Bearer {credential}"));
    let good = format!("Bearer {key}");
    for (method, path) in [
        ("GET", "/api/v1/runs"),
        ("POST", "/api/v1/runs/last/abort"),
        ("GET", "/api/v1/ws"),
        ("GET", "/operations"),
    ] {
        for bearer in &bearers {
            ask(path, method, [("host", &scene.address), ("authorization", bearer)], 401);
        }
        for host in ["evil.example", "127.0.0.1", ""] {
            ask(path, method, [("host", host), ("authorization", &good)], 403);
        }
    }
    assert_eq!(told.len(), 2, "{told:?}");
    let codes: Vec<Value> = told
        .iter()
        .map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["code"].clone())
        .collect();
    assert_eq!(codes, [json!("unauthorised"), json!("foreign-host")]);
}
