use super::{super::sums, Meter};
use maestria_kernel::{
    At, Cost, Event, RunId, Seq, TaskId, Tokens, Usage,
    ledger::{CallRow, Ledger},
    outcome::{Outcome, Verdict},
    port::{Batch, Store, Stored},
};
use maestria_store::{MemoryStore, SqliteLedger};
use std::collections::BTreeSet;
use uuid::Uuid;

struct Scene {
    store: MemoryStore,
    ledger: SqliteLedger,
    _folder: tempfile::TempDir,
    seq: u64,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: MemoryStore::new(),
            ledger: SqliteLedger::open(folder.path().join("m.db")).unwrap(),
            _folder: folder,
            seq: 0,
        }
    }

    async fn happens(&mut self, events: Vec<Event>) {
        let after = Seq(self.seq);
        let stored = |event| {
            self.seq += 1;
            Stored {
                seq: Seq(self.seq),
                at: At(1_000 * i64::try_from(self.seq).unwrap()),
                event,
            }
        };
        let batch = Batch {
            after,
            events: events.into_iter().map(stored).collect(),
            ..Batch::default()
        };
        self.store.commit(RunId::new(Uuid::from_u128(1)), batch).await.unwrap();
    }

    async fn calls(&self, calls: Vec<CallRow>) {
        self.ledger.settle("o".to_owned(), Vec::new(), calls).await.unwrap();
    }

    async fn shown(&self, meter: &Meter) -> String {
        let families = meter.read(&self.store, &self.ledger, sums::families).await.unwrap();
        let mut text = String::new();
        families.iter().for_each(|family| family.write(&mut text));
        text
    }
}

fn call(model: &str, outcome: &str) -> CallRow {
    CallRow {
        provider: "p".to_owned(),
        model: model.to_owned(),
        operation: "chat".to_owned(),
        outcome: outcome.to_owned(),
        input: 10,
        cached: 4,
        output: 3,
        cost: Cost(2_000_000),
        millis: 700,
        first_millis: 200,
        ..CallRow::default()
    }
}

fn dispatched(attempt: u16, agent: &str) -> Event {
    Event::TaskDispatched {
        task: TaskId::new(Uuid::from_u128(9)),
        attempt,
        agent: agent.into(),
        session: None,
        guidance: Vec::new(),
    }
}

fn finished(attempt: u16, verdict: Verdict) -> Event {
    Event::TaskFinished {
        task: TaskId::new(Uuid::from_u128(9)),
        attempt,
        outcome: Box::new(Outcome::bare(verdict, "")),
    }
}

#[tokio::test]
async fn calls_and_events_add_up_and_nothing_counts_twice() {
    let mut scene = Scene::new();
    let meter = Meter::default();
    let own = |request: Option<String>| Event::ModelCalled {
        task: None,
        model: "login/sonnet".to_owned(),
        usage: Usage {
            input: Tokens(7),
            ..Usage::default()
        },
        millis: 90,
        scripted: false,
        request,
    };
    scene
        .happens(vec![own(None), own(Some("in the books".to_owned()))])
        .await;
    scene
        .happens(vec![dispatched(1, "claude"), finished(1, Verdict::Crashed)])
        .await;
    let waited = CallRow {
        waited_millis: 1_500,
        ..call("m", "ok")
    };
    let hit = CallRow {
        code: "cache_same".to_owned(),
        ..call("m", "ok")
    };
    let failed = CallRow {
        code: "upstream_failed".to_owned(),
        ..call("m", "failed")
    };
    scene.calls(vec![waited, hit, failed]).await;
    let first = scene.shown(&meter).await;
    for line in [
        "maestria_model_calls_total{provider=\"p\",model=\"m\",operation=\"chat\",outcome=\"ok\"} 2",
        "maestria_model_calls_total{provider=\"p\",model=\"m\",operation=\"chat\",outcome=\"failed\"} 1",
        "maestria_model_calls_total{provider=\"login\",model=\"sonnet\",operation=\"chat\",outcome=\"ok\"} 1",
        "maestria_model_tokens_total{provider=\"p\",model=\"m\",operation=\"chat\",direction=\"input\"} 30",
        "maestria_model_cost_dollars_total{provider=\"p\",model=\"m\",operation=\"chat\"} 6",
        "maestria_model_call_duration_seconds_bucket{provider=\"p\",model=\"m\",operation=\"chat\",le=\"0.5\"} 0",
        "maestria_model_call_duration_seconds_bucket{provider=\"p\",model=\"m\",operation=\"chat\",le=\"1\"} 1",
        "maestria_model_call_duration_seconds_count{provider=\"p\",model=\"m\",operation=\"chat\"} 1",
        "maestria_cache_hits_total{kind=\"same\"} 1",
        "maestria_model_errors_total{code=\"upstream_failed\"} 1",
        "maestria_rate_limit_waits_total 1",
        "maestria_rate_limit_wait_seconds_total 1.5",
        "maestria_task_attempts_total{agent=\"claude\",verdict=\"crashed\"} 1",
        "maestria_task_attempt_duration_seconds_bucket{le=\"1\"} 1",
    ] {
        assert!(first.lines().any(|l| l == line), "{line} is missing in\n{first}");
    }
    assert_eq!(scene.shown(&meter).await, first, "what was read is not read again");
    // Who begins anew comes to the same.
    assert_eq!(scene.shown(&Meter::default()).await, first);
    scene.happens(vec![dispatched(2, "claude")]).await;
    scene.happens(vec![finished(2, Verdict::Completed)]).await;
    let later = scene.shown(&meter).await;
    assert!(later.contains("{agent=\"claude\",verdict=\"completed\"} 1"), "{later}");
}

#[tokio::test]
async fn hostile_names_do_not_become_series_without_end() {
    let mut scene = Scene::new();
    let meter = Meter::default();
    let hostile = |n: u32| match n % 5 {
        0 => format!("\"}} 1\nmaestria_forged{{n=\"{n}"),
        1 => format!("\\{n}\\"),
        2 => format!("{n}{}", "x".repeat(5_000)),
        3 => format!("{}{n}", "y".repeat(200)),
        _ => format!("\u{202e}\0{n}🦀"),
    };
    let asked = (0..3_000).map(|n| call(&hostile(n), "failed")).collect();
    scene.calls(vec![call("real", "ok")]).await;
    scene.calls(asked).await;
    let answered = (0..3_000).map(|n| call(&hostile(n), "ok")).collect();
    scene.calls(answered).await;
    for n in 0..500 {
        let (attempt, agent) = (u16::try_from(n).unwrap(), hostile(n));
        scene
            .happens(vec![dispatched(attempt, &agent), finished(attempt, Verdict::Failed)])
            .await;
    }
    let text = scene.shown(&meter).await;
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            name.starts_with("maestria_") && !name.starts_with("maestria_forged"),
            "{line}"
        );
        assert!(series.insert(name), "twice: {name}");
        assert!(line.chars().count() < 600, "{line}");
    }
    assert!(series.len() < 2_500, "{} series", series.len());
    assert!(text.contains("model=\"real\"") && text.contains("model=\"other\""));
    assert!(text.contains("maestria_task_attempts_total{agent=\"other\",verdict=\"failed\"}"));
    let sum = |family: &str| -> f64 {
        let of = text.lines().filter(|line| line.starts_with(family));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!(sum("maestria_model_calls_total{") as u64, 6_001, "no call is lost");
    assert_eq!(sum("maestria_task_attempts_total{") as u64, 500, "nor an attempt");
}
