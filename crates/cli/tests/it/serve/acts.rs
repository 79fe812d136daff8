//! Actions that come again, and servers that are killed between the first time and the second: each is done once, and answered
//! as done.

use super::{
    again::{answered, kill_under_way},
    elsewhere::with_agent,
    scene::{Answer, PATIENCE, Scene},
};
use crate::process::{left, program};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};

fn act(scene: &Scene, path: &str, key: &str, body: &Value) -> Answer {
    scene.post_with(path, &body.to_string(), &[("idempotency-key", key)])
}

/// Acts, kills the server, and acts again under the same key.
fn twice(scene: &mut Scene, path: &str, key: &str, body: &Value) -> (Answer, Answer) {
    let first = act(scene, path, key, body);
    scene.kill();
    scene.start();
    let second = act(scene, path, key, body);
    assert!(first.status < 300, "{path}: {first:?}");
    assert_eq!(second.status, first.status, "{path}: {second:?}");
    assert_eq!(second.json()["id"], first.json()["id"], "{path}");
    (first, second)
}

#[test]
fn an_action_that_comes_again_is_done_once_whatever_happens_between() {
    let mut scene = Scene::new(&with_agent(&json!({"turns": [["hang"]]})));
    let run = scene.submit("Make a file");
    let task = scene.task_at_work(&run);
    let of_run = |verb: &str| format!("/runs/{run}/{verb}");
    let nothing = json!({});

    let say = json!({"task": task, "text": "one"});
    twice(&mut scene, "/runs/last/messages", "a", &say);
    // What `last` was when it came first.
    let newer = scene.submit("Make another file");
    assert_eq!(act(&scene, "/runs/last/messages", "a", &say).json()["id"], json!(run));
    assert_eq!(scene.events(&run, "task.told").len(), 1);
    for (path, body) in [
        ("/runs/last/messages", json!({"task": task, "text": "two"})),
        (of_run("messages").as_str(), say),
        (of_run("abort").as_str(), nothing.clone()),
        ("/runs", json!({"text": "x", "target": scene.target()})),
    ] {
        let refused = act(&scene, path, "a", &body);
        assert_eq!((refused.status, refused.code().as_str()), (409, "key-reused"), "{path}");
    }

    twice(&mut scene, &of_run("pause"), "b", &nothing);
    assert_eq!(scene.state(&run), "paused");
    assert_eq!(act(&scene, &of_run("pause"), "other", &nothing).code(), "wrong-state");
    twice(&mut scene, &of_run("resume"), "c", &nothing);
    let now = act(&scene, &of_run("pause"), "b", &nothing);
    assert_eq!(
        (now.status, now.json()["state"].as_str()),
        (202, Some("executing")),
        "as it is by now"
    );
    twice(&mut scene, &of_run("abort"), "d", &json!({"because": "enough"}));
    scene.until("it has ended", || scene.state(&run) == "aborted");

    twice(
        &mut scene,
        &of_run("rerun"),
        "e",
        &json!({"from": task, "message": "again"}),
    );
    assert_eq!(scene.events(&run, "run.rewound").len(), 1);
    assert_eq!(scene.events(&run, "task.told").len(), 2);
    twice(&mut scene, &of_run("abort"), "f", &nothing);
    scene.until("it has ended again", || scene.state(&run) == "aborted");
    twice(&mut scene, &of_run("discard"), "g", &nothing);
    assert_eq!(scene.events(&run, "run.discard_requested").len(), 1);

    let bearer = scene.bearer();
    let address = scene.address.clone();
    let headers = [
        ("host", address.as_str()),
        ("authorization", &bearer),
        ("content-type", "application/json"),
        ("idempotency-key", "h"),
    ];
    let path = format!("/api/control/stop?run={newer}");
    for _ in 0..2 {
        assert_eq!(scene.raw("POST", &path, &headers, "").status, 202);
        scene.kill();
        scene.start();
    }
}

