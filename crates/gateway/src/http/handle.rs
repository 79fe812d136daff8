//! One request: who asks, what for, and the answer or the failure in the client's own dialect.

use super::{
    Bounds,
    door::{self, Place},
    id,
    write::{self, Body},
};
use crate::{
    key::Who,
    question::{Question, Wanted},
    route::Wish,
    service::Service,
    wire::{Dialect, Fault, Kind},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, Request, Response, Uri,
    body::{Body as _, Incoming},
    header::HeaderValue,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tracing::Instrument as _;

/// Headers of clients that providers of the same dialect are given.
const PASSED_ON: &[&str] = &["anthropic-version", "anthropic-beta", "openai-beta"];

/// Room that is made for a body when its first part is there.
const RESERVED: usize = 1 << 20;

/// Handles the requests of all connections.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    service: Arc<Service>,
    bounds: Bounds,
}

impl Handler {
    pub(super) const fn new(service: Arc<Service>, bounds: Bounds) -> Self {
        Self { service, bounds }
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(super) async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let id = id::next(self.service.now());
        let place = door::find(request.method(), request.uri(), request.headers());
        let face = match &place {
            Place::Ask(door) => door.face,
            Place::Models(face) | Place::Model(face, _) | Place::Nowhere(face) => *face,
            Place::Decide | Place::Status | Place::Alive => Dialect::OpenAi,
        };
        // Only where somebody reads of single calls: a span costs more than some of them.
        let span = tracing::info_span!("request", request = id);
        let mut response = match self.respond(place, request, &id).instrument(span).await {
            Ok(response) => response,
            Err(fault) => {
                tracing::info!(request = id, code = fault.kind.code(), %fault, "refused");
                write::failure(face, &fault, &id)
            }
        };
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("request-id", value.clone());
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }

    async fn respond(&self, place: Place, request: Request<Incoming>, id: &str) -> Result<Response<Body>, Fault> {
        if place == Place::Alive {
            return Ok(write::json(&json!({"status": "ok"})));
        }
        let who = self.admit(request.headers(), request.uri()).await?;
        match place {
            Place::Ask(door) => {
                let (array, wanted, path) = (door.array, door.wanted, door.path());
                check_type(request.headers())?;
                let (head, body) = request.into_parts();
                let body = self.body(body).await?;
                let own = passed_on(&head.headers);
                let mut question = Question::read(id.to_owned(), self.service.now(), door, own, body)?;
                question.fresh = wants_fresh(&head.headers);
                question.door = path;
                question.trace = traced(&head.headers);
                let answered = self.service.answer(&question, &who).await;
                match answered {
                    // The provider does not count, or not in this dialect.
                    Err(fault) if wanted == Wanted::Count && fault.kind == Kind::Invalid => {
                        Ok(counted(&question).await)
                    }
                    Err(fault) => Err(fault),
                    Ok(answered) => Ok(write::answer(answered, array)),
                }
            }
            Place::Models(face) => Ok(write::json(&self.models(face))),
            Place::Model(face, model) => self.model(face, &model),
            Place::Decide => {
                let body = self.body(request.into_body()).await?;
                self.decide(&body)
            }
            Place::Status => Ok(write::json(
                &json!({"lanes": self.service.lanes(), "cache": self.service.cache_status()}),
            )),
            Place::Alive | Place::Nowhere(_) => {
                let what = format!("there is no {} {}", request.method(), request.uri().path());
                Err(Fault::new(Kind::NotFound, what))
            }
        }
    }

