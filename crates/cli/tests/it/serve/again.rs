//! Submissions that come again, and servers that are killed under them: what was acknowledged is there and goes on, and nothing
//! is there twice.

use super::scene::{Answer, PATIENCE, Scene};
use crate::process::run;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Barrier, Mutex},
    time::{Duration, Instant},
};

/// A run that ends where it begins: its target is no repository.
fn body(scene: &Scene, text: &str) -> String {
    let target = scene.home.path().join("plain");
    std::fs::create_dir_all(&target).unwrap();
    json!({"text": text, "target": target, "agents": ["playbook-author", "playbook-reviewer"]}).to_string()
}

fn submit(scene: &Scene, key: &str, body: &str) -> Answer {
    scene.post_with("/runs", body, &[("idempotency-key", key)])
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Every run there is.
fn runs(scene: &Scene) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = scene.get(&format!("/runs?limit=200{cursor}")).json();
        let ids = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["id"].as_str().unwrap().to_owned());
        all.extend(ids);
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn a_submission_that_comes_again_is_the_same_run_whatever_happens_between() {
    let mut scene = Scene::new("");
    let (one, other) = (body(&scene, "one"), body(&scene, "other"));
    let first = submit(&scene, "k", &one);
    let run_id = id(&first);
    for _ in 0..2 {
        let again = submit(&scene, "k", &one);
        assert_eq!(id(&again), run_id);
        assert_eq!(again.header("location"), first.header("location"));
        let refused = submit(&scene, "k", &other);
        assert_eq!((refused.status, refused.code().as_str()), (409, "key-reused"));
        assert_eq!(refused.json()["field"], json!("idempotency-key"));
        scene.kill();
        scene.start();
    }
    // What is wrong with a submission now does not matter to one that was taken.
    std::fs::remove_dir(scene.home.path().join("plain")).unwrap();
    assert_eq!(id(&submit(&scene, "k", &one)), run_id);
    assert_eq!(runs(&scene), BTreeSet::from([run_id]));
}

#[test]
fn a_key_belongs_to_its_credential_and_its_path() {
    let scene = Scene::new("");
    let body = body(&scene, "one");
    let ours = id(&submit(&scene, "k", &body));
    let words = ["token", "issue", "--name", "ci", "--role", "operator"];
    let bearer = format!("Bearer {}", run(scene.home.path(), &words).out.trim());
    let headers = [
        ("host", scene.address.as_str()),
        ("authorization", &bearer),
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let theirs = scene.raw("POST", "/api/v1/runs", &headers, &body);
    assert_ne!(id(&theirs), ours);
    let again = scene.raw("POST", "/api/v1/runs", &headers, &body);
    assert_eq!(id(&again), id(&theirs));
    let flat = body.replacen("text", "requirement", 1);
    assert_eq!(
        scene.raw("POST", "/api/requirements", &headers, &flat).code(),
        "key-reused"
    );
    let headers = [headers[0], headers[1], headers[2], ("idempotency-key", "f")];
    let wish = || id(&scene.raw("POST", "/api/requirements", &headers, &flat));
    assert_eq!(wish(), wish());
    assert_eq!(runs(&scene).len(), 3);
}

#[test]
fn of_submissions_at_once_under_one_key_one_becomes_a_run() {
    let scene = Scene::new("");
    let body = body(&scene, "one");
    let gate = Barrier::new(16);
    let told: BTreeSet<String> = std::thread::scope(|scope| {
        let ask = || {
            gate.wait();
            id(&submit(&scene, "k", &body))
        };
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(runs(&scene), told);
    assert_eq!(told.len(), 1);
}

/// Clients that submit one run after the other.
const CLIENTS: usize = 8;

/// Submissions that are answered before the server is killed.
const ANSWERED: usize = 120;

#[test]
fn what_was_acknowledged_before_a_kill_goes_on_after_it() {
    let mut scene = Scene::new("[server]\nruns_at_once = 2\n");
    let body = body(&scene, "one");
    // The keys that were sent, with the run when an answer came.
    let sent: Mutex<BTreeMap<String, Option<String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (scene, body, sent) = (&scene, &body, &sent);
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{client}-{number}");
                    sent.lock().unwrap().insert(key.clone(), None);
                    let Some(run) = answered(scene, "/runs", &key, body) else {
                        return;
                    };
                    sent.lock()
                        .unwrap()
                        .insert(key, Some(run["id"].as_str().unwrap().to_owned()));
                }
            });
        }
        let deadline = Instant::now() + PATIENCE;
        while sent.lock().unwrap().values().flatten().count() < ANSWERED {
            assert!(Instant::now() < deadline, "nobody is answered");
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_under_way(&scene);
    });
    scene.kill();
    let sent = sent.into_inner().unwrap();
    let acknowledged: BTreeSet<String> = sent.values().flatten().cloned().collect();
    assert!(acknowledged.len() >= ANSWERED, "each was another run");

    scene.start();
    let kept = runs(&scene);
    assert!(acknowledged.is_subset(&kept), "nothing acknowledged is lost");
    let deadline = Instant::now() + PATIENCE;
    while scene.get("/health").json()["runs"] != json!({"at_work": 0, "queued": 0}) {
        assert!(Instant::now() < deadline, "{}", scene.get("/runs?limit=20").body);
        std::thread::sleep(Duration::from_millis(50));
    }
    let open = scene.get("/runs?state=queued,planning,executing").json();
    assert_eq!(open["items"], json!([]), "each has begun, and come as far as it can");
    for (key, run) in &sent {
        let again = id(&submit(&scene, key, &body));
        assert!(
            run.as_ref().is_none_or(|run| *run == again),
            "{key}: {run:?} and {again}"
        );
    }
    assert_eq!(
        runs(&scene).len(),
        sent.len(),
        "a run a key, whether the answer came or not"
    );
}

/// Its own signal: nothing is tidied up.
pub(super) fn kill_under_way(scene: &Scene) {
    let server = rustix::process::Pid::from_child(scene.server.as_ref().unwrap());
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
}

/// Posts; `None` when the server is gone before it has answered whole.
pub(super) fn answered(scene: &Scene, path: &str, key: &str, body: &str) -> Option<serde_json::Value> {
    let mut socket = TcpStream::connect(&scene.address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\nconnection: close\r\n\
         content-type: application/json\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
        scene.address,
        scene.bearer(),
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 20"), "{text}");
    serde_json::from_str(body).ok()
}
