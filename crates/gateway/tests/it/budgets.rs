//! Budgets under concurrency, on every endpoint, and across a gateway that dies.

use crate::stage::{DIALECTS, NOON, Stage, ask, provider, rules};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use maestria_gateway::{Bounds, BudgetConfig, Exhausted, Rules, Setup};
use maestria_kernel::{
    Cost,
    ledger::{CallRow, ClientKey, Ledger as _},
};
use maestria_testkit::model::{Dialect, ModelServer, Script, Step};
use serde_json::Value;
use std::time::Duration;

fn budget(day: i64) -> Rules {
    Rules {
        budget: BudgetConfig {
            day: Some(Cost(day)),
            ..BudgetConfig::default()
        },
        ..rules()
    }
}

/// The worst case of a request to a model of the default price: 10 micro-dollars a token.
fn worst(body: &Value, output: i64) -> i64 {
    (i64::try_from(body.to_string().len()).unwrap() + 4_096 + output) * 10
}

/// Has tokens counted once: the first time takes a while, in which calls under way would end.
async fn count_once() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], rules()).await;
    let (_, body) = ask(Dialect::Anthropic, "m", "hello", false);
    let counted = stage.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(counted.status, 200, "{}", counted.text);
}

fn limited(dialect: Dialect, mut body: Value) -> Value {
    match dialect {
        Dialect::Chat => body["max_completion_tokens"] = 100.into(),
        Dialect::Responses => body["max_output_tokens"] = 100.into(),
        Dialect::Anthropic => body["max_tokens"] = 100.into(),
        Dialect::Gemini => body["generationConfig"] = serde_json::json!({"maxOutputTokens": 100}),
    }
    body
}

#[tokio::test]
async fn sixty_four_parallel_calls_against_room_for_five_admit_five_on_every_route() {
    count_once().await;
    for (name, face) in DIALECTS {
        for stream in [false, true] {
            let server = ModelServer::start().await;
            // Silent, so that nobody gives anything back while the others ask.
            let prompt = Script::of([Step::Text("x".to_owned())]);
            let silent =
                maestria_testkit::model::Fault::forever(maestria_testkit::model::FaultKind::Silence { ms: None });
            let (path, body) = ask(face, "m", &prompt.fault(silent).directive(), stream);
            let body = limited(face, body);
            // What is left over is too little even for the counted tokens of one more.
            let room = worst(&body, 100) * 5 + 900;
            let stage = Stage::open(vec![provider("p", name, &server, &["m"])], budget(room)).await;
            // Those who are admitted are never answered; all others are.
            let mut calls: FuturesUnordered<_> = (0..64).map(|_| stage.post(&path, &body)).collect();
            for refused in 0..59 {
                let reply = tokio::time::timeout(Duration::from_secs(60), calls.next()).await;
                let reply = reply
                    .unwrap_or_else(|_| panic!("{name} {stream}: only {refused} are refused"))
                    .unwrap();
                assert_eq!(reply.status, 402, "{name} {stream}: {}", reply.text);
                assert!(reply.text.contains("the budget of day is exhausted"), "{}", reply.text);
            }
            let asked = tokio::time::timeout(Duration::from_secs(60), async {
                while server.asked() < 5 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            // None of the five may end meanwhile.
            tokio::select! {
                reply = calls.next() => panic!("{name} {stream}: {:?}", reply.map(|r| (r.status, r.text))),
                asked = asked => asked.unwrap(),
            }
            assert_eq!(server.asked(), 5, "{name} {stream}");
        }
    }
}

#[tokio::test]
async fn what_is_not_used_is_given_back() {
    let server = ModelServer::start().await;
    let (path, body) = ask(Dialect::Chat, "m", "hello", false);
    let body = limited(Dialect::Chat, body);
    // Room for one worst case at a time, but for many real costs.
    let mut stage = Stage::open(
        vec![provider("p", "openai", &server, &["m"])],
        budget(worst(&body, 100) * 3 / 2),
    )
    .await;
    for _ in 0..10 {
        assert_eq!(stage.post(&path, &body).await.status, 200);
    }
    stage.close().await;
    let calls = stage.calls(10).await;
    let spent: Cost = calls.iter().map(|c| c.cost).sum();
    let balance = &stage.ledger.balances(NOON.0 / 86_400_000).await.unwrap()[0];
    assert_eq!(
        (balance.spent, balance.held),
        (spent, Cost::ZERO),
        "right to the micro-dollar"
    );
}

#[tokio::test]
async fn a_gateway_that_dies_loses_no_spending() {
    count_once().await;
    let server = ModelServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let books = folder.path().join("m.db");
    let slow = maestria_testkit::model::Fault::forever(maestria_testkit::model::FaultKind::Silence { ms: None });
    let (path, body) = ask(
        Dialect::Chat,
        "m",
        &Script::of([Step::Text("x".to_owned())]).fault(slow).directive(),
        false,
    );
    let body = limited(Dialect::Chat, body);
    let setup = || Setup {
        providers: vec![provider("p", "openai", &server, &["m"])],
        ..Setup::default()
    };
    let room = worst(&body, 100) * 3 + 2_000;
    let first = Stage::on(books.clone(), "first", setup(), budget(room), Bounds::default()).await;
    // Three calls are under way when it dies: nobody ever settles them.
    let calls = join_all((0..3).map(|_| {
        first.begin(
            "POST",
            &path,
            &[("content-type", "application/json")],
            body.to_string().len(),
        )
    }))
    .await;
    for mut socket in calls {
        use tokio::io::AsyncWriteExt as _;
        socket.write_all(body.to_string().as_bytes()).await.unwrap();
        std::mem::forget(socket);
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.asked() < 3 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    std::mem::forget(first);
    let second = Stage::on(books, "second", setup(), budget(room), Bounds::default()).await;
    for owner in second.ledger.owners().await.unwrap() {
        second.ledger.absorb(owner).await.unwrap();
    }
    let (path, quick) = ask(Dialect::Chat, "m", &"y".repeat(body.to_string().len()), false);
    let quick = limited(Dialect::Chat, quick);
    let replies = join_all((0..16).map(|_| second.post(&path, &quick))).await;
    let balance = &second.ledger.balances(NOON.0 / 86_400_000).await.unwrap()[0];
    assert!(
        balance.spent.0 >= 3 * worst(&body, 100),
        "the worst case of the lost calls is spent: {balance:?}"
    );
    assert!(balance.spent.plus(balance.held).0 <= room, "{balance:?}");
    assert!(replies.iter().any(|r| r.status == 200) && replies.iter().any(|r| r.status == 402));
}

#[tokio::test]
async fn tokens_are_counted_before_a_call_is_refused() {
    let server = ModelServer::start().await;
    let (path, body) = ask(
        Dialect::Chat,
        "gpt-4o",
        &"refactor the database layer ".repeat(1_000),
        false,
    );
    let body = limited(Dialect::Chat, body);
    // 5,000 tokens at 2.50 dollars a million and 100 at 10; the bound by bytes is six times as much.
    let exact = (5_000 + 20) * 5 / 2 + 100 * 10;
    for (room, status) in [(exact + 200, 200), (exact - 200, 402)] {
        let stage = Stage::open(vec![provider("p", "openai", &server, &["gpt-4o"])], budget(room)).await;
        let reply = stage.post(&path, &body).await;
        assert_eq!(reply.status, status, "{room}: {}", reply.text);
    }
}

#[tokio::test]
async fn the_alert_goes_out_once() {
    let server = ModelServer::start().await;
    let (path, body) = ask(Dialect::Chat, "m", "hello", false);
    let body = limited(Dialect::Chat, body);
    let mut stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], budget(6_000)).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(stage.post(&path, &body).await.status);
    }
    assert!(statuses.contains(&402), "{statuses:?}");
    stage.close().await;
    let alerts = stage.alerts.lock().unwrap().clone();
    let spent = stage.ledger.balances(NOON.0 / 86_400_000).await.unwrap();
    assert!(spent[0].alerted, "{spent:?}");
    assert_eq!(alerts.len(), 1, "{spent:?}");
}

