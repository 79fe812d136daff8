//! What workers are seen to do or try that they may not: each kind from its real source.

use crate::stage::{Notebook, Stage};
use maestria_agents::cli::AgentConfig;
use maestria_kernel::{
    Event,
    decision::Choice,
    outcome::{Outcome, Verdict},
    violation::{Kind, Unit, Violation},
};
use maestria_sandbox::{Demand, Limits};
use serde_json::{Value, json};

async fn play(role: &str, acts: &Value, change: impl FnOnce(&mut AgentConfig)) -> (Outcome, Notebook) {
    let stage = Stage::new();
    let agent = stage.fake(role, &json!({"turns": [acts]}), change);
    let notebook = Notebook::answering(Choice::Accept);
    let outcome = stage.perform(&agent, stage.job("do it"), &notebook).await;
    (outcome, notebook)
}

fn violations(notebook: &Notebook) -> Vec<Violation> {
    let events = notebook.events().into_iter();
    let found = events.filter_map(|event| match event {
        Event::ViolationRecorded { violation, .. } => Some(*violation),
        _ => None,
    });
    found.collect()
}

/// Whether control groups hold a limit of the worker here.
fn by_group(notebook: &Notebook, limit: &str) -> bool {
    let events = notebook.events();
    let held = events.iter().any(|event| match event {
        Event::TaskStarted { limits, .. } => limits.iter().any(|l| l.starts_with(&format!("{limit} by cgroup"))),
        _ => false,
    });
    if !held {
        eprintln!("no control group holds {limit} here: its violations cannot be seen");
    }
    held
}

#[tokio::test]
async fn what_the_policy_blocks_is_one_with_its_rule_and_its_fingerprint() {
    for role in ["claude", "codex", "acp"] {
        let acts = json!([
            {"shell": "rm -rf ."},
            {"write": {"path": ".git/hooks/pre-commit", "content": "x"}},
            {"shell": "rm -rf ."},
            {"say": "done"}
        ]);
        let (_, notebook) = play(role, &acts, |_| {}).await;
        let found = violations(&notebook);
        let rules: Vec<(Kind, &str)> = found.iter().map(|v| (v.kind, v.rule.as_str())).collect();
        let deletes = (Kind::Command, "delete.recursive_force");
        assert_eq!(
            rules,
            [deletes, (Kind::Path, "path.git"), deletes],
            "{role}: each time it is tried"
        );
        assert_eq!(found[0].subject, "rm -rf .");
        let hash = maestria_sandbox::audit::fingerprint("rm -rf .");
        assert_eq!(found[0].sha256.as_deref(), Some(hash.as_str()));
        assert!(found[1].subject.ends_with(".git/hooks/pre-commit"), "{:?}", found[1]);
    }
}

#[tokio::test]
async fn what_a_person_refuses_or_a_reader_may_not_is_none() {
    let stage = Stage::new();
    let agent = stage.fake(
        "claude",
        &json!({"turns": [[{"shell": "git push"}, {"say": "x"}]]}),
        |_| {},
    );
    let notebook = Notebook::answering(Choice::Refuse);
    stage.perform(&agent, stage.job("do it"), &notebook).await;
    assert!(!notebook.asked().is_empty());
    assert_eq!(violations(&notebook), []);
}

#[tokio::test]
async fn a_protected_file_that_git_shows_changed_is_one_whoever_changed_it() {
    let (_, notebook) = play(
        "claude",
        &json!([{"shell": "cp README.md .envrc"}, {"say": "done"}]),
        |_| {},
    )
    .await;
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?} {:#?}", notebook.events());
    assert_eq!(
        (found[0].kind, found[0].rule.as_str(), found[0].subject.as_str()),
        (Kind::Path, "path.protected", ".envrc")
    );
}

