//! Routes, fallbacks, balancing.

use crate::stage::{Stage, ask, provider, rules, text_of};
use maestria_gateway::{Balance, Bounds, Policy, Rate, Route, Setup};
use maestria_testkit::model::{Dialect, Fault, FaultKind, ModelServer, Script, Step};
use serde_json::json;
use std::collections::BTreeMap;

fn say(text: &str) -> Script {
    Script::of([Step::Text(text.to_owned())])
}

fn routes(pairs: &[(&str, Route)]) -> BTreeMap<String, Route> {
    pairs
        .iter()
        .map(|(name, route)| ((*name).to_owned(), route.clone()))
        .collect()
}

#[tokio::test]
async fn a_chain_falls_back_to_the_next_model_and_says_so() {
    let (first, second) = (ModelServer::start().await, ModelServer::start().await);
    let chain = Route::Chain(vec!["a/claude-sonnet-4-5".to_owned(), "b/gpt-4o".to_owned()]);
    let setup = Setup {
        providers: vec![
            provider("a", "anthropic", &first, &["claude-sonnet-4-5"]),
            provider("b", "openai", &second, &["gpt-4o"]),
        ],
        routes: routes(&[("default", chain)]),
        ..Setup::default()
    };
    first.script(|_| {
        Some(say("x").fault(Fault::forever(FaultKind::Status {
            status: 529,
            retry_after: None,
            message: None,
        })))
    });
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    for stream in [false, true] {
        let (path, body) = ask(Dialect::Anthropic, "auto", &say("hello").directive(), stream);
        let reply = stage.post(&path, &body).await;
        assert_eq!(text_of(Dialect::Anthropic, &reply, stream), "hello", "{}", reply.text);
        assert_eq!(reply.header("x-maestria-model"), Some("b/gpt-4o"));
        assert!(
            reply.header("x-maestria-reason").unwrap().contains("route default"),
            "{reply:?}"
        );
    }
    let call = &stage.calls(2).await[0];
    assert_eq!(
        (call.provider.as_str(), call.asked.as_str(), call.retries),
        ("b", "auto", 1)
    );
}

#[tokio::test]
async fn one_dead_upstream_of_three_costs_no_client_an_error() {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(ModelServer::start().await);
    }
    let providers = servers
        .iter()
        .enumerate()
        .map(|(n, s)| provider(&format!("p{n}"), "openai", s, &["m"]))
        .collect();
    let stage = Stage::open(providers, rules()).await;
    let mut failed = 0;
    for round in 0..60 {
        if round == 20 {
            // In the middle of the traffic, one upstream dies.
            servers.remove(1).shutdown().await;
        }
        let calls = (0..8).map(|n| {
            let (path, body) = ask(Dialect::Chat, "m", &say("hello").directive(), n % 2 == 0);
            let stage = &stage;
            async move { stage.post(&path, &body).await.status }
        });
        failed += futures_util::future::join_all(calls)
            .await
            .into_iter()
            .filter(|status| *status != 200)
            .count();
    }
    assert_eq!(failed, 0);
    let calls = stage.calls(480).await;
    assert!(
        ["p0", "p1", "p2"]
            .iter()
            .all(|p| calls.iter().any(|c| c.provider == *p)),
        "all of them were used"
    );
}

