//! Passes: what a worker's key is good for, and for how long.

use crate::stage::{Stage, provider, rules};
use maestria_gateway::{Auth, Issued, PassFor, Rules};
use maestria_kernel::model::CallNews;
use maestria_kernel::{Cost, RunId, TaskId, id::AgentName, model::Caller};
use maestria_testkit::model::{Fault, FaultKind, ModelServer, Script, Step};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{io::AsyncReadExt as _, sync::mpsc::UnboundedReceiver};

fn caller(budget: Option<Cost>) -> Caller {
    Caller {
        run: Some(RunId::new(uuid::Uuid::from_u128(1))),
        task: Some(TaskId::new(uuid::Uuid::from_u128(2))),
        agent: Some(AgentName::new("claude")),
        project: None,
        budget,
    }
}

async fn stage(server: &ModelServer) -> Stage {
    let rules = Rules {
        auth: Auth::Passes,
        ..rules()
    };
    Stage::open(vec![provider("p", "openai", server, &["claude-sonnet-4-5"])], rules).await
}

fn issue(stage: &Stage, budget: Option<Cost>) -> (Issued, UnboundedReceiver<CallNews>) {
    let pass = PassFor {
        client: "worker-claude".to_owned(),
        caller: caller(budget),
        stand_in: Some("p/claude-sonnet-4-5".to_owned()),
    };
    stage.service.issue(pass).unwrap()
}

fn ask(model: &str, prompt: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": prompt}]})
}

#[tokio::test]
async fn calls_of_a_pass_are_told_and_booked_alike_and_end_with_it() {
    let server = ModelServer::start().await;
    let stage = stage(&server).await;
    let (issued, mut news) = issue(&stage, None);
    let key = issued.key.clone();
    let reply = stage
        .post_as(&key, "/v1/messages", &ask("claude-haiku-9", "hello", false))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let reason = reply.header("x-maestria-reason").unwrap().to_owned();
    assert!(
        reason.contains("claude-haiku-9") && reason.contains("stands in"),
        "{reason}"
    );
    let Some(CallNews::Called { model, usage, .. }) = news.recv().await else {
        panic!()
    };
    let row = stage.calls(1).await.remove(0);
    assert_eq!((model.as_str(), usage.cost), ("p/claude-sonnet-4-5", row.cost));
    assert!(usage.cost.0 > 0 && row.client == "worker-claude" && row.agent.as_deref() == Some("claude"));
    assert_eq!(row.run, Some(caller(None).run.unwrap().to_string()));
    assert_eq!(row.task, Some(caller(None).task.unwrap().to_string()));
    drop(issued);
    assert_eq!(news.recv().await, None, "nothing comes after the end");
    let late = stage
        .post_as(&key, "/v1/messages", &ask("claude-sonnet-4-5", "hello", false))
        .await;
    assert_eq!(late.status, 401, "{}", late.text);
    let stranger = stage
        .post_as("mk_0", "/v1/messages", &ask("claude-sonnet-4-5", "x", false))
        .await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn a_call_under_way_is_cut_off_with_its_pass() {
    let server = ModelServer::start().await;
    let stage = stage(&server).await;
    let slow = Script::of([Step::Text("one two three four five six seven".to_owned())]);
    let drip = slow.clone().fault(Fault::once(FaultKind::Drip { ms: 60_000 }));
    let silent = slow.fault(Fault::once(FaultKind::Silence { ms: None }));
    for (script, stream) in [(drip, true), (silent, false)] {
        let (issued, mut news) = issue(&stage, None);
        let body = ask("claude-sonnet-4-5", &format!("go {}", script.directive()), stream).to_string();
        let bearer = format!("Bearer {}", issued.key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let before = server.asked();
        let mut socket = stage.begin("POST", "/v1/messages", &headers, body.len()).await;
        tokio::io::AsyncWriteExt::write_all(&mut socket, body.as_bytes())
            .await
            .unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while server.asked() == before {
            assert!(tokio::time::Instant::now() < deadline, "the call did not go out");
            tokio::task::yield_now().await;
        }
        drop(issued);
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
        read.expect("the call was not cut off").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("has ended"), "stream {stream}: {answer}");
        while news.recv().await.is_some() {}
    }
    let calls = stage.calls(2).await;
    assert!(calls.iter().all(|call| call.outcome != "ok"), "{calls:?}");
}

#[tokio::test]
async fn the_runs_own_budget_holds_for_its_passes() {
    let server = ModelServer::start().await;
    let stage = stage(&server).await;
    let (issued, mut news) = issue(&stage, Some(Cost(10)));
    let reply = stage
        .post_as(&issued.key, "/v1/messages", &ask("claude-sonnet-4-5", "hello", false))
        .await;
    assert_eq!(reply.status, 402, "{}", reply.text);
    assert_eq!(server.asked(), 0);
    let told = news.recv().await;
    assert!(
        matches!(&told, Some(CallNews::Refused { because, of_run: true }) if because.contains("budget of run")),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_alert_names_the_run_whose_call_set_it_off() {
    let server = ModelServer::start().await;
    let mut stage = stage(&server).await;
    let (issued, _news) = issue(&stage, Some(Cost(20_000)));
    let question = ask("claude-sonnet-4-5", "hello", false);
    let mut answered = 0;
    while stage.post_as(&issued.key, "/v1/messages", &question).await.status == 200 {
        answered += 1;
    }
    assert!(answered > 0);
    drop(issued);
    stage.close().await;
    let alerts = stage.alerts.lock().unwrap().clone();
    let [alert] = alerts.as_slice() else {
        panic!("{answered} calls, {alerts:?}")
    };
    let run = RunId::new(uuid::Uuid::from_u128(1)).to_string();
    assert_eq!(alert.account.scope, format!("run {run}"));
    assert_eq!((alert.limit, alert.percent), (Cost(20_000), 80));
    assert_eq!(alert.run, Some(run));
    assert_eq!(alert.task, Some(TaskId::new(uuid::Uuid::from_u128(2)).to_string()));
}
