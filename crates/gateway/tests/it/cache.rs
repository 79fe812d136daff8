//! Answers that are given again.

use crate::stage::{DIALECTS, Stage, ask, provider, rules, text_of};
use maestria_gateway::{Auth, CacheConfig, Rules, SemanticConfig};
use maestria_kernel::Cost;
use maestria_kernel::ledger::{ClientKey, UsageBy, UsageOf};
use maestria_testkit::model::{Dialect, Fault, FaultKind, ModelServer, Script, Step};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3_600);

fn caching(change: impl FnOnce(&mut CacheConfig)) -> Rules {
    let mut cache = CacheConfig {
        ttl: HOUR,
        ..CacheConfig::default()
    };
    change(&mut cache);
    Rules { cache, ..rules() }
}

async fn open(server: &ModelServer, rules: Rules) -> Stage {
    Stage::open(vec![provider("p", "openai", server, &["gpt-4o-mini", "embed"])], rules).await
}

#[tokio::test]
async fn the_same_answer_comes_again_in_every_dialect_whole_and_streamed() {
    let server = ModelServer::start().await;
    let stage = open(&server, caching(|_| {})).await;
    let mut sent = 0;
    for (name, dialect) in DIALECTS {
        for stream in [false, true] {
            let prompt = format!("{name} {stream} @script {{\"steps\":[{{\"text\":\"one two three\"}}]}}");
            let (path, body) = ask(dialect, "gpt-4o-mini", &prompt, stream);
            let first = stage.post(&path, &body).await;
            assert_eq!(
                first.header("x-maestria-cache"),
                Some("miss"),
                "{name} {stream}: {}",
                first.text
            );
            let second = stage.post(&path, &body).await;
            assert_eq!(second.header("x-maestria-cache"), Some("hit"), "{name} {stream}");
            assert_eq!(first.text, second.text, "byte for byte");
            assert_eq!(first.header("content-type"), second.header("content-type"));
            assert_eq!(text_of(dialect, &second, stream), "one two three", "{}", second.text);
            assert_eq!(second.header("x-maestria-model"), Some("p/gpt-4o-mini"));
            sent += 1;
            assert_eq!(server.asked(), sent);
        }
    }
    let calls = stage.calls(16).await;
    let hits: Vec<_> = calls.iter().filter(|call| call.code == "cache_hit").collect();
    assert_eq!(hits.len(), 8);
    let free = hits
        .iter()
        .all(|hit| hit.cost == Cost::ZERO && hit.outcome == "ok" && hit.model == "gpt-4o-mini");
    assert!(free, "{hits:?}");
    let usage = maestria_kernel::ledger::Ledger::usage(&*stage.ledger, UsageBy::Model, UsageOf::default())
        .await
        .unwrap();
    assert_eq!((usage[0].calls, usage[0].hits, usage[0].failed), (16, 8, 0));
    let status = stage.get("/api/gateway", &[]).await.json();
    assert_eq!(
        (&status["cache"]["hits"], &status["cache"]["misses"]),
        (&json!(8), &json!(8))
    );
}

#[tokio::test]
async fn keys_do_not_see_each_others_answers_unless_they_may() {
    for shared in [false, true] {
        let server = ModelServer::start().await;
        let rules = Rules {
            auth: Auth::Keys,
            ..caching(|cache| cache.shared = shared)
        };
        let stage = open(&server, rules).await;
        let named = |name: &str| ClientKey {
            name: name.to_owned(),
            ..ClientKey::default()
        };
        let (one, two) = (stage.key(named("one")).await, stage.key(named("two")).await);
        let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", "hello", false);
        assert_eq!(
            stage.post_as(&one, &path, &body).await.header("x-maestria-cache"),
            Some("miss")
        );
        let other = stage.post_as(&two, &path, &body).await;
        let expected = if shared { "hit" } else { "miss" };
        assert_eq!(other.header("x-maestria-cache"), Some(expected));
    }
}

#[tokio::test]
async fn who_wants_a_fresh_answer_gets_one_and_failures_are_not_kept() {
    let server = ModelServer::start().await;
    let stage = open(&server, caching(|_| {})).await;
    let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", "hello", false);
    stage.post(&path, &body).await;
    let headers = [("content-type", "application/json"), ("cache-control", "no-cache")];
    let fresh = stage.send("POST", &path, &headers, body.to_string().as_bytes()).await;
    assert_eq!((fresh.header("x-maestria-cache"), server.asked()), (None, 2));
    let failing = Script::of([Step::Text("x".to_owned())]).fault(Fault::forever(FaultKind::Status {
        status: 400,
        retry_after: None,
        message: None,
    }));
    let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", &failing.directive(), false);
    for _ in 0..2 {
        assert_eq!(stage.post(&path, &body).await.status, 400);
    }
    assert_eq!(server.asked(), 4, "a failure is asked anew");
    let cut = Script::of([Step::Text("one two three four".to_owned())]).fault(Fault::once(FaultKind::Cut { after: 3 }));
    let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", &cut.directive(), true);
    stage.post(&path, &body).await;
    let again = stage.post(&path, &body).await;
    assert_eq!(again.header("x-maestria-cache"), Some("miss"), "half an answer is none");
    assert!(again.text.contains("four"), "{}", again.text);
}

#[tokio::test]
async fn equal_requests_under_way_are_sent_once() {
    let server = ModelServer::start().await;
    let stage = Arc::new(open(&server, caching(|_| {})).await);
    for stream in [false, true] {
        let before = server.asked();
        let slow =
            Script::of([Step::Text(format!("slow {stream}"))]).fault(Fault::once(FaultKind::Silence { ms: Some(300) }));
        let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", &slow.directive(), stream);
        let asking: Vec<_> = (0..16)
            .map(|_| {
                let (stage, path, body) = (stage.clone(), path.clone(), body.clone());
                tokio::spawn(async move { stage.post(&path, &body).await })
            })
            .collect();
        let mut texts = Vec::new();
        for one in asking {
            texts.push(text_of(Dialect::Chat, &one.await.unwrap(), stream));
        }
        assert!(texts.iter().all(|text| *text == format!("slow {stream}")), "{texts:?}");
        assert_eq!(server.asked() - before, 1, "stream: {stream}");
    }
}

#[tokio::test]
async fn what_means_the_same_is_answered_alike_when_that_is_wished_for() {
    let server = ModelServer::start().await;
    let rules = caching(|cache| {
        cache.semantic = Some(SemanticConfig {
            model: "p/embed".to_owned(),
            threshold: 0.95,
        });
    });
    let stage = open(&server, rules).await;
    let post = async |prompt: &str| {
        let (path, body) = ask(Dialect::Anthropic, "gpt-4o-mini", prompt, false);
        stage.post(&path, &body).await
    };
    let first = post("How do I list the files of a folder?").await;
    assert_eq!(first.header("x-maestria-cache"), Some("miss"), "{}", first.text);
    let alike = post("the files of a folder: how do I list (them)? no: How do I list the files of a folder?").await;
    assert_eq!(
        alike.header("x-maestria-cache"),
        Some("similar 0.977"),
        "{}",
        alike.text
    );
    assert_eq!(alike.text, first.text);
    assert!(alike.header("x-maestria-reason").unwrap().contains("means the same"));
    let other = post("How do I remove a user from the database?").await;
    assert_eq!(other.header("x-maestria-cache"), Some("miss"));
    let calls = stage.calls(6).await;
    let embedded = calls
        .iter()
        .filter(|call| call.client == "cache" && call.cost.0 > 0)
        .count();
    assert_eq!(embedded, 3, "the vectors are in the books: {calls:?}");
}
