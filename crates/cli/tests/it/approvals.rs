//! Leave that a person gives to a worker, in the real program: bound, used once, or given for ever.

use crate::questions::Scene;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["kind"] == kind).cloned().collect()
}

#[test]
fn leave_is_shown_with_what_it_is_bound_to_and_used_once() {
    let plan = json!({"turns": [[{"shell": "git push"}, {"shell": "git push"}, {"say": "done"}]]});
    let scene = Scene::new(&plan);
    let mut run = scene
        .command(&["run", "Make a file", "--target", "app"])
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    for approved in 1..=2 {
        let id = loop {
            let listed: Value = serde_json::from_str(&scene.run(&["decisions", "list", "--json"]).out).unwrap();
            if let Some(decision) = listed.as_array().and_then(|all| all.first()) {
                assert_eq!(
                    decision["wants"]["bound"]["sha256"].as_str().unwrap().len(),
                    64,
                    "{decision}"
                );
                break decision["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "question {approved} was never asked");
            std::thread::sleep(Duration::from_millis(50));
        };
        let shown = scene.run(&["decisions", "show", &id]).out;
        assert!(shown.contains("with its environment as it is ("), "{shown}");
        assert_eq!(scene.run(&["decisions", "approve", &id]).code, 0);
        while of_kind(&scene.events(), "approval.used").len() < approved {
            assert!(Instant::now() < deadline, "leave {approved} was never used");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    run.wait().unwrap();
    let events = scene.events();
    let (asked, used) = (
        of_kind(&events, "decision.requested"),
        of_kind(&events, "approval.used"),
    );
    assert_eq!(used[0]["bound"], asked[0]["decision"]["wants"]["bound"]);
    assert_ne!(
        used[0]["decision"], used[1]["decision"],
        "the same command again is asked again"
    );
}

#[test]
fn always_writes_the_rule_that_was_shown_and_nobody_is_asked_again() {
    let plan = json!({"turns": [[{"shell": "git push"}, {"shell": "git push"}, {"say": "done"}]]});
    let scene = Scene::new(&plan);
    let file = scene.home().join("policy.toml");
    let own = "# My own rules.\n[[command]]\nid = \"deploy.production\"\nprograms = [\"deploy\"]\nverdict = \"block\"\n\
               because = \"people do\"\nmatch = [\"deploy\"]\nnot_match = [\"ls\"]\n";
    std::fs::write(&file, own).unwrap();
    let mut run = scene
        .command(&["run", "Make a file", "--target", "app"])
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let decision = loop {
        let listed: Value = serde_json::from_str(&scene.run(&["decisions", "list", "--json"]).out).unwrap();
        if let Some(decision) = listed.as_array().and_then(|all| all.first()) {
            break decision.clone();
        }
        assert!(Instant::now() < deadline, "it was never asked");
        std::thread::sleep(Duration::from_millis(50));
    };
    let lasting = &decision["wants"]["lasting"];
    let (rule, id) = (lasting["rule"].as_str().unwrap(), lasting["id"].as_str().unwrap());
    assert_eq!(lasting["file"].as_str().unwrap(), file.to_str().unwrap());
    let given = decision["id"].as_str().unwrap();
    let shown = scene.run(&["decisions", "show", given]).out;
    assert!(rule.lines().all(|line| shown.contains(line)), "{shown}\n{rule}");
    assert_eq!(
        scene.run(&["decisions", "approve", given, "--option", "always"]).code,
        0
    );
    run.wait().unwrap();
    let events = scene.events();
    let asked = |events: &[Value]| {
        let asked = of_kind(events, "decision.requested");
        asked
            .iter()
            .filter(|event| event["decision"]["about"] == "permission")
            .count()
    };
    assert_eq!(asked(&events), 1);
    assert_eq!(of_kind(&events, "rule.kept").len(), 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{own}\n{rule}"));
    assert_eq!(scene.run(&["policy", "check", file.to_str().unwrap()]).code, 0);
    scene.run(&["run", "Make another", "--target", "app"]);
    let events = scene.events();
    assert_eq!(asked(&events), 0, "the second run");
    let ruled = of_kind(&events, "permission.ruled");
    assert_eq!(ruled[0]["permission"]["rule"].as_str().unwrap(), id);
}
