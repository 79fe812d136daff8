//! The model server over real sockets, by the plainest client there is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use maestria_testkit::ModelServer;
use maestria_testkit::model::{Dialect, Fault, FaultKind, Script, Step};
use serde_json::{Value, json};

const DIALECTS: [Dialect; 4] = [Dialect::Anthropic, Dialect::Responses, Dialect::Chat, Dialect::Gemini];

struct Reply {
    status: u16,
    head: String,
    body: String,
    /// The body ended as HTTP says it must.
    whole: bool,
}

/// One request on a connection of its own, read to its end.
fn blocking(url: &str, request: &str, body: &str) -> std::io::Result<Reply> {
    let address = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head =
        format!("{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer sk-secret\r\n");
    write!(
        socket,
        "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw)?;
    let text = String::from_utf8_lossy(&raw);
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let (body, whole) = if head.contains("chunked") {
        unchunked(rest)
    } else {
        (rest.to_owned(), true)
    };
    Ok(Reply {
        status,
        head: head.to_lowercase(),
        body,
        whole,
    })
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut out = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            return (out, true);
        }
        let Some(chunk) = after.get(..size) else { break };
        out.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    (out, false)
}

async fn send(server: &ModelServer, request: &str, body: &Value) -> Reply {
    let (url, request, body) = (server.base_url(), request.to_owned(), body.to_string());
    tokio::task::spawn_blocking(move || blocking(&url, &request, &body).unwrap())
        .await
        .unwrap()
}

/// A request with one tool, in any dialect, streamed or not.
fn request(dialect: Dialect, prompt: &str, stream: bool) -> (String, Value) {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}});
    let function = json!({"name": "write_file", "parameters": schema});
    let messages = json!([{"role": "user", "content": prompt}]);
    match dialect {
        Dialect::Anthropic => {
            let tools = json!([{"name": "write_file", "input_schema": schema}]);
            (
                "POST /v1/messages?beta=true".into(),
                json!({"model": "m", "stream": stream, "messages": messages, "tools": tools}),
            )
        }
        Dialect::Responses => {
            let tools = json!([{"type": "function", "name": "write_file", "parameters": schema}]);
            (
                "POST /v1/responses".into(),
                json!({"model": "m", "stream": stream, "input": prompt, "tools": tools}),
            )
        }
        Dialect::Chat => {
            let tools = json!([{"type": "function", "function": function}]);
            (
                "POST /v1/chat/completions".into(),
                json!({"model": "m", "stream": stream, "messages": messages, "tools": tools}),
            )
        }
        Dialect::Gemini => {
            let verb = if stream {
                "streamGenerateContent?alt=sse&key=sk-secret"
            } else {
                "generateContent?key=sk-secret"
            };
            let contents = json!([{"role": "user", "parts": [{"text": prompt}]}]);
            let tools = json!([{"functionDeclarations": [function]}]);
            (
                format!("POST /v1beta/models/m:{verb}"),
                json!({"contents": contents, "tools": tools}),
            )
        }
    }
}

async fn play(server: &ModelServer, dialect: Dialect, script: &Script, stream: bool) -> Reply {
    let (line, body) = request(dialect, &script.directive(), stream);
    send(server, &line, &body).await
}

fn spoken() -> Script {
    Script::of([Step::Text("good morning".into())])
}

fn written() -> Script {
    Script::of([Step::Write {
        path: "a.txt".into(),
        content: "hello".into(),
    }])
}