#[tokio::test]
async fn a_key_has_a_budget_of_its_own_and_others_go_on() {
    let server = ModelServer::start().await;
    let keyed = Rules {
        auth: maestria_gateway::Auth::Keys,
        ..rules()
    };
    let stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], keyed).await;
    let like = |name: &str, budget| ClientKey {
        name: name.to_owned(),
        budget,
        ..ClientKey::default()
    };
    let poor = stage.key(like("poor", Some(Cost(10)))).await;
    let rich = stage.key(like("rich", None)).await;
    let (path, body) = ask(Dialect::Anthropic, "m", "hello", false);
    let refused = stage.post_as(&poor, &path, &body).await;
    assert_eq!(refused.status, 402);
    assert_eq!(refused.json()["error"]["type"], "billing_error");
    assert!(refused.text.contains("client poor"), "{}", refused.text);
    assert_eq!(stage.post_as(&rich, &path, &body).await.status, 200);
    let calls = stage.calls(2).await;
    let of = |client: &str| calls.iter().find(|call| call.client == client).unwrap();
    let told = |call: &CallRow| (call.outcome.clone(), call.code.clone(), call.cost);
    assert_eq!(
        told(of("poor")),
        ("refused".to_owned(), "budget_exhausted".to_owned(), Cost::ZERO)
    );
    assert!(of("poor").reason.contains("client poor"), "{calls:?}");
    assert_eq!(of("rich").outcome, "ok");
}

#[tokio::test]
async fn at_the_end_a_cheaper_model_takes_over_if_that_is_wished() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![provider("a", "openai", &server, &["claude-opus-4-1", "gpt-5-nano"])],
        ..Setup::default()
    };
    let wish = Rules {
        budget: BudgetConfig {
            day: Some(Cost(5_000)),
            exhausted: Exhausted::Downgrade,
            ..BudgetConfig::default()
        },
        ..rules()
    };
    let stage = Stage::with(setup, wish, Bounds::default()).await;
    let (path, body) = ask(Dialect::Chat, "claude-opus-4-1", "hello", false);
    let reply = stage.post(&path, &limited(Dialect::Chat, body)).await;
    assert_eq!(
        (reply.status, reply.header("x-maestria-model")),
        (200, Some("a/gpt-5-nano")),
        "{}",
        reply.text
    );
    assert!(
        stage.calls(1).await[0].reason.contains("cheaper"),
        "the reason says why"
    );
}
