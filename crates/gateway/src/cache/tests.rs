use super::{Again, Cache, CacheConfig, Found, Kept, SemanticConfig, alike::Alike, shelf::Shelf};
use crate::{
    key::Who,
    question::{Door, Question, Wanted},
    wire::Dialect,
};
use hyper::HeaderMap;
use maestria_kernel::At;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const HOUR: Duration = Duration::from_secs(3_600);

fn question(body: &str) -> Question {
    let door = Door {
        face: Dialect::OpenAi,
        wanted: Wanted::Answer,
        model: None,
        stream: None,
        array: false,
        query: "",
    };
    Question::read("r".to_owned(), At(0), door, HeaderMap::new(), body.to_owned().into()).unwrap()
}

fn who(client: &str) -> Who {
    Who {
        client: client.to_owned(),
        ..Who::default()
    }
}

fn cache(change: impl FnOnce(&mut CacheConfig)) -> Arc<Cache> {
    let mut config = CacheConfig {
        ttl: HOUR,
        ..CacheConfig::default()
    };
    change(&mut config);
    Cache::new(config).unwrap()
}

#[test]
fn equal_requests_have_equal_keys_and_others_have_not() {
    let cache = cache(|_| {});
    let key = |body: &str| cache.key(&question(body), &who("a"));
    let one = key(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#);
    let same = [
        r#"{ "temperature": 0.5, "messages":[{"content":"hi","role":"user"}], "model":"m" }"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.5,"stream":false}"#,
    ];
    same.iter().for_each(|body| assert_eq!(key(body), one, "{body}"));
    let other = [
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.6}"#,
        r#"{"model":"n","messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"ho"}],"temperature":0.5}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.5,"stream":true}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.5,"unknown":1}"#,
    ];
    other.iter().for_each(|body| assert_ne!(key(body), one, "{body}"));
    let body = question(same[0]);
    assert_ne!(cache.key(&body, &who("b")), one, "never across keys");
    let task = Who {
        task: Some("t".to_owned()),
        ..who("a")
    };
    assert_ne!(cache.key(&body, &task), one, "each task has a key of its own");
    let shared = super::tests::cache(|config| config.shared = true);
    assert_eq!(shared.key(&body, &who("a")), shared.key(&body, &who("b")));
    let mut fresh = question(same[0]);
    fresh.fresh = true;
    assert_eq!(cache.key(&fresh, &who("a")), None);
}

#[test]
fn room_is_bounded_and_the_longest_unused_goes_first() {
    let kept = |size: usize| {
        Arc::new(Kept {
            bytes: vec![0; size].into(),
            model: String::new(),
            at: Instant::now(),
        })
    };
    let mut shelf = Shelf::new(3_000);
    for n in 1..=3 {
        shelf.put([n; 32], kept(500));
    }
    assert!(shelf.get(&[1; 32], HOUR).is_some());
    shelf.put([4; 32], kept(1_000));
    assert!(shelf.get(&[2; 32], HOUR).is_none(), "the first was used since");
    assert!(shelf.get(&[1; 32], HOUR).is_some() && shelf.get(&[4; 32], HOUR).is_some());
    assert!(shelf.bytes() <= 3_000);
    assert!(shelf.get(&[4; 32], Duration::ZERO).is_none(), "too old");
    for n in 0..=200 {
        shelf.put([n; 32], kept(100));
    }
    assert!(shelf.bytes() <= 3_000);
}

#[tokio::test]
async fn the_first_leads_and_the_others_wait_for_it() {
    let cache = cache(|config| config.size = 8_000);
    let key = [7; 32];
    let Found::Nothing(lead) = cache.look(key).await else {
        panic!("nothing is there yet")
    };
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { cache.look(key).await }
    });
    tokio::task::yield_now().await;
    drop(lead);
    let Found::Nothing(lead) = waiting.await.unwrap() else {
        panic!("the first has given up, so the next leads")
    };
    lead.keep(vec![0; 2_000].into(), "p/m".to_owned());
    let Found::Nothing(lead) = cache.look(key).await else {
        panic!("an answer of a quarter of the room is not kept")
    };
    lead.keep("answer".into(), "p/m".to_owned());
    let found = cache.look(key).await;
    assert!(
        matches!(&found, Found::Kept(kept, Again::Same) if kept.bytes == "answer"),
        "{found:?}"
    );
}

#[test]
fn what_means_the_same_is_told_from_what_does_not() {
    let alike = Alike::new(SemanticConfig {
        model: "e".to_owned(),
        threshold: 0.9,
    });
    let frame = |system: &str, said: &str| {
        let body = serde_json::json!({"model": "m", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": said},
        ]});
        Alike::apart(&question(&body.to_string()), "t").unwrap()
    };
    let (one, said) = frame("You help.", "what is \"it\"?");
    assert_eq!(said, "what is \"it\"?");
    assert_eq!(frame("You help.", "what was it?").0, one);
    assert_ne!(frame("You plan.", "what is it?").0, one);
    alike.note(one, vec![1.0, 0.0], [1; 32]);
    alike.note(one, vec![0.0, 1.0], [2; 32]);
    let (key, close) = alike.closest(&one, &[1.0, 0.1]).unwrap();
    assert!(key == [1; 32] && close > 0.99, "{close}");
    assert_eq!(alike.closest(&one, &[1.0, 1.0]), None, "neither is close enough");
    assert_eq!(alike.closest(&[0; 32], &[1.0, 0.0]), None);
    assert_eq!(alike.closest(&one, &[1.0]), None, "vectors of another model");
}
