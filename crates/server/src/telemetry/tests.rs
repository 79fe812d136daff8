use super::{Fares, Telemetry};
use crate::config::TelemetryTable;
use maestria_kernel::{
    At,
    ledger::{CallRow, Ledger},
};
use maestria_secrets::Secret;
use maestria_store::{MemoryStore, SqliteLedger};
use maestria_testkit::Collector;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

struct Scene {
    folder: tempfile::TempDir,
    ledger: Arc<SqliteLedger>,
    collector: Collector,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            ledger: Arc::new(SqliteLedger::open(folder.path().join("m.db")).unwrap()),
            folder,
            collector: Collector::start(),
        }
    }

    fn start(&self) -> Telemetry {
        let table = TelemetryTable {
            endpoint: Some(self.collector.url()),
            headers: vec![("authorization".to_owned(), Secret::new("Bearer x"))],
            sample_percent: 100,
            contents: false,
        };
        let store = Arc::new(MemoryStore::new());
        Telemetry::start(&table, store, self.ledger.clone(), self.folder.path().to_owned()).unwrap()
    }

    /// Waits until a process tells what comes from now on.
    async fn ready(&self) {
        until(|| self.folder.path().join("traces.json").exists()).await;
    }

    async fn call(&self, number: u128) {
        let row = CallRow {
            at: At(1_000),
            request: format!("{number:032x}"),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            outcome: "ok".to_owned(),
            ..CallRow::default()
        };
        self.ledger.settle("o".to_owned(), Vec::new(), vec![row]).await.unwrap();
    }

    fn told(&self) -> usize {
        self.collector.spans().len()
    }
}

async fn until(fits: impl Fn() -> bool) {
    let since = Instant::now();
    while !fits() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not come to pass");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn counted(fares: &Fares) -> [u64; 3] {
    [&fares.exported, &fares.dropped, &fares.failed].map(|counter| counter.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_tried_again_is_tried_until_it_is_taken() {
    let scene = Scene::new();
    for status in [429, 502, 503, 504] {
        scene.collector.answer(status, "retry-after: 0\r\n", Vec::new());
    }
    let telemetry = scene.start();
    scene.ready().await;
    scene.call(1).await;
    until(|| scene.told() == 1).await;
    telemetry.close().await;
    assert_eq!(counted(telemetry.fares()), [1, 0, 4]);
    let bodies: Vec<_> = scene
        .collector
        .requests()
        .into_iter()
        .map(|posted| posted.body)
        .collect();
    assert!(bodies.len() == 5 && bodies.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(scene.collector.requests()[0].head.contains("authorization: Bearer x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_lost_and_counted() {
    let scene = Scene::new();
    scene.collector.answer(400, "", Vec::new());
    let telemetry = scene.start();
    scene.ready().await;
    scene.call(1).await;
    until(|| telemetry.fares().dropped.load(Ordering::Relaxed) == 1).await;
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "one too many".to_owned(),
        }),
    };
    scene.collector.answer(200, "", partial.encode_to_vec());
    scene.call(2).await;
    until(|| telemetry.fares().dropped.load(Ordering::Relaxed) == 2).await;
    scene.call(3).await;
    until(|| scene.told() == 2).await;
    telemetry.close().await;
    assert_eq!(counted(telemetry.fares()), [1, 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_tells_and_the_next_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let first = scene.start();
    scene.ready().await;
    // It has the lock, so this one stands by, and has nothing to tell.
    let second = scene.start();
    scene.call(1).await;
    until(|| scene.told() == 1).await;
    second.close().await;
    first.close().await;
    scene.call(2).await;
    let third = scene.start();
    until(|| scene.told() == 2).await;
    // What comes just before the end is told, too.
    scene.call(3).await;
    third.close().await;
    assert_eq!(scene.told(), 3);
    assert_eq!(counted(second.fares()), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_does_not_keep_the_program() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::new();
    let table = TelemetryTable {
        endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
        sample_percent: 100,
        ..TelemetryTable::default()
    };
    let ledger = scene.ledger.clone();
    let data = scene.folder.path().to_owned();
    let telemetry = Telemetry::start(&table, Arc::new(MemoryStore::new()), ledger, data).unwrap();
    scene.ready().await;
    scene.call(1).await;
    let (held, _) = silent.accept().unwrap();
    let since = Instant::now();
    telemetry.close().await;
    assert!(since.elapsed() < Duration::from_secs(30));
    drop(held);
    // It was not told, so it is told by the next.
    let next = scene.start();
    until(|| scene.told() == 1).await;
    next.close().await;
}
