//! Bad input, bad clients, bad providers.

use crate::stage::{DIALECTS, Stage, ask, at, events, provider, quick, rules, text_of};
use maestria_gateway::{Auth, Bounds, Patience, Rules, Setup};
use maestria_kernel::ledger::{ClientKey, Ledger as _};
use maestria_testkit::model::{Dialect, Fault, FaultKind, ModelServer, Script, Step};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

fn say(text: &str) -> Script {
    Script::of([Step::Text(text.to_owned())])
}

/// The code, message and request id of a failure in a dialect.
fn failure(dialect: Dialect, body: &Value) -> (String, String, String) {
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match dialect {
        Dialect::Chat | Dialect::Responses => (text("/error/code"), text("/error/message"), text("/error/request_id")),
        Dialect::Anthropic => (text("/error/code"), text("/error/message"), text("/request_id")),
        Dialect::Gemini => (
            text("/error/details/0/reason"),
            text("/error/message"),
            text("/error/details/0/metadata/request_id"),
        ),
    }
}

#[tokio::test]
async fn bad_input_gets_an_error_in_the_clients_dialect() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], rules()).await;
    for (name, face) in DIALECTS {
        let (path, body) = ask(face, "m", "x", false);
        let (unknown_path, unknown) = ask(face, "nobody-knows", "x", false);
        let json = [("content-type", "application/json")];
        let cases = [
            (
                stage.send("POST", &path, &json, b"{\"model\": ").await,
                400,
                "invalid_request",
                "JSON",
            ),
            (
                stage.send("POST", &path, &json, b"\xff\xfe").await,
                400,
                "invalid_request",
                "JSON",
            ),
            (
                stage
                    .send("POST", &path, &[("content-type", "text/plain")], b"{}")
                    .await,
                400,
                "invalid_request",
                "content type",
            ),
            (
                stage.post(&unknown_path, &unknown).await,
                404,
                "not_found",
                "nobody-knows",
            ),
            (
                stage.post(&path.replace("/v1", "/v1/nowhere/v1"), &body).await,
                404,
                "not_found",
                "there is no POST",
            ),
        ];
        for (reply, status, code, words) in cases {
            assert_eq!(reply.status, status, "{name}: {}", reply.text);
            let shape = if reply.text.contains("there is no POST") && face != Dialect::Gemini {
                Dialect::Chat
            } else {
                face
            };
            // A path that is nowhere may look like any dialect.
            let shape = if reply.json().pointer("/error/details").is_some() {
                Dialect::Gemini
            } else {
                shape
            };
            let shape = if reply.json()["type"] == "error" {
                Dialect::Anthropic
            } else {
                shape
            };
            let shape = if shape == Dialect::Gemini && reply.json().pointer("/error/details").is_none() {
                Dialect::Chat
            } else {
                shape
            };
            let (told, message, request) = failure(shape, &reply.json());
            assert_eq!(told, code, "{name}: {}", reply.text);
            assert!(message.contains(words), "{name}: {}", reply.text);
            assert_eq!(reply.header("x-request-id"), Some(request.as_str()), "{name}");
        }
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![provider("p", "openai", &server, &["m"])],
        ..Setup::default()
    };
    let bounds = Bounds {
        body: 1 << 20,
        ..Bounds::default()
    };
    let stage = Stage::with(setup, rules(), bounds).await;
    let long = vec![b' '; (1 << 20) + 1];
    let reply = stage
        .send("POST", "/v1/messages", &[("content-type", "application/json")], &long)
        .await;
    assert_eq!(reply.status, 413);
    assert_eq!(failure(Dialect::Anthropic, &reply.json()).0, "body_too_large");
}

