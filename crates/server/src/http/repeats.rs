//! Requests that may come again: what has a key is done once.
//!
//! The key of a submission, or of an action on a run, is stored with the events that it became, in one transaction, so it
//! stands for them whatever happens to the server. Of all else the first answer is kept for as long as the server runs.

use super::{Shared, access::Caller, ask::readable, problem::Refusal};
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use maestria_api::problem::Code;
use maestria_engine::EngineError;
use maestria_kernel::{
    At, Command, RunId,
    port::{Once, Sent},
};
use ring::digest::{Context, SHA256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long a key stands for what it came with.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Answers that are kept.
const MOST: usize = 4096;

/// What the paths begin with whose requests become events of a run.
const STORED: [&str; 5] = [
    "/api/v1/runs",
    "/api/v1/decisions/",
    "/operations",
    "/api/requirements",
    "/api/control/",
];

/// The key of a request that becomes events.
pub(super) type Key = Option<Extension<Once>>;

/// The key of a request, if it has one. A key belongs to the credential it comes with.
pub(super) fn key(caller: Option<&Caller>, parts: &Parts, body: &[u8]) -> Result<Option<Once>, Refusal> {
    let Some(key) = readable(&parts.headers, "idempotency-key")? else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > 128 || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let what = "`idempotency-key` is 1 to 128 visible ASCII characters";
        return Err(Refusal::new(Code::BadValue, what).field("idempotency-key"));
    }
    // No credential's id is one of these words.
    let who = caller.map_or("nobody", |caller| caller.id.as_deref().unwrap_or("token"));
    Ok(Some(Once {
        key: fingerprint(who.as_bytes(), key.as_bytes()),
        request: fingerprint(parts.uri.to_string().as_bytes(), body),
        until: crate::now().after(KEPT),
    }))
}

/// A fingerprint of two things, the first of which has one line.
fn fingerprint(one: &[u8], other: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    for part in [one, b"\n", other] {
        context.update(part);
    }
    let hash = context.finish();
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Does a request once.
pub(super) async fn once(repeats: &Repeats, key: Once, mut request: Request, next: Next) -> Result<Response, Refusal> {
    if is_stored(request.uri().path()) {
        request.extensions_mut().insert(key);
        return Ok(next.run(request).await);
    }
    let place = repeats.place(&key, crate::now());
    let mut kept = place.lock().await;
    if kept.once.request != key.request {
        return Err(reused());
    }
    if let Some((status, headers, body)) = kept.answer.clone() {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        return Ok(response);
    }
    let response = next.run(request).await;
    // What failed may be tried again, and what is a secret is kept nowhere.
    let is_secret = response.headers().get(header::CACHE_CONTROL) == Some(&HeaderValue::from_static("no-store"));
    if is_secret || !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    kept.answer = Some((head.status, head.headers.clone(), body.clone()));
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Sends a command to a run, once.
pub(super) async fn send(shared: &Shared, run: RunId, command: Command, key: Key) -> Result<(), EngineError> {
    let once = key.map(|Extension(once)| once);
    shared.app.engine.send_once(run, command, once).await
}

fn is_stored(path: &str) -> bool {
    STORED.iter().any(|stored| path.starts_with(stored))
}

/// The run that a request under this key became, or was done with, if it came before.
pub(super) async fn known(shared: &Shared, key: &Key) -> Result<Option<RunId>, Refusal> {
    let Some(Extension(once)) = key else { return Ok(None) };
    let sent = shared.app.engine.store().sent(once.key.clone(), crate::now()).await?;
    sent.map(|sent| same(once, &sent)).transpose()
}

/// The run of an earlier request, if it was the same.
pub(super) fn same(once: &Once, sent: &Sent) -> Result<RunId, Refusal> {
    if once.is(sent) { Ok(sent.run) } else { Err(reused()) }
}

/// What is said when a key stands for another request.
pub(super) fn reused() -> Refusal {
    Refusal::new(Code::KeyReused, "this key came with another request before")
        .field("idempotency-key")
        .hint("a new request takes a new key; the same request again takes the same body, byte by byte")
}

/// The first answers to requests that may come again.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Kept>>>>);

#[derive(Debug)]
struct Kept {
    once: Once,
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

impl Repeats {
    /// The place of a key; whoever comes second waits there for the first.
    fn place(&self, key: &Once, now: At) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, place| place.try_lock().map_or(true, |kept| kept.once.until > now));
        }
        if kept.len() >= MOST {
            kept.clear();
        }
        let fresh = || {
            Arc::new(tokio::sync::Mutex::new(Kept {
                once: key.clone(),
                answer: None,
            }))
        };
        kept.entry(key.key.clone()).or_insert_with(fresh).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::operations, is_stored};
    use axum::http::Method;

    /// docs/api.md lists them: they change no run, so that no log could say what was done.
    #[test]
    fn every_post_that_acts_on_a_run_has_its_key_stored() {
        let posts = operations::all().into_iter().filter(|one| one.method == Method::POST);
        let mut remembered: Vec<&str> = posts.map(|one| one.path).filter(|path| !is_stored(path)).collect();
        remembered.sort_unstable();
        assert_eq!(
            remembered,
            [
                "/api/route-llm",
                "/api/v1/agents/probe",
                "/api/v1/gateway/route",
                "/api/v1/keys",
                "/api/v1/keys/revoke",
                "/api/v1/plans",
                "/api/v1/policies/path",
                "/api/v1/policies/test",
                "/api/v1/sign-in",
            ]
        );
    }
}
