//! More runs than places: who waits, in which order, and what can be done with them meanwhile.

use super::{elsewhere::with_agent, scene::Scene};
use crate::process::run;
use serde_json::{Value, json};

/// A server with one place, and an agent that does this with each task.
fn one_place(turn: &Value) -> Scene {
    let fake = maestria_testkit::built::program("fake-agent").unwrap();
    let plan = json!({"turns": [turn]}).to_string();
    Scene::new(&format!(
        "[server]\nruns_at_once = 1\n[agents.claude]\ncommand = {}\n\
         env = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n[limits]\nretries = 1\n",
        json!(fake),
        json!(plan)
    ))
}

fn lengths(scene: &Scene) -> (u64, u64) {
    let runs = scene.get("/health").json()["runs"].clone();
    (runs["at_work"].as_u64().unwrap(), runs["queued"].as_u64().unwrap())
}

#[test]
fn more_runs_than_places_wait_their_turn_and_take_commands_at_once() {
    let mut scene = one_place(&json!(["hang"]));
    let runs: Vec<String> = ["one", "two", "three", "four"].map(|text| scene.submit(text)).into();
    scene.until("the first is at work", || scene.state(&runs[0]) == "executing");
    assert_eq!(lengths(&scene), (1, 3));
    let waiting = scene.get("/runs?state=queued").json();
    let ids: Vec<&str> = waiting["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [&runs[3], &runs[2], &runs[1]]);
    assert_eq!(
        (&waiting["counts"]["queued"], &waiting["items"][0]["driven"]),
        (&json!(3), &json!(false))
    );

    let act = |run: usize, verb: &str| {
        let taken = scene.post(&format!("/runs/{}/{verb}", runs[run]), "{}");
        assert_eq!(taken.status, 202, "{taken:?}");
        taken.json()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(act(3, "abort"), "aborted");
    assert_eq!(act(1, "pause"), "paused");
    scene.until("two of them wait no more", || lengths(&scene) == (1, 1));
    assert_eq!(scene.state(&runs[2]), "queued", "nothing was begun by it");
    act(1, "resume");
    scene.until("it waits again", || lengths(&scene) == (1, 2));

    scene.kill();
    scene.start();
    scene.until("all is as before", || {
        lengths(&scene) == (1, 2) && scene.state(&runs[0]) == "executing" && scene.state(&runs[1]) == "queued"
    });
    let ended = scene.post(&format!("/runs/{}/abort", runs[0]), "{}");
    assert_eq!(ended.status, 202, "{ended:?}");
    scene.until("the one that waited longest is next", || {
        scene.state(&runs[1]) == "executing"
    });
    assert_eq!((lengths(&scene), scene.state(&runs[2])), ((1, 1), "queued".to_owned()));
}

#[test]
fn the_command_line_lists_so_many_and_finds_each() {
    let scene = one_place(&json!(["hang"]));
    let runs = ["one", "two", "three"].map(|text| scene.submit(text));
    scene.until("the first is at work", || scene.state(&runs[0]) == "executing");
    let server = format!("http://{}", scene.address);
    let ask = |place: &[&str], args: &[&str]| run(scene.home.path(), &[place, args].concat());
    for place in [&[][..], &["--server", &server]] {
        let ids = |args: &[&str]| {
            let told = ask(place, args);
            assert_eq!(told.code, 0, "{}", told.err);
            let rows: Vec<Value> = serde_json::from_str(&told.out).unwrap();
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&["runs", "--json"]), [&*runs[2], &runs[1], &runs[0]]);
        assert_eq!(ids(&["runs", "--json", "-n", "2"]), [&*runs[2], &runs[1]]);
        assert_eq!(ids(&["runs", "--json", "--state", "executing"]), [&*runs[0]]);
        let table = ask(place, &["runs", "--limit", "1"]);
        assert_eq!(table.out.lines().count(), 1, "{}", table.out);
        assert!(table.err.contains("older ones"), "{}", table.err);
        assert!(!ask(place, &["runs", "--limit", "3"]).err.contains("older ones"));
        for (given, id) in [("last", &runs[2]), (&*runs[0], &runs[0]), (&runs[1][20..], &runs[1])] {
            let shown: Value = serde_json::from_str(&ask(place, &["show", given, "--json"]).out).unwrap();
            assert_eq!(shown["id"], **id, "{given}");
        }
    }
}

#[test]
fn workers_are_listed_in_pages() {
    let scene = Scene::new(&with_agent(&json!({"turns": [["hang"]]})));
    let runs = ["one", "two", "three"].map(|text| scene.submit(text));
    let list = |query: &str| scene.get(&format!("/workers{query}")).json();
    let all = || list("")["items"].as_array().unwrap().clone();
    scene.until("all are at work", || all().len() == runs.len());
    let (mut listed, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = list(&query);
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{page}");
        listed.push(items[0]["run"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=1&cursor={next}");
    }
    assert_eq!(listed, [&runs[2], &runs[1], &runs[0]].map(String::as_str));
    let of_one = list(&format!("?run={}", runs[1]));
    assert_eq!(
        (of_one["items"].as_array().unwrap().len(), &of_one["next"]),
        (1, &Value::Null)
    );
    for query in ["?limit=0", "?limit=201", "?cursor=x"] {
        assert_eq!(scene.get(&format!("/workers{query}")).status, 400, "{query}");
    }
}

#[test]
fn a_run_that_waits_for_a_person_lets_the_next_one_begin() {
    let scene = one_place(&json!([{"say": "done"}]));
    let runs = ["one", "two"].map(|text| scene.submit(text));
    scene.until("both have asked", || {
        runs.iter().all(|run| scene.state(run) == "escalated") && lengths(&scene) == (0, 0)
    });
    let open = scene.get("/decisions").json();
    let decision = open["items"][0]["id"].as_str().unwrap();
    let answered = scene.post(&format!("/decisions/{decision}"), r#"{"choice":"skip"}"#);
    assert_eq!(answered.status, 200, "{answered:?}");
    let run = answered.json()["run"].as_str().unwrap().to_owned();
    scene.until("it goes on", || scene.state(&run) != "escalated");
}