#[tokio::test]
async fn keys_are_taken_in_turn_and_a_bad_one_is_left_out() {
    let server = ModelServer::start().await;
    let mut config = provider("p", "openai", &server, &["m"]);
    config.keys = vec!["sk-one".to_owned(), "sk-two".to_owned()];
    let setup = Setup {
        providers: vec![config],
        balance: Balance::RoundRobin,
        ..Setup::default()
    };
    let refuse = Fault::once(FaultKind::Status {
        status: 401,
        retry_after: None,
        message: None,
    });
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    let (path, body) = ask(Dialect::Chat, "m", &say("hello").fault(refuse).directive(), false);
    for _ in 0..4 {
        assert_eq!(stage.post(&path, &body).await.status, 200);
    }
    let lanes = stage.get("/api/gateway", &[]).await.json();
    let usable: Vec<bool> = lanes["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["usable"].as_bool().unwrap())
        .collect();
    assert_eq!(usable.iter().filter(|u| **u).count(), 1, "{lanes}");
    assert_eq!(server.asked(), 5);
}

#[tokio::test]
async fn a_policy_decides_with_a_reason_and_without_a_call() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![
            provider("a", "anthropic", &server, &["claude-opus-4-8", "claude-haiku-4-5"]),
            provider("d", "openai", &server, &["deepseek-chat"]),
        ],
        routes: routes(&[
            ("default", Route::Policy(Policy::named("balanced").unwrap())),
            ("cheap", Route::Policy(Policy::named("cheapest").unwrap())),
        ]),
        ..Setup::default()
    };
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    let hard =
        json!({"prompt": "Prove this lemma about the distributed transaction's invariant; why does it deadlock?"});
    let easy = json!({"prompt": "Thanks! What is the capital of France?", "model": "cheap"});
    let hard = stage.post("/api/route-llm", &hard).await.json();
    let easy = stage.post("/api/route-llm", &easy).await.json();
    assert_eq!(hard["model"], "a/claude-opus-4-8", "{hard}");
    assert_ne!(easy["model"], "a/claude-opus-4-8", "{easy}");
    assert!(
        hard["difficulty"].as_f64() > easy["difficulty"].as_f64(),
        "{hard} {easy}"
    );
    let reason = hard["reason"].as_str().unwrap();
    assert!(
        reason.contains("balanced") && reason.contains("quality") && reason.contains('$'),
        "{reason}"
    );
    let vision = stage
        .post(
            "/api/route-llm",
            &json!({"prompt": "x", "needs": ["vision"], "context": 150_000}),
        )
        .await
        .json();
    let left_out = vision["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["model"] == "d/deepseek-chat")
        .unwrap();
    assert_eq!(left_out["left_out"], "sees no pictures", "{vision}");
    let far = stage
        .post("/api/route-llm", &json!({"prompt": "x", "context": 900_000}))
        .await;
    assert!(far.status == 404 && far.text.contains("are needed"), "{}", far.text);
    assert_eq!(
        stage
            .post("/api/route-llm", &json!({"prompt": "x", "needs": ["wings"]}))
            .await
            .status,
        400
    );
    assert_eq!(server.asked(), 0);
    let (path, body) = ask(Dialect::Gemini, "auto", &say("hello").directive(), false);
    let reply = stage.post(&path, &body).await;
    assert_eq!(text_of(Dialect::Gemini, &reply, false), "hello", "{}", reply.text);
    assert!(
        stage.calls(1).await[0].reason.starts_with("balanced"),
        "the reason is kept with the call"
    );
}