#[test]
fn an_answer_that_comes_again_is_the_answer_that_was_given() {
    let mut scene = Scene::new(&with_agent(&json!({"turns": [[{"say": "done"}]]})));
    let run = scene.submit("Make a file");
    scene.until("somebody is asked", || scene.state(&run) == "escalated");
    let open = scene.get("/decisions").json();
    let path = format!("/decisions/{}", open["items"][0]["id"].as_str().unwrap());
    let skip = json!({"choice": "skip", "because": "not needed"});
    let (first, second) = twice(&mut scene, &path, "a", &skip);
    assert_eq!(first.json()["answer"], second.json()["answer"]);
    assert_eq!(act(&scene, &path, "b", &skip).code(), "already-decided");
    assert_eq!(
        act(&scene, &path, "a", &json!({"choice": "retry"})).code(),
        "key-reused"
    );
    assert_eq!(scene.events(&run, "decision.made").len(), 1);
}

/// The server is killed when it has done what was asked, and before its answer goes on; then another one is there.
#[test]
fn a_client_whose_answer_is_lost_with_the_server_is_told_of_what_was_done() {
    let mut scene = Scene::new(&with_agent(&json!({"turns": [["hang"]]})));
    let run = scene.submit("Make a file");
    scene.until("an agent is at work", || !scene.events(&run, "task.started").is_empty());
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    between.set_nonblocking(true).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut client = program(home.path(), &["tell", "--message", "one"])
        .env("MAESTRIA_SERVER", format!("http://{}", between.local_addr().unwrap()))
        .env("MAESTRIA_TOKEN", &scene.token)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut posts = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while client.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the client does not end");
        let Ok((mut socket, _)) = between.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let request = request(&mut socket, &scene.address);
        let answer = exchange(&scene, &request);
        if request.starts_with("POST") {
            posts.push(request);
            if posts.len() == 1 {
                scene.kill();
                scene.start();
                continue;
            }
        }
        socket.write_all(answer.as_bytes()).unwrap();
    }
    let left = left(&client.wait_with_output().unwrap());
    assert_eq!(left.code, 0, "{}", left.err);
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0], posts[1], "the same under the same key");
    assert_eq!(scene.events(&run, "task.told").len(), 1);
}

/// A request as it comes from a client, for another address.
fn request(socket: &mut TcpStream, address: &str) -> String {
    socket.set_nonblocking(false).unwrap();
    let mut reader = BufReader::new(socket);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{head}");
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "host" => line = format!("host: {address}\r\nconnection: close\r\n"),
            _ => {}
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn exchange(scene: &Scene, request: &str) -> String {
    let mut socket = TcpStream::connect(&scene.address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Clients that tell one thing after the other.
const CLIENTS: usize = 6;

/// Messages that are answered before the server is killed.
const ANSWERED: usize = 60;

#[test]
fn what_was_told_under_a_kill_is_told_once() {
    let mut scene = Scene::new(&with_agent(&json!({"turns": [["hang"]]})));
    let run = scene.submit("Make a file");
    let task = scene.task_at_work(&run);
    let path = format!("/runs/{run}/messages");
    let body = |key: &str| json!({"task": task, "text": key}).to_string();
    let (sent, heard) = (Mutex::new(BTreeSet::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (scene, path, body, sent, heard) = (&scene, &path, &body, &sent, &heard);
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{client}-{number}");
                    sent.lock().unwrap().insert(key.clone());
                    if answered(scene, path, &key, &body(&key)).is_none() {
                        return;
                    }
                    *heard.lock().unwrap() += 1;
                }
            });
        }
        let deadline = Instant::now() + PATIENCE;
        while *heard.lock().unwrap() < ANSWERED {
            assert!(Instant::now() < deadline, "nobody is answered");
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_under_way(&scene);
    });
    scene.kill();
    scene.start();
    let sent = sent.into_inner().unwrap();
    for key in &sent {
        let again = scene.post_with(&path, &body(key), &[("idempotency-key", key)]);
        assert_eq!(again.status, 202, "{again:?}");
    }
    let told: Vec<String> = scene
        .events(&run, "task.told")
        .iter()
        .map(|event| event["message"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told.len(), sent.len(), "each once, whether its answer came or not");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), sent);
}
