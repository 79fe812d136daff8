//! HTTP: routes, then puts a reply and its fault on the wire.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ask::Ask;
use super::book::{Book, Reply};
use super::dialect::Dialect;
use super::log::{Asked, Log};
use super::script::FaultKind;
use super::stream::{End, Pieces};

type Answered = Response<BoxBody<Bytes, io::Error>>;

/// What all connections of one server share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    book: Mutex<Book>,
    log: Mutex<Log>,
}

impl Shared {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a request leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Generate(Dialect),
    CountTokens(Dialect),
    Embed,
    Models(Dialect),
    Alive,
    Unknown(Dialect),
}

/// Serves until the task is aborted; connections end with it.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = Arc::clone(&shared);
                        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
                    });
                    // A client that hangs up is its own business.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Answered {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    let path = head.uri.path().to_owned();
    let route = route(&head.method, &path, &head.headers);
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
    let dialect = match route {
        Route::Generate(dialect) | Route::CountTokens(dialect) => Some(dialect),
        Route::Models(_) | Route::Embed | Route::Alive | Route::Unknown(_) => None,
    };
    let seen = parsed.as_ref().unwrap_or(&Value::Null);
    shared
        .log()
        .push(Asked::new(head.method.as_str(), &target, &head.headers, seen, dialect));
    match (route, parsed) {
        (Route::Alive, _) => document(StatusCode::OK, &json!({"status": "ok"})),
        (Route::Embed, Ok(body)) => match super::embed::vectors(&body) {
            Some(vectors) => document(StatusCode::OK, &vectors),
            None => refusal(Dialect::Chat, 400, "'$.input' is invalid"),
        },
        (Route::Embed, Err(error)) => refusal(Dialect::Chat, 400, &format!("body is not JSON: {error}")),
        (Route::Models(dialect), _) => document(StatusCode::OK, &models(dialect)),
        (Route::Unknown(dialect), _) => refusal(dialect, 404, &format!("no such path: {} {path}", head.method)),
        (Route::Generate(dialect) | Route::CountTokens(dialect), Err(error)) => {
            refusal(dialect, 400, &format!("body is not JSON: {error}"))
        }
        (Route::CountTokens(dialect), Ok(_)) => document(StatusCode::OK, &counted(dialect, bytes.len())),
        (Route::Generate(dialect), Ok(body)) => {
            let ask = dialect.read(&path, &body);
            let reply = shared.book().reply(&ask);
            perform(&ask, &reply).await
        }
    }
}

fn route(method: &Method, path: &str, headers: &hyper::HeaderMap) -> Route {
    let vendor = if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else if path.starts_with("/v1beta") {
        Dialect::Gemini
    } else {
        Dialect::Chat
    };
    if method == Method::HEAD && path == "/" {
        return Route::Alive;
    }
    if method == Method::GET && matches!(path, "/v1/models" | "/v1beta/models") {
        return Route::Models(vendor);
    }
    if method != Method::POST {
        return Route::Unknown(vendor);
    }
    match path {
        "/v1/messages" => Route::Generate(Dialect::Anthropic),
        "/v1/messages/count_tokens" => Route::CountTokens(Dialect::Anthropic),
        "/v1/embeddings" => Route::Embed,
        "/v1/responses" => Route::Generate(Dialect::Responses),
        "/v1/chat/completions" => Route::Generate(Dialect::Chat),
        _ => match path
            .strip_prefix("/v1beta/models/")
            .and_then(|rest| rest.rsplit_once(':'))
        {
            Some((_, "generateContent" | "streamGenerateContent")) => Route::Generate(Dialect::Gemini),
            Some((_, "countTokens")) => Route::CountTokens(Dialect::Gemini),
            _ if path.starts_with("/v1/messages") => Route::Unknown(Dialect::Anthropic),
            _ => Route::Unknown(vendor),
        },
    }
}