#[tokio::test]
async fn a_key_is_needed_in_the_place_of_its_dialect_and_ends_when_it_is_revoked() {
    let server = ModelServer::start().await;
    let keyed = Rules {
        auth: Auth::Keys,
        ..rules()
    };
    let stage = Stage::open(vec![provider("p", "openai", &server, &["m"])], keyed).await;
    let like = ClientKey {
        name: "ci".to_owned(),
        task: Some("task_1".to_owned()),
        ..ClientKey::default()
    };
    let key = stage.key(like).await;
    assert!(key.starts_with("mk_"));
    for (name, face) in DIALECTS {
        let (path, body) = ask(face, "m", "x", false);
        let body = body.to_string();
        for given in [None, Some("mk_wrong"), Some("sk-p")] {
            let bearer = given.map(|g| format!("Bearer {g}")).unwrap_or_default();
            let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
            let count = if given.is_some() { 2 } else { 1 };
            let reply = stage.send("POST", &path, &headers[..count], body.as_bytes()).await;
            assert_eq!(
                (reply.status, failure(face, &reply.json()).0.as_str()),
                (401, "invalid_key"),
                "{name}"
            );
        }
        let bearer = format!("Bearer {key}");
        let places = [
            ("authorization", bearer.as_str()),
            ("x-api-key", key.as_str()),
            ("x-goog-api-key", key.as_str()),
        ];
        for place in places {
            let headers = [("content-type", "application/json"), place];
            let reply = stage.send("POST", &path, &headers, body.as_bytes()).await;
            assert_eq!(reply.status, 200, "{name} {place:?}: {}", reply.text);
        }
    }
    let calls = stage.calls(12).await;
    assert!(
        calls
            .iter()
            .all(|c| c.client == "ci" && c.task.as_deref() == Some("task_1"))
    );
    assert!(
        stage
            .ledger
            .revoke_key("ci".to_owned(), crate::stage::NOON)
            .await
            .unwrap()
    );
    let (path, body) = ask(Dialect::Chat, "m", "x", false);
    let deadline = Instant::now() + Duration::from_secs(20);
    while stage.post_as(&key, &path, &body).await.status != 401 {
        assert!(Instant::now() < deadline, "the key goes on after its end");
    }
}

