//! A conversation over one line: commands in; their answers, and events, out. WebSocket and Unix socket speak it alike.
//!
//! A command is a request of the API in one message. It goes through the same router as any other: who may not do a thing
//! over HTTP may not do it here. Nothing waits in memory: events are taken from the log when the reader has taken those
//! before, and commands when there is room for them.

use super::{
    Shared,
    events::{Tale, Teller, Wish},
    problem::Refusal,
    routes,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderValue, Method, Request, header},
    response::Response,
};
use maestria_api::problem::Code;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tower_service::Service;

/// The longest message that comes in: the longest body, and what is around it.
pub(super) const LONGEST: usize = super::guard::LONGEST_BODY + (64 << 10);

/// The longest answer to a command; more is asked for in pages.
const LONGEST_ANSWER: usize = 64 << 20;

/// Commands under way at once; more wait in the line.
const MOST_UNDER_WAY: usize = 16;

/// How long a reader may take to take a message; then it is cut off, and comes back after the last number it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a line with nothing to tell says that it lives.
const BEAT: Duration = Duration::from_secs(10);

/// So many messages that nobody understands, one after the other, are no conversation.
const MOST_GARBAGE: u32 = 32;

/// Where messages go out.
pub(super) trait Mouth: Send {
    /// Sends a message; comes back when the line has taken it.
    fn say(&mut self, text: String) -> impl Future<Output = io::Result<()>> + Send;
}

/// Who speaks, and with what credential.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    pub(super) credential: String,
    /// The request's own, for the log.
    pub(super) line: &'static str,
}

/// A message that comes in: exactly one of `path` and `follow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Comes back with the answer.
    #[serde(default)]
    id: Value,
    /// `GET` or `POST`; `GET` if not given.
    #[serde(default)]
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
    #[serde(default)]
    idempotency_key: Option<String>,
    /// The parameters of the stream of events.
    follow: Option<Wish>,
}

/// Speaks until one of both ends it.
pub(super) async fn hold(
    shared: Arc<Shared>,
    speaker: Speaker,
    mut heard: mpsc::Receiver<String>,
    mut mouth: impl Mouth,
    follow: Option<Wish>,
) {
    let mut stopping = shared.stopping.clone();
    let (door, credential) = (shared.clone(), speaker.credential.clone());
    let ended = door.access.ends(&credential);
    tokio::pin!(ended);
    let mut talk = Talk {
        router: routes(shared.clone()),
        shared,
        speaker,
        teller: None,
        under_way: JoinSet::new(),
        garbage: 0,
    };
    let mut answers = VecDeque::new();
    if let Some(wish) = follow {
        answers.extend(talk.follow(&Value::Null, &wish));
    }
    loop {
        while let Some(text) = answers.pop_front() {
            if !matches!(timeout(PATIENCE, mouth.say(text)).await, Ok(Ok(()))) {
                tracing::debug!(line = talk.speaker.line, "a reader is gone, or too slow");
                return;
            }
        }
        tokio::select! {
            text = heard.recv(), if talk.under_way.len() < MOST_UNDER_WAY => match text {
                Some(text) => answers.extend(talk.take(&text)),
                None => return,
            },
            Some(done) = talk.under_way.join_next() => answers.extend(done.ok()),
            tale = next(&mut talk.teller) => match tale {
                Some(tale) => answers.extend(told(&tale)),
                None => return,
            },
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = &mut ended => return,
        }
        if talk.garbage > MOST_GARBAGE {
            return;
        }
    }
}

/// The next of the stream that is followed; a beat now and then where none is.
async fn next(teller: &mut Option<Teller>) -> Option<Tale> {
    match teller {
        Some(teller) => teller.next().await,
        None => {
            tokio::time::sleep(BEAT).await;
            Some(Tale::Beat)
        }
    }
}

fn told(tale: &Tale) -> Vec<String> {
    match tale {
        Tale::Events(events) => events
            .iter()
            .map(|told| format!("{{\"event\":{}}}", told.json))
            .collect(),
        Tale::Ready(number) => vec![json!({"ready": number}).to_string()],
        Tale::Mark(number) => vec![json!({"mark": number}).to_string()],
        Tale::Beat => vec![json!({"beat": true}).to_string()],
    }
}

struct Talk {
    shared: Arc<Shared>,
    router: Router,
    speaker: Speaker,
    teller: Option<Teller>,
    under_way: JoinSet<String>,
    /// Messages that were not understood, since one that was.
    garbage: u32,
}

impl Talk {
    /// Takes a message; answers at once what need not be waited for.
    fn take(&mut self, text: &str) -> Option<String> {
        let said: Said = match super::ask::object(text.as_bytes()) {
            Ok(said) => said,
            Err(refusal) => {
                self.garbage += 1;
                return Some(self.refused(&Value::Null, &refusal));
            }
        };
        self.garbage = 0;
        match (said.path, said.follow) {
            (Some(path), None) => {
                let request = self.request(
                    &path,
                    said.method.as_deref(),
                    said.body.as_deref(),
                    said.idempotency_key,
                );
                match request {
                    Ok(request) => self.send(said.id, request),
                    Err(refusal) => return Some(self.refused(&said.id, &refusal)),
                }
                None
            }
            (None, Some(wish)) => self.follow(&said.id, &wish),
            _ => {
                let refusal =
                    Refusal::new(Code::BadValue, "exactly one of `path` and `follow` is needed").field("path");
                Some(self.refused(&said.id, &refusal))
            }
        }
    }

    /// Follows the events from now on; what was followed before is followed no more.
    fn follow(&mut self, id: &Value, wish: &Wish) -> Option<String> {
        match Teller::new(&self.shared, wish, None) {
            Ok(teller) => {
                self.teller = Some(teller);
                (!id.is_null()).then(|| json!({"id": id, "status": 200, "body": null}).to_string())
            }
            Err(refusal) => Some(self.refused(id, &refusal)),
        }
    }

    fn refused(&self, id: &Value, refusal: &Refusal) -> String {
        let document = refusal.document(self.speaker.line);
        json!({"id": id, "status": document.status, "body": document}).to_string()
    }

    fn request(
        &self,
        path: &str,
        method: Option<&str>,
        body: Option<&RawValue>,
        key: Option<String>,
    ) -> Result<Request<Body>, Refusal> {
        let method = match method {
            None | Some("GET") => Method::GET,
            Some("POST") => Method::POST,
            Some(other) => {
                let what = format!("`method` is `{other}`; it is GET or POST");
                return Err(Refusal::new(Code::BadValue, what).field("method"));
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.shared.site.host())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.speaker.credential));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.get().to_owned()));
        request.body(body).map_err(|error| {
            Refusal::new(Code::BadValue, format!("no request can be made of this: {error}")).field("path")
        })
    }

    /// Sends a request through the router; its answer comes when it comes.
    fn send(&mut self, id: Value, request: Request<Body>) {
        let mut router = self.router.clone();
        self.under_way.spawn(async move {
            let Ok(response) = Service::<Request<Body>>::call(&mut router, request).await;
            let status = response.status().as_u16();
            let body = read(response).await;
            json!({"id": id, "status": status, "body": body}).to_string()
        });
    }
}

/// The body of an answer: JSON as it is, a text as a string.
async fn read(response: Response) -> Value {
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    if kind == Some(HeaderValue::from_static("text/event-stream")) {
        return json!("`follow` gives the events on this line");
    }
    let Ok(bytes) = to_bytes(response.into_body(), LONGEST_ANSWER).await else {
        return json!("the answer is too long for one message; ask for it in pages");
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
}
