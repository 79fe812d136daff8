//! The server as a process: what is refused and how, runs followed and decided through it, a kill.

mod access;
mod acts;
mod again;
mod elsewhere;
mod figures;
mod follow;
mod keys;
mod lines;
mod log;
mod queue;
mod remote;
mod scene;
mod trouble;

use crate::process::run;
use scene::{PATIENCE, Scene};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

fn is_finished(events: &[Value]) -> bool {
    let ends = |event: &Value| {
        event["kind"] == "run.transitioned" && matches!(event["to"]["state"].as_str(), Some("completed" | "failed"))
    };
    events.iter().any(ends)
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
        ("/usage?run=x", 400, "bad-id"),
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
    for (method, path, name) in [
        ("GET", "/api/v1/events", "last-event-id"),
        ("POST", "/api/v1/runs", "idempotency-key"),
    ] {
        let strange = [plain[0], plain[1], ("content-type", "application/json"), (name, "é")];
        let refused = scene.raw(method, path, &strange, "");
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (400, Some(name)),
            "{}",
            refused.body
        );
    }
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

    let tell = |body: &str| scene.post(&format!("/runs/{id}/messages"), body);
    let deaf = tell(r#"{"task":"E2","text":"greet louder","file":"greet.sh","line":3}"#);
    assert_eq!(
        (deaf.status, deaf.code().as_str()),
        (409, "wrong-state"),
        "{}",
        deaf.body
    );
    let unknown = tell(r#"{"task":"E9","text":"x"}"#);
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "unknown-task"));
    for odd in [
        r#"{"task":"E2"}"#,
        r#"{"task":"E2","text":"x","line":-1}"#,
        r#"{"task":"E2","text":7}"#,
        r#"["E2","louder"]"#,
    ] {
        assert_eq!(tell(odd).status, 400, "{odd}");
    }

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

    let usage = |query: &str| scene.get(&format!("/usage?by=run{query}")).json();
    let of_run = usage(&format!("&run={id}"));
    assert_eq!(of_run["items"][0]["group"], json!(id));
    assert!(of_run["total"]["calls"].as_u64().unwrap() > 0, "{of_run}");
    assert_eq!(usage("&run=last")["items"], of_run["items"]);
    let lanes = scene.get("/gateway/lanes").json();
    let lane = lanes["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|lane| lane["provider"] == "playbook-author");
    assert_eq!(lane.unwrap()["rests_until"], Value::Null, "{lanes}");
    assert_eq!(
        scene.get("/meta").json()["features"],
        json!(["audit", "gateway", "messages"])
    );

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

/// As docs/api.md lists them: each of the earlier paths, with what its clients read of the answer.
#[test]
fn the_flat_paths_answer_with_their_shapes() {
    let scene = Scene::new("");
    let bearer = scene.bearer();
    let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
    let json = [headers[0], headers[1], ("content-type", "application/json")];
    let wish = json!({"prompt": "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both",
                      "target": scene.target(), "agents": ["playbook-author", "playbook-reviewer"]});
    let done = scene.raw("POST", "/operations", &json, &wish.to_string());
    assert_eq!(done.status, 200, "{done:?}");
    let operation = done.json();
    assert_eq!(operation["status"], "completed");
    assert_eq!(operation["requires_human"], false);
    assert!(operation["confidence_score"].as_f64().unwrap() > 0.7 && operation["execution_time_ms"].is_u64());
    assert!(operation["token_usage"]["total"].as_u64().unwrap() > 0);
    assert!(operation["result"].as_str().unwrap().contains("E2 "), "{operation}");
    let one = scene.raw(
        "GET",
        &format!("/operations/{}", operation["id"].as_str().unwrap()),
        &headers,
        "",
    );
    assert_eq!(one.json(), operation);
    for (path, field) in [
        ("/operations", "operations"),
        ("/escalations", "decisions"),
        ("/api/status", "progress"),
        ("/api/session", "session_id"),
        ("/api/requirements", "requirements"),
        ("/api/tasks", "tasks"),
        ("/api/workers", "workers"),
        ("/api/reviews", "reviews"),
        ("/api/decisions", "decisions"),
        ("/api/recovery", "recovery"),
        ("/api/summary", "summary"),
        ("/api/metrics", "success_rate"),
    ] {
        let answer = scene.raw("GET", path, &headers, "");
        assert!(
            answer.status == 200 && !answer.json()[field].is_null(),
            "{path}: {answer:?}"
        );
        assert_eq!(scene.raw("GET", path, &headers[..1], "").status, 401, "{path}");
    }
    assert_eq!(
        scene.raw("POST", "/api/route-llm", &json, r#"{"prompt":"x"}"#).json()["sampled"],
        true
    );
    assert_eq!(
        scene.raw("POST", "/api/control/pause", &json, "{}").code(),
        "wrong-state"
    );
    assert_eq!(
        scene.raw("POST", "/api/control/fly", &json, "{}").code(),
        "unknown-path"
    );
    assert_eq!(scene.raw("POST", "/operations", &json, "{}").code(), "bad-json");
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let scene = Scene::new("");
    scene.demo_run();
    scene.stream("after=0", None, is_finished);
    let bearer = scene.bearer();
    let headers = [("host", scene.address.as_str()), ("authorization", bearer.as_str())];
    let answer = scene.raw("GET", "/metrics", &headers, "");
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let mut seen = std::collections::BTreeSet::new();
    let mut described = String::new();
    for line in answer.body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            assert!(matches!(words.next(), Some("HELP" | "TYPE")), "{line}");
            words.next().unwrap().clone_into(&mut described);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let suffix = name.strip_prefix(&described);
        assert!(
            matches!(suffix, Some("" | "_bucket" | "_sum" | "_count")),
            "each series stands below its description: {line}"
        );
        assert!(seen.insert(series.to_owned()), "twice: {series}");
    }
    for wanted in [
        "maestria_runs{state=\"completed\"} 1",
        "maestria_model_calls_total{provider=\"playbook-author\",model=\"script\",operation=\"chat\",outcome=\"ok\"}",
        "maestria_task_attempts_total{agent=\"playbook-author\",verdict=\"completed\"}",
        "maestria_effects_owed ",
        "maestria_decisions_waiting 0",
        "maestria_store_up 1",
    ] {
        assert!(answer.body.contains(wanted), "{wanted} is missing in\n{}", answer.body);
    }
}

#[test]
fn a_route_is_not_found_where_only_scripts_answer() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("p.toml");
    fs::write(&script, "[[rule]]\nwhen = []\nsteps = [{ text = \"done\" }]\n").unwrap();
    let scene = Scene::new(&format!(
        "[providers.p]\ndialect = \"playbook\"\nmodels = [\"script\"]\nscript = \"{}\"\n",
        script.display()
    ));
    let refused = scene.post("/gateway/route", r#"{"prompt":"x"}"#);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (422, "no-route"),
        "{}",
        refused.body
    );
    assert!(refused.body.contains("scripted ones"), "{}", refused.body);
}

/// Nothing is judged by fewer rules than the person wrote.
#[test]
fn rules_that_cannot_be_read_are_not_left_out() {
    let scene = Scene::new("");
    let file = scene.home.path().join(".config/maestria/policy.toml");
    let test = || scene.post("/policies/test", r#"{"command":"ls"}"#);
    assert_eq!(test().json()["verdict"], "allow");
    fs::create_dir(&file).unwrap();
    assert_eq!(
        (test().status, test().code().as_str()),
        (409, "wrong-state"),
        "{}",
        test().body
    );
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "[[rule]]\nid = 7\n").unwrap();
    assert_eq!(test().code(), "wrong-state");
    assert!(test().body.contains("policy.toml"), "{}", test().body);
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
