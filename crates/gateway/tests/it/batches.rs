//! Embeddings that go together.

use crate::stage::{Reply, Stage, at, provider, rules};
use maestria_gateway::{Auth, Rules};
use maestria_kernel::ledger::ClientKey;
use maestria_testkit::model::ModelServer;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const PATH: &str = "/v1/embeddings";

/// Long enough for all of a test to come meanwhile, however busy the machine.
const WAIT: Duration = Duration::from_secs(2);

async fn open(server: &ModelServer, auth: Auth, batch_wait: Duration) -> Arc<Stage> {
    let rules = Rules {
        auth,
        batch_wait,
        ..rules()
    };
    Arc::new(Stage::open(vec![provider("p", "openai", server, &["embed"])], rules).await)
}

fn wish(input: &Value) -> Value {
    json!({"model": "embed", "input": input})
}

/// Asks all at once, each with a key.
async fn ask(stage: &Arc<Stage>, asked: Vec<(String, Value)>) -> Vec<Reply> {
    let under_way: Vec<_> = asked
        .into_iter()
        .map(|(key, body)| {
            let stage = stage.clone();
            tokio::spawn(async move { stage.post_as(&key, PATH, &body).await })
        })
        .collect();
    let mut replies = Vec::new();
    for one in under_way {
        replies.push(one.await.unwrap());
    }
    replies
}

async fn ask_as_anybody(stage: &Arc<Stage>, bodies: &[Value]) -> Vec<Reply> {
    ask(
        stage,
        bodies.iter().map(|body| ("x".to_owned(), body.clone())).collect(),
    )
    .await
}

#[tokio::test]
async fn requests_of_a_moment_are_one_call_and_each_gets_what_it_would_get_alone() {
    let server = ModelServer::start().await;
    let alone = open(&server, Auth::None, Duration::ZERO).await;
    let together = open(&server, Auth::None, WAIT).await;
    let inputs = [
        json!("one two"),
        json!(["three", "four five six"]),
        json!(["seven"]),
        json!("eight nine ten"),
    ];
    let bodies: Vec<Value> = inputs.iter().map(wish).collect();
    let singly = ask_as_anybody(&alone, &bodies).await;
    assert_eq!(server.asked(), 4);
    let jointly = ask_as_anybody(&together, &bodies).await;
    assert_eq!(server.asked(), 5, "four requests became one call");
    for (one, other) in singly.iter().zip(&jointly) {
        assert_eq!((one.status, other.status), (200, 200), "{}", other.text);
        let (one, other) = (one.json(), other.json());
        assert_eq!((&one["data"], &one["model"]), (&other["data"], &other["model"]));
    }
    assert!(
        jointly[0]
            .header("x-maestria-reason")
            .unwrap()
            .contains("together with 3 more")
    );
    let calls = together.calls(4).await;
    let booked: u64 = calls.iter().map(|call| call.input).sum();
    let told: u64 = jointly
        .iter()
        .map(|r| r.json()["usage"]["prompt_tokens"].as_u64().unwrap())
        .sum();
    let counted: usize = inputs.iter().flat_map(texts).map(|text| text.len() / 4).sum();
    assert_eq!((booked, told), (counted as u64, counted as u64));
    assert!(
        calls.iter().all(|call| call.outcome == "ok" && call.provider == "p"),
        "{calls:?}"
    );
    assert!(calls.iter().map(|call| call.cost.0).sum::<i64>() > 0);
}

fn texts(input: &Value) -> Vec<String> {
    match input {
        Value::Array(texts) => texts.iter().flat_map(texts_of).collect(),
        text => texts_of(text),
    }
}

fn texts_of(text: &Value) -> Vec<String> {
    vec![text.as_str().unwrap().to_owned()]
}