#[tokio::test]
async fn memory_is_one_with_the_figure_it_broke() {
    let acts = json!([{"shell": "tail /dev/zero"}, {"say": "done"}]);
    let limits = Limits {
        memory: Some(96 << 20),
        ..Limits::default()
    };
    let (_, notebook) = play("claude", &acts, |config| config.limits = limits).await;
    if !by_group(&notebook, "memory") {
        return;
    }
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?}");
    let excess = found[0].excess.unwrap();
    assert_eq!(
        (found[0].kind, found[0].rule.as_str()),
        (Kind::Memory, "workers.memory")
    );
    assert_eq!((excess.limit, excess.unit), (96 << 20, Unit::Bytes));
    assert!(excess.measured >= 90 << 20, "{excess:?}");
}

#[tokio::test]
async fn a_process_too_many_is_one() {
    let script = "i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done; wait";
    let acts = json!([{"write": {"path": "many.sh", "content": script}}, {"shell": "sh many.sh"}, {"say": "done"}]);
    let limits = Limits {
        processes: Some(20),
        ..Limits::default()
    };
    let (_, notebook) = play("claude", &acts, |config| config.limits = limits).await;
    if !by_group(&notebook, "processes") {
        return;
    }
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?} {:#?}", notebook.events());
    let excess = found[0].excess.unwrap();
    assert_eq!(
        (found[0].kind, excess.limit, excess.measured),
        (Kind::Processes, 20, 21)
    );
}

#[tokio::test]
async fn time_is_one_and_ends_the_attempt() {
    let (outcome, notebook) = play("claude", &json!(["hang"]), |config| config.most_seconds = 1).await;
    assert_eq!(outcome.verdict, Verdict::TimedOut, "{outcome:#?}");
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?}");
    let excess = found[0].excess.unwrap();
    assert_eq!(
        (found[0].kind, excess.limit, excess.unit),
        (Kind::Time, 1, Unit::Seconds)
    );
    assert!(excess.measured >= 1);
}

#[tokio::test]
async fn silence_is_one() {
    let (outcome, notebook) = play("claude", &json!(["hang"]), |config| config.idle_seconds = 1).await;
    assert_eq!(outcome.verdict, Verdict::TimedOut, "{outcome:#?}");
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?}");
    let excess = found[0].excess.unwrap();
    assert_eq!(
        (found[0].kind, found[0].rule.as_str(), excess.limit, excess.unit),
        (Kind::Time, "workers.idle_timeout", 1, Unit::Seconds)
    );
}

#[tokio::test]
async fn the_disk_is_one_and_ends_the_attempt() {
    let acts = json!([{"pause": 1000}, {"shell": "head -c 8000000 /dev/urandom > big"}, "hang"]);
    let (outcome, notebook) = play("claude", &acts, |config| config.disk_bytes = 1 << 20).await;
    assert_eq!(outcome.verdict, Verdict::LimitReached, "{outcome:#?}");
    let found = violations(&notebook);
    assert_eq!(found.len(), 1, "{found:?}");
    let excess = found[0].excess.unwrap();
    assert_eq!((found[0].kind, excess.limit), (Kind::Disk, 1 << 20));
    assert!((7 << 20..64 << 20).contains(&excess.measured), "{excess:?}");
}

#[tokio::test]
async fn a_host_that_is_not_on_the_list_is_one_however_often_it_is_tried() {
    // What the environment of a worker names it may reach, and the plan stands there: so the host is put together.
    let ask = "h=elsewhere; git ls-remote https://$h.example.invalid/x";
    let plainly = "h=elsewhere; git ls-remote http://$h.example.invalid/x";
    let acts = json!([{"shell": ask}, {"shell": ask}, {"shell": plainly}, {"say": "done"}]);
    let mut walled = false;
    let (_, notebook) = play("claude", &acts, |config| {
        walled = config.sandbox == Demand::Required;
        config.network = vec!["api.example.invalid:443".to_owned()];
    })
    .await;
    if !walled {
        return;
    }
    let found = violations(&notebook);
    let told: Vec<_> = found
        .iter()
        .map(|v| (v.kind, v.rule.as_str(), v.subject.as_str()))
        .collect();
    let host = |named| (Kind::Network, "network.list", named);
    assert_eq!(
        told,
        [
            host("elsewhere.example.invalid:443"),
            host("elsewhere.example.invalid:80")
        ],
        "{:#?}",
        notebook.events()
    );
}