async fn perform(ask: &Ask, reply: &Reply) -> Answered {
    let dialect = ask.dialect;
    match &reply.fault {
        Some(FaultKind::Status {
            status,
            retry_after,
            message,
        }) => {
            let text = message.clone().unwrap_or_else(|| format!("scripted {status}"));
            let mut refused = refusal(dialect, *status, &text);
            if let Some(seconds) = retry_after {
                refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            refused
        }
        Some(FaultKind::ErrorBody { message }) => document(
            StatusCode::OK,
            &dialect.error(500, message.as_deref().unwrap_or("scripted error")),
        ),
        Some(FaultKind::Silence { ms: None }) => std::future::pending().await,
        Some(FaultKind::Silence { ms: Some(ms) }) => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            send(ask, reply, Duration::ZERO, End::Whole, None)
        }
        Some(FaultKind::Drip { ms }) => send(ask, reply, Duration::from_millis(*ms), End::Whole, None),
        Some(FaultKind::Cut { after }) => send(ask, reply, Duration::ZERO, End::Cut, Some((*after, None))),
        Some(FaultKind::ErrorEvent { after, message }) => {
            let frame = dialect.error_frame(message.as_deref().unwrap_or("scripted error"));
            send(ask, reply, Duration::ZERO, End::Whole, Some((*after, Some(frame))))
        }
        Some(FaultKind::BadToolJson | FaultKind::NoUsage) | None => send(ask, reply, Duration::ZERO, End::Whole, None),
    }
}

/// Sends the answer; `stop` ends it after so many pieces, with a last one in place of the rest.
fn send(ask: &Ask, reply: &Reply, pause: Duration, end: End, stop: Option<(usize, Option<String>)>) -> Answered {
    let mut pieces = if ask.stream {
        ask.dialect.frames(ask, &reply.answer)
    } else {
        // In two halves, so that a cut has a middle.
        let whole = ask.dialect.document(ask, &reply.answer).to_string();
        let mut middle = whole.len() / 2;
        while !whole.is_char_boundary(middle) {
            middle -= 1;
        }
        vec![whole[..middle].to_owned(), whole[middle..].to_owned()]
    };
    if let Some((after, last)) = stop {
        // A cut always loses something, even where fewer pieces were to be sent.
        pieces.truncate(after.min(pieces.len().saturating_sub(1)));
        pieces.extend(last);
    }
    let kind = if ask.stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    let bytes = pieces.into_iter().map(Bytes::from).collect();
    with_type(Response::new(Pieces::send(bytes, pause, end).boxed()), kind)
}

fn refusal(dialect: Dialect, status: u16, message: &str) -> Answered {
    document(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &dialect.error(status, message),
    )
}

fn document(status: StatusCode, value: &Value) -> Answered {
    let body = Full::new(Bytes::from(value.to_string()))
        .map_err(|never| match never {})
        .boxed();
    let mut response = with_type(Response::new(body), "application/json");
    *response.status_mut() = status;
    response
}

fn with_type(mut response: Answered, kind: &'static str) -> Answered {
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn models(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Anthropic => json!({
            "data": [{"type": "model", "id": "scripted", "display_name": "Scripted", "created_at": "2000-01-01T00:00:00Z"}],
            "has_more": false, "first_id": "scripted", "last_id": "scripted",
        }),
        Dialect::Gemini => {
            json!({"models": [{"name": "models/scripted", "supportedGenerationMethods": ["generateContent"]}]})
        }
        Dialect::Responses | Dialect::Chat => json!({
            "object": "list", "data": [{"id": "scripted", "object": "model", "created": 946_684_800, "owned_by": "testkit"}],
        }),
    }
}

fn counted(dialect: Dialect, bytes: usize) -> Value {
    match dialect {
        Dialect::Gemini => json!({"totalTokens": bytes / 4}),
        Dialect::Anthropic | Dialect::Responses | Dialect::Chat => json!({"input_tokens": bytes / 4}),
    }
}