#[tokio::test]
async fn an_error_after_a_200_and_before_content_is_never_seen() {
    for (name, face) in DIALECTS {
        for (other, _) in DIALECTS {
            let server = ModelServer::start().await;
            let stage = Stage::open(vec![provider("p", other, &server, &["m"])], rules()).await;
            let fault = Fault::once(FaultKind::ErrorEvent {
                after: 0,
                message: Some("overloaded".to_owned()),
            });
            let (path, body) = ask(face, "m", &say("hello").fault(fault).directive(), true);
            let reply = stage.post(&path, &body).await;
            assert_eq!(
                (reply.status, text_of(face, &reply, true).as_str()),
                (200, "hello"),
                "{name} {other}: {}",
                reply.text
            );
            let call = &stage.calls(1).await[0];
            assert_eq!((call.retries, call.outcome.as_str()), (1, "ok"), "{name} {other}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_after_content_ends_with_an_error_the_client_understands() {
    for (name, face) in DIALECTS {
        for (other, _) in DIALECTS {
            let server = ModelServer::start().await;
            let stage = Stage::open(vec![provider("p", other, &server, &["m"])], rules()).await;
            let cut = Fault::forever(FaultKind::Cut { after: 100 });
            let (path, body) = ask(face, "m", &say("hello, you there").fault(cut).directive(), true);
            let reply = stage.post(&path, &body).await;
            assert_eq!(reply.status, 200, "{name} {other}");
            let last = events(&reply).pop().unwrap();
            assert!(last.to_string().contains("p: the "), "{name} {other}: {last}");
            assert_eq!(
                server.asked(),
                1,
                "{name} {other}: nothing is tried again after content"
            );
            let call = &stage.calls(1).await[0];
            assert_eq!(call.outcome, "failed", "{name} {other}");
            assert!(call.output > 0, "{name} {other}: what was received is paid for");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_providers_stream() {
    // A provider that streams for ever and tells when nobody listens any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endless = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"more \"}}]}\n\n";
        let mut sent = 0_u64;
        while socket.write_all(event.as_bytes()).await.is_ok() {
            sent += event.len() as u64;
            tokio::task::yield_now().await;
        }
        sent
    });
    let config = at(port, "gpt-4o-mini");
    let stage = Stage::open(vec![config], rules()).await;
    let (path, body) = ask(Dialect::Chat, "gpt-4o-mini", "x", true);
    let body = body.to_string();
    let mut socket = stage
        .begin("POST", &path, &[("content-type", "application/json")], body.len())
        .await;
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut some = [0; 1000];
    assert!(socket.read(&mut some).await.unwrap() > 0);
    drop(socket);
    let sent = tokio::time::timeout(Duration::from_secs(20), endless)
        .await
        .unwrap()
        .unwrap();
    // Back-pressure: the provider was not read ahead of the client without bound.
    assert!(sent < 64 << 20, "{sent} bytes");
    let call = &stage.calls(1).await[0];
    assert_eq!((call.outcome.as_str(), call.estimated), ("cancelled", true));
    assert!(call.cost.0 > 0 && call.output > 0, "{call:?}");
}

#[tokio::test]
async fn a_silent_provider_and_one_that_is_not_there_are_told_apart() {
    let server = ModelServer::start().await;
    let mut silent = provider("silent", "openai", &server, &["m"]);
    silent.patience = Patience {
        silence: Duration::from_millis(200),
        retries: 0,
        ..quick()
    };
    let mut gone = provider("gone", "openai", &server, &["n"]);
    gone.base_url = Some("http://127.0.0.1:9/v1".to_owned());
    let mut nowhere = provider("nowhere", "openai", &server, &["o"]);
    nowhere.base_url = Some("http://no-such-host.invalid/v1".to_owned());
    let stage = Stage::open(vec![silent, gone, nowhere], rules()).await;
    let quiet = say("x")
        .fault(Fault::forever(FaultKind::Silence { ms: None }))
        .directive();
    for (model, status, code) in [
        ("m", 504, "upstream_silent"),
        ("n", 503, "upstream_unavailable"),
        ("o", 503, "upstream_unavailable"),
    ] {
        let (path, body) = ask(Dialect::Anthropic, model, &quiet, false);
        let reply = stage.post(&path, &body).await;
        assert_eq!(reply.status, status, "{model}: {}", reply.text);
        assert_eq!(failure(Dialect::Anthropic, &reply.json()).0, code, "{model}");
    }
}

#[tokio::test]
async fn a_refused_key_of_the_gateway_is_not_the_clients_fault_and_is_not_shown() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "anthropic", &server, &["m"])], rules()).await;
    let refuse = Fault::forever(FaultKind::Status {
        status: 401,
        retry_after: None,
        message: Some("bad key sk-p".to_owned()),
    });
    let (path, body) = ask(Dialect::Chat, "m", &say("x").fault(refuse).directive(), false);
    let reply = stage.post(&path, &body).await;
    assert_eq!(
        (reply.status, failure(Dialect::Chat, &reply.json()).0.as_str()),
        (502, "upstream_failed")
    );
    assert!(!reply.text.contains("sk-p"), "{}", reply.text);
}

#[tokio::test]
async fn a_storm_of_429s_reaches_the_client_with_its_wait() {
    let server = ModelServer::start().await;
    let stage = Stage::open(vec![provider("p", "gemini", &server, &["m"])], rules()).await;
    let storm = Fault::forever(FaultKind::Status {
        status: 429,
        retry_after: Some(100),
        message: None,
    });
    let (path, body) = ask(Dialect::Responses, "m", &say("x").fault(storm).directive(), true);
    let reply = stage.post(&path, &body).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("100")));
}