    /// Who asks: each dialect sends its key in a place of its own.
    async fn admit(&self, headers: &HeaderMap, uri: &Uri) -> Result<Arc<Who>, Fault> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let bearer =
            text("authorization").and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
        let query = uri
            .query()
            .and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("key=")));
        let key = text("x-api-key")
            .or(text("x-goog-api-key"))
            .or(bearer)
            .or(query)
            .map(str::trim);
        let found = self.service.whose(key).await;
        let found = found.map_err(|e| Fault::new(Kind::Internal, format!("the books cannot be read: {e}")))?;
        found.ok_or_else(|| {
            let what = match key {
                None => "a key is missing; `maestria keys create` makes one",
                Some(_) => "the key is unknown or revoked; `maestria keys list` shows those there are",
            };
            Fault::new(Kind::Unauthorised, what)
        })
    }

    /// The whole body, if it is not too long and comes in time.
    async fn body(&self, mut body: Incoming) -> Result<Bytes, Fault> {
        let too_large = || {
            Fault::new(
                Kind::TooLarge,
                format!("the body is longer than {} bytes", self.bounds.body),
            )
        };
        if body.size_hint().lower() > self.bounds.body as u64 {
            return Err(too_large());
        }
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
        let mut whole = BytesMut::new();
        loop {
            let frame = match tokio::time::timeout(self.bounds.patience, body.frame()).await {
                Err(_) => return Err(Fault::new(Kind::Invalid, "the body does not come")),
                Ok(None) => return Ok(whole.freeze()),
                Ok(Some(Err(error))) => {
                    return Err(Fault::new(Kind::Invalid, format!("the body was cut off: {error}")));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if whole.is_empty() && body.is_end_stream() {
                return Ok(data);
            }
            if whole.len() + data.len() > self.bounds.body {
                return Err(too_large());
            }
            if whole.is_empty() {
                // At once, but not more than has to come anyway: who announces much has not sent it yet.
                whole.reserve(expected.min(RESERVED));
            }
            whole.extend_from_slice(&data);
        }
    }

    fn models(&self, face: Dialect) -> Value {
        let names = self.service.core.known();
        let names: Vec<&String> = names.iter().filter(|n| !n.ends_with("/*")).collect();
        match face {
            Dialect::Anthropic => json!({
                "data": names.iter().map(|n| entry(face, n)).collect::<Vec<_>>(),
                "has_more": false, "first_id": names.first(), "last_id": names.last(),
            }),
            Dialect::Gemini => json!({"models": names.iter().map(|n| entry(face, n)).collect::<Vec<_>>()}),
            Dialect::OpenAi | Dialect::Responses => {
                json!({"object": "list", "data": names.iter().map(|n| entry(face, n)).collect::<Vec<_>>()})
            }
        }
    }

    fn model(&self, face: Dialect, model: &str) -> Result<Response<Body>, Fault> {
        let core = &self.service.core;
        if core.targets_named(model).is_empty() && core.route_named(model).is_none() {
            let known = core.known().join(", ");
            return Err(Fault::new(
                Kind::NotFound,
                format!("no model `{model}` is configured; there are: {known}"),
            ));
        }
        Ok(write::json(&entry(face, model)))
    }

    fn decide(&self, body: &Bytes) -> Result<Response<Body>, Fault> {
        let wish: RouteWish = serde_json::from_slice(body).map_err(|e| Fault::new(Kind::Invalid, e.to_string()))?;
        let need = |name: &str| wish.needs.iter().any(|n| n == name);
        if let Some(unknown) = wish.needs.iter().find(|n| !NEEDS.contains(&n.as_str())) {
            let what = format!("`needs`: `{unknown}` is none of {}", NEEDS.join(", "));
            return Err(Fault::new(Kind::Invalid, what));
        }
        let decision = self.service.explain(&Wish {
            tools: need("tools"),
            vision: need("vision"),
            json: need("json"),
            prompt: wish.prompt,
            system: wish.system,
            route: wish.model.unwrap_or_else(|| "auto".to_owned()),
            context: wish.context,
            max_tokens: wish.max_tokens,
        });
        let decision = decision.map_err(|lost| Fault::new(Kind::NotFound, lost.to_string()))?;
        serde_json::to_value(decision)
            .map(|value| write::json(&value))
            .map_err(|e| Fault::new(Kind::Internal, e.to_string()))
    }
}

/// What a request may need.
const NEEDS: &[&str] = &["tools", "vision", "json"];

/// The body of `POST /api/route-llm`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteWish {
    prompt: String,
    #[serde(default)]
    system: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    context: u64,
    #[serde(default)]
    max_tokens: Option<u64>,
}

fn entry(face: Dialect, name: &str) -> Value {
    match face {
        Dialect::Anthropic => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
        }
        Dialect::Gemini => json!({
            "name": format!("models/{name}"), "displayName": name,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        }),
        Dialect::OpenAi | Dialect::Responses => {
            let owner = name.split('/').next().unwrap_or_default();
            json!({"id": name, "object": "model", "created": 0, "owned_by": owner})
        }
    }
}

/// The tokens of a request, counted here; of one that cannot be read, about a fourth of its bytes.
async fn counted(question: &Question) -> Response<Body> {
    let counted = question.count().await;
    let tokens = counted.map_or(question.body.len().div_ceil(4) as u64, |c| c.at_most(&question.model));
    write::json(&match question.face {
        Dialect::Gemini => json!({"totalTokens": tokens}),
        Dialect::Anthropic | Dialect::OpenAi | Dialect::Responses => json!({"input_tokens": tokens}),
    })
}

fn check_type(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = headers
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let bare = kind.split(';').next().unwrap_or_default().trim();
    if bare.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    // What pages in a browser may send without asking is never JSON, so none of them gets in.
    Err(Fault::new(
        Kind::Invalid,
        format!("the content type is `{kind}`; it must be application/json"),
    ))
}

/// Whether no answer of the cache will do.
fn wants_fresh(headers: &HeaderMap) -> bool {
    let wish = headers.get("cache-control").and_then(|v| v.to_str().ok());
    wish.is_some_and(|wish| wish.contains("no-cache") || wish.contains("no-store"))
}

/// The trace that the client is in.
fn traced(headers: &HeaderMap) -> Option<maestria_kernel::trace::Place> {
    let mut given = headers.get_all("traceparent").iter();
    // Two of them say nothing.
    let (Some(one), None) = (given.next(), given.next()) else {
        return None;
    };
    maestria_kernel::trace::Place::parse(one.to_str().ok()?.trim())
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::new();
    for name in PASSED_ON {
        if let Some(value) = headers.get(*name) {
            own.insert(*name, value.clone());
        }
    }
    own
}