#[tokio::test]
async fn a_conversation_stays_where_its_prompt_is_cached() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![
            provider("a", "openai", &server, &["gpt-5-mini"]),
            provider("b", "openai", &server, &["gemini-2.5-flash"]),
        ],
        routes: routes(&[("default", Route::Policy(Policy::named("cheapest").unwrap()))]),
        ..Setup::default()
    };
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    let long = "word ".repeat(20_000);
    let (path, mut body) = ask(Dialect::Chat, "auto", &long, false);
    body["max_tokens"] = 10.into();
    let first = stage.post(&path, &body).await;
    let model = first.header("x-maestria-model").unwrap().to_owned();
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "assistant", "content": "ok"}));
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "user", "content": "go on"}));
    let second = stage.post(&path, &body).await;
    assert_eq!(second.header("x-maestria-model"), Some(model.as_str()));
    assert!(
        second.header("x-maestria-reason").unwrap().contains("warm cache saves"),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_dead_provider_is_found_before_a_client_finds_it_and_one_that_is_back_is_used_again() {
    let mut gone = provider("gone", "openai", &ModelServer::start().await, &["m"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    gone.base_url = Some(format!("http://127.0.0.1:{port}/v1"));
    let setup = Setup {
        providers: vec![gone],
        ..Setup::default()
    };
    let bounds = Bounds {
        probe_every: std::time::Duration::from_millis(20),
        ..Bounds::default()
    };
    let stage = Stage::with(setup, rules(), bounds).await;
    let usable = async || {
        stage.get("/api/gateway", &[]).await.json()["lanes"][0]["usable"]
            .as_bool()
            .unwrap()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while usable().await {
        assert!(std::time::Instant::now() < deadline, "nobody noticed");
    }
    let _back = ModelServer::bind(port).await.unwrap();
    while !usable().await {
        assert!(std::time::Instant::now() < deadline, "nobody noticed");
    }
}

#[tokio::test]
async fn a_long_request_goes_where_its_tokens_fit() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![provider("p", "openai", &server, &["gpt-4o-mini", "gpt-4.1"])],
        routes: [("default".to_owned(), Route::Policy(Policy::named("cheapest").unwrap()))].into(),
        ..Setup::default()
    };
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    let post = async |text: String, most: u64| {
        let (path, mut body) = ask(Dialect::Chat, "auto", &text, false);
        body["max_completion_tokens"] = most.into();
        let reply = stage.post(&path, &body).await;
        let model = reply.header("x-maestria-model").map(str::to_owned);
        (
            model.unwrap_or_else(|| reply.text.clone()),
            reply.header("x-maestria-reason").unwrap_or_default().to_owned(),
        )
    };
    // 600 KB of words are 100,000 tokens, and fit the cheap model's 128,000 although their bytes do not.
    let (model, reason) = post(" tokens".repeat(90_000), 100).await;
    assert_eq!(model, "p/gpt-4o-mini", "{reason}");
    // 300 KB of odd signs are 200,000 tokens: a fourth of their bytes would fit, they do not.
    let (model, reason) = post("ab1".repeat(100_000), 100).await;
    assert_eq!(model, "p/gpt-4.1", "{reason}");
    assert!(reason.contains("128"), "{reason}");
    let (refused, _) = post("tokens".to_owned(), u64::MAX).await;
    assert!(refused.contains("budget_exhausted"), "{refused}");
}

#[tokio::test]
async fn a_providers_own_limit_sends_calls_elsewhere_and_then_makes_them_wait_or_go() {
    let (first, second) = (ModelServer::start().await, ModelServer::start().await);
    let limited = |name: &str, server: &ModelServer, requests| {
        let mut config = provider(name, "openai", server, &["m"]);
        config.rate = Rate {
            requests,
            // Two at once, then one a second.
            burst_percent: 4,
            ..Rate::default()
        };
        config.patience.longest_wait = std::time::Duration::ZERO;
        config
    };
    let chain = Route::Chain(vec!["a/m".to_owned(), "b/m".to_owned()]);
    let setup = Setup {
        providers: vec![limited("a", &first, 60), limited("b", &second, 60)],
        routes: routes(&[("default", chain)]),
        ..Setup::default()
    };
    let stage = Stage::with(setup, rules(), Bounds::default()).await;
    let (path, body) = ask(Dialect::Chat, "auto", "hello", false);
    let mut models = Vec::new();
    for _ in 0..4 {
        let reply = stage.post(&path, &body).await;
        models.push(
            reply
                .header("x-maestria-model")
                .map(str::to_owned)
                .unwrap_or(reply.text),
        );
    }
    assert_eq!(models, ["a/m", "a/m", "b/m", "b/m"]);
    let reply = stage.post(&path, &body).await;
    assert_eq!(reply.status, 429, "{}", reply.text);
    assert!(
        reply.header("retry-after").is_some() && reply.text.contains("requests_per_minute"),
        "{}",
        reply.text
    );
    assert_eq!((first.asked(), second.asked()), (2, 2), "the limits hold");
}