#[tokio::test]
async fn invalid_events_and_half_characters_are_survived() {
    let bodies: [&[u8]; 3] = [
        b"data: {\"choices\":[{\"delta\":{\"content\":\"ok\"}}]}\n\ndata: {broken\n\n",
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\xbc\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        b"nonsense\n\n",
    ];
    for (number, bytes) in bodies.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await.unwrap();
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                    .await
                    .unwrap();
                for byte in bytes {
                    // Each byte by itself, so that characters and lines are cut everywhere.
                    let _ = socket.write_all(std::slice::from_ref(byte)).await;
                    tokio::task::yield_now().await;
                }
            }
        });
        let config = at(port, "m");
        let stage = Stage::open(vec![config], rules()).await;
        let (path, body) = ask(Dialect::Anthropic, "m", "x", true);
        let reply = stage.post(&path, &body).await;
        match number {
            0 => assert!(
                reply.text.contains("event: error") && reply.text.contains("ok"),
                "{}",
                reply.text
            ),
            1 => assert_eq!(text_of(Dialect::Anthropic, &reply, true), "ü"),
            _ => assert_eq!(reply.status, 503, "{}", reply.text),
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_client_that_does_not_send_its_body_is_let_go() {
    let server = ModelServer::start().await;
    let setup = Setup {
        providers: vec![provider("p", "openai", &server, &["m"])],
        ..Setup::default()
    };
    let bounds = Bounds {
        patience: Duration::from_millis(200),
        ..Bounds::default()
    };
    let stage = Stage::with(setup, rules(), bounds).await;
    let mut socket = stage
        .begin("POST", "/v1/messages", &[("content-type", "application/json")], 100)
        .await;
    socket.write_all(b"{").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok() && answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn everybody_on_the_network_is_not_let_in() {
    let setup = Setup::default();
    let folder = tempfile::tempdir().unwrap();
    let outside = maestria_gateway::Outside {
        ledger: std::sync::Arc::new(maestria_store::SqliteLedger::open(folder.path().join("m.db")).unwrap()),
        owner: "o".to_owned(),
        on_alert: std::sync::Arc::new(|_| {}),
        now: std::sync::Arc::new(|| crate::stage::NOON),
    };
    let service = maestria_gateway::Service::new(setup, rules(), outside).unwrap().into();
    let error = maestria_gateway::Server::bind("0.0.0.0:0".parse().unwrap(), service, Bounds::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("\"none\""), "{error}");
}

#[tokio::test]
async fn a_secret_that_a_provider_repeats_reaches_no_client() {
    const SECRET: &str = "hush-\"quoted\"-0123456789";
    assert!(maestria_secrets::know("HUSHED", SECRET));
    let server = ModelServer::start().await;
    // It streams in three pieces; the secret stands in the last.
    let before = "this is a long answer, that is all, and what it ends with is the key that was given to it: ";
    server.script(move |_| Some(say(&format!("{before}{SECRET}"))));
    let providers = DIALECTS.map(|(name, _)| provider(name, name, &server, &[name]));
    let stage = Stage::open(providers.to_vec(), rules()).await;
    for (_, face) in DIALECTS {
        for (model, _) in DIALECTS {
            for streamed in [false, true] {
                let (path, body) = ask(face, model, "x", streamed);
                let reply = stage.post(&path, &body).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert!(
                    !reply.text.contains("hush-") && reply.text.contains("HUSHED"),
                    "{reply:?}"
                );
                assert!(reply.text.contains("that is all"), "{reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_that_comes_in_two_halves_is_known_for_one() {
    const SECRET: &str = "halved-0123456789-abcdef";
    assert!(maestria_secrets::know("HALVED", SECRET));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let event = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let told = event("the key is: ") + &event(SECRET) + &event(" and that is all");
    let middle = told.find(SECRET).unwrap() + SECRET.len() / 2;
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\ndata: cut off";
    let halves = [told[..middle].to_owned(), told[middle..].to_owned() + end];
    let speaking = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        for half in halves {
            socket.write_all(half.as_bytes()).await.unwrap();
            socket.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let config = at(port, "m");
    let stage = Stage::open(vec![config], rules()).await;
    let (path, mut body) = ask(Dialect::Chat, "m", "x", true);
    body["stream_options"] = json!({"include_usage": true});
    let reply = stage.post(&path, &body).await;
    speaking.await.unwrap();
    assert!(
        !reply.text.contains("halved") && !reply.text.contains("abcdef") && reply.text.contains("HALVED"),
        "{reply:?}"
    );
    // As it came otherwise, to the last byte.
    assert!(
        reply.text.starts_with(&event("the key is: ")) && reply.text.ends_with(end),
        "{reply:?}"
    );
}