/// The data lines of a stream that are JSON.
fn events(reply: &Reply) -> Vec<Value> {
    let data = reply.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// All the strings at `pointer` of the events, joined.
fn joined(events: &[Value], pointer: &str) -> String {
    events
        .iter()
        .filter_map(|event| event.pointer(pointer)?.as_str())
        .collect()
}

#[tokio::test]
async fn text_arrives_in_pieces_in_every_dialect() {
    let server = ModelServer::start().await;
    let table = [
        (Dialect::Anthropic, "/delta/text"),
        (Dialect::Responses, "/delta"),
        (Dialect::Chat, "/choices/0/delta/content"),
        (Dialect::Gemini, "/candidates/0/content/parts/0/text"),
    ];
    for (dialect, pointer) in table {
        let reply = play(&server, dialect, &spoken(), true).await;
        assert_eq!((reply.status, reply.whole), (200, true), "{dialect:?}");
        assert!(reply.head.contains("text/event-stream"), "{}", reply.head);
        assert_eq!(joined(&events(&reply), pointer), "good morning", "{dialect:?}");
    }
}

#[tokio::test]
async fn tool_calls_arrive_whole_in_every_dialect() {
    let server = ModelServer::start().await;
    let wanted = json!({"path": "a.txt", "content": "hello"});
    let table = [
        (Dialect::Anthropic, "/delta/partial_json", "/content/0/input"),
        (Dialect::Responses, "/delta", "/output/0/arguments"),
        (
            Dialect::Chat,
            "/choices/0/delta/tool_calls/0/function/arguments",
            "/choices/0/message/tool_calls/0/function/arguments",
        ),
        (Dialect::Gemini, "", "/candidates/0/content/parts/0/functionCall/args"),
    ];
    for (dialect, streamed, whole) in table {
        let stream = events(&play(&server, dialect, &written(), true).await);
        let arguments = match dialect {
            Dialect::Gemini => stream[0].pointer(whole).unwrap().clone(),
            _ => serde_json::from_str(&joined(&stream, streamed)).unwrap(),
        };
        assert_eq!(arguments, wanted, "{dialect:?} streamed");
        let document: Value = serde_json::from_str(&play(&server, dialect, &written(), false).await.body).unwrap();
        let arguments = match document.pointer(whole).unwrap() {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            object => object.clone(),
        };
        assert_eq!(arguments, wanted, "{dialect:?} in one document");
    }
}

#[tokio::test]
async fn an_error_status_has_the_vendors_shape_and_its_retry_after() {
    let server = ModelServer::start().await;
    let table = [
        (Dialect::Anthropic, "/error/type", json!("rate_limit_error")),
        (Dialect::Responses, "/error/code", json!("rate_limit_exceeded")),
        (Dialect::Chat, "/error/code", json!("rate_limit_exceeded")),
        (Dialect::Gemini, "/error/status", json!("RESOURCE_EXHAUSTED")),
    ];
    for (dialect, pointer, word) in table {
        // Faults are counted by directive: its own message makes each dialect's one its own.
        let message = Some(format!("{dialect:?}"));
        let script = spoken().fault(Fault::once(FaultKind::Status {
            status: 429,
            retry_after: Some(7),
            message,
        }));
        let refused = play(&server, dialect, &script, true).await;
        assert_eq!(refused.status, 429);
        assert!(refused.head.contains("retry-after: 7"), "{}", refused.head);
        let document: Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(document.pointer(pointer), Some(&word), "{dialect:?}");
        let again = play(&server, dialect, &script, true).await;
        assert_eq!(
            (again.status, again.head.contains("retry-after")),
            (200, false),
            "once means once"
        );
    }
}

#[tokio::test]
async fn a_cut_stream_ends_without_its_end() {
    let server = ModelServer::start().await;
    for dialect in DIALECTS {
        for stream in [true, false] {
            let cut = spoken().fault(Fault::forever(FaultKind::Cut { after: 1 }));
            let reply = play(&server, dialect, &cut, stream).await;
            assert_eq!((reply.status, reply.whole), (200, false), "{dialect:?} {stream}");
            assert!(!reply.body.is_empty(), "{dialect:?} {stream}");
        }
    }
}

#[tokio::test]
async fn errors_after_a_200_come_as_event_or_body() {
    let server = ModelServer::start().await;
    for dialect in DIALECTS {
        let event = spoken().fault(Fault::forever(FaultKind::ErrorEvent {
            after: 1,
            message: Some("boom".into()),
        }));
        let reply = play(&server, dialect, &event, true).await;
        let last = events(&reply).pop().unwrap();
        assert_eq!((reply.status, reply.whole), (200, true));
        assert!(last.to_string().contains("boom"), "{dialect:?}: {last}");
        let body = spoken().fault(Fault::forever(FaultKind::ErrorBody {
            message: Some("bang".into()),
        }));
        let reply = play(&server, dialect, &body, true).await;
        let document: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(
            (reply.status, &document["error"]["message"]),
            (200, &json!("bang")),
            "{dialect:?}"
        );
    }
}

#[tokio::test]
async fn usage_can_be_missing_and_arguments_broken() {
    let server = ModelServer::start().await;
    for dialect in DIALECTS {
        let usage = play(&server, dialect, &spoken(), true).await.body;
        assert!(usage.to_lowercase().contains("usage"), "{dialect:?}");
        let without = play(
            &server,
            dialect,
            &spoken().fault(Fault::forever(FaultKind::NoUsage)),
            true,
        )
        .await
        .body;
        assert!(!without.to_lowercase().contains("usage"), "{dialect:?}: {without}");
    }
    let broken = written().fault(Fault::forever(FaultKind::BadToolJson));
    let stream = events(&play(&server, Dialect::Chat, &broken, true).await);
    let arguments = joined(&stream, "/choices/0/delta/tool_calls/0/function/arguments");
    assert!(serde_json::from_str::<Value>(&arguments).is_err(), "{arguments}");
}

#[tokio::test]
async fn silence_and_drip_take_their_time() {
    let server = ModelServer::start().await;
    let begin = std::time::Instant::now();
    let late = spoken().fault(Fault::forever(FaultKind::Silence { ms: Some(120) }));
    assert_eq!(play(&server, Dialect::Chat, &late, true).await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(120));
    let begin = std::time::Instant::now();
    let slow = spoken().fault(Fault::forever(FaultKind::Drip { ms: 20 }));
    let pieces = events(&play(&server, Dialect::Chat, &slow, true).await).len();
    assert!(begin.elapsed() >= Duration::from_millis(20) * u32::try_from(pieces).unwrap());
}

#[tokio::test]
async fn unknown_paths_and_bad_bodies_are_refused_in_the_vendors_shape() {
    let server = ModelServer::start().await;
    assert_eq!(send(&server, "HEAD /", &Value::Null).await.status, 200);
    assert!(
        send(&server, "GET /v1/models", &Value::Null)
            .await
            .body
            .contains("\"list\"")
    );
    let counted = send(
        &server,
        "POST /v1/messages/count_tokens?beta=true",
        &json!({"messages": []}),
    )
    .await;
    assert!(counted.body.contains("input_tokens"));
    assert!(
        send(&server, "POST /v1beta/models/m:countTokens", &json!({}))
            .await
            .body
            .contains("totalTokens")
    );
    let lost = send(&server, "POST /v1/messages/batches", &json!({})).await;
    assert_eq!(lost.status, 404);
    assert!(lost.body.contains("not_found_error"), "{}", lost.body);
    assert!(
        send(&server, "POST /v1beta/nothing", &json!({}))
            .await
            .body
            .contains("NOT_FOUND")
    );
    assert_eq!(send(&server, "POST /v2/what", &json!({})).await.status, 404);
    let url = server.base_url();
    let torn = tokio::task::spawn_blocking(move || blocking(&url, "POST /v1/responses", "{\"model\":").unwrap())
        .await
        .unwrap();
    assert_eq!(torn.status, 400);
}

#[tokio::test]
async fn the_log_is_bounded_and_holds_no_key() {
    let server = ModelServer::start().await;
    play(&server, Dialect::Gemini, &spoken(), true).await;
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].dialect, Some(Dialect::Gemini));
    assert_eq!(asked[0].header("authorization"), Some("<redacted>"));
    assert_eq!(
        asked[0].path,
        "/v1beta/models/m:streamGenerateContent?alt=sse&key=<redacted>"
    );
    assert!(!format!("{asked:?}").contains("sk-secret"));
    for _ in 0..300 {
        send(&server, "HEAD /", &Value::Null).await;
    }
    assert_eq!((server.requests().len(), server.asked()), (256, 301));
}

#[tokio::test]
async fn a_stopped_server_takes_no_more_requests() {
    let server = ModelServer::start().await;
    let url = server.base_url();
    server.shutdown().await;
    let refused = tokio::task::spawn_blocking(move || blocking(&url, "HEAD /", ""))
        .await
        .unwrap();
    assert!(refused.is_err());
}