#[tokio::test]
async fn what_differs_does_not_go_together() {
    let server = ModelServer::start().await;
    let stage = open(&server, Auth::Keys, WAIT).await;
    let key = async |name: &str| {
        let like = ClientKey {
            name: name.to_owned(),
            ..ClientKey::default()
        };
        stage.key(like).await
    };
    let (one, other) = (key("one").await, key("other").await);
    let plain = wish(&json!("a text"));
    let short = json!({"model": "embed", "input": "a text", "dimensions": 8});
    let asked = [
        (&one, &plain),
        (&other, &plain),
        (&one, &short),
        (&one, &plain),
        (&other, &plain),
    ];
    let asked = asked.map(|(key, body)| (key.clone(), body.clone())).into();
    assert!(ask(&stage, asked).await.iter().all(|reply| reply.status == 200));
    assert_eq!(server.asked(), 3, "two of one, two of the other, one with dimensions");
    for (name, many) in [("one", 3), ("other", 2)] {
        let calls = stage.calls(5).await;
        assert_eq!(calls.iter().filter(|call| call.client == name).count(), many);
    }
}

#[tokio::test]
async fn nobody_fails_for_the_text_of_another() {
    let server = ModelServer::start().await;
    let stage = open(&server, Auth::None, WAIT).await;
    let bodies = [json!("good"), json!(""), json!(["fine", "too"])].map(|input| wish(&input));
    let replies = ask_as_anybody(&stage, &bodies).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(server.asked(), 4, "all at once, then one by one");
    let bad = ["[]", "{}", "7", "null", "[[]]", "[null]"].map(|input| wish(&serde_json::from_str(input).unwrap()));
    for reply in ask_as_anybody(&stage, &bad).await {
        assert_eq!(reply.status, 400, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_call_that_is_full_goes_at_once() {
    let server = ModelServer::start().await;
    let stage = open(&server, Auth::None, WAIT).await;
    let many = |count: usize| wish(&json!(vec!["word"; count]));
    let begun = std::time::Instant::now();
    let replies = ask_as_anybody(&stage, &[many(60), many(60), many(100), many(99)]).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let lengths: Vec<usize> = replies
        .iter()
        .map(|r| r.json()["data"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [60, 60, 100, 99]);
    assert_eq!(server.asked(), 4, "none fits to another");
    assert!(begun.elapsed() >= WAIT, "the last waits for more");
}

#[tokio::test]
async fn who_leaves_takes_nobody_along() {
    let server = ModelServer::start().await;
    let stage = open(&server, Auth::None, WAIT).await;
    let leaving = {
        let stage = stage.clone();
        tokio::spawn(async move { stage.post(PATH, &wish(&json!("first"))).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bodies = [json!("second"), json!("third")].map(|input| wish(&input));
    let staying = ask_as_anybody(&stage, &bodies);
    let leave = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        leaving.abort();
    };
    let (replies, ()) = tokio::join!(staying, leave);
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(server.asked(), 1);
    let asked = &server.requests()[0].body;
    assert_eq!(
        asked["input"].as_array().unwrap().len(),
        2,
        "who has left is not asked for: {asked}"
    );
}

#[tokio::test]
async fn an_answer_that_cannot_be_told_apart_is_paid_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let mut asked = 0;
        while let Ok(Ok((mut socket, _))) = tokio::time::timeout(2 * WAIT, listener.accept()).await {
            asked += 1;
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await.unwrap();
            let body = r#"{"data":[{"index":0},{"index":0}],"usage":{"prompt_tokens":40,"total_tokens":40}}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    let rules = Rules {
        batch_wait: WAIT,
        ..rules()
    };
    let stage = Arc::new(Stage::open(vec![at(port, "embed")], rules).await);
    let bodies = [json!("one"), json!("two")].map(|input| wish(&input));
    for reply in ask_as_anybody(&stage, &bodies).await {
        assert_eq!(reply.status, 502, "{reply:?}");
        assert!(reply.text.contains("batch_wait"), "{reply:?}");
    }
    let calls = stage.calls(2).await;
    assert_eq!(calls.iter().map(|call| call.input).sum::<u64>(), 40);
    assert!(
        calls.iter().all(|call| call.outcome == "failed" && call.cost.0 > 0),
        "{calls:?}"
    );
    assert_eq!(asked.await.unwrap(), 1);
}
