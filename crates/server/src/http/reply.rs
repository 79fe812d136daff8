//! Answers: JSON with a strong ETag.

use super::problem::Refusal;
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use maestria_api::problem::Code;
use ring::digest::{SHA256, digest};
use serde::Serialize;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

/// A value as JSON; not sent again to who has it.
pub(crate) fn json(headers: &HeaderMap, value: &impl Serialize) -> Answer {
    let text = encode(value)?;
    let tag = tag(text.as_bytes());
    Ok(tagged(headers, tag, || Bytes::from(text)))
}

/// JSON whose tag is known already; not sent again to who has it.
pub(crate) fn tagged(headers: &HeaderMap, tag: HeaderValue, body: impl FnOnce() -> Bytes) -> Response {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|given| names(given, &tag));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        plain(StatusCode::OK, body(), "application/json")
    };
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// A value as the answer to an action.
pub(crate) fn done(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(plain(status, encode(value)?, "application/json"))
}

/// A text of some type.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>, kind: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(crate) fn encode(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|e| Refusal::new(Code::Internal, e.to_string()))
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let hash = digest(&SHA256, bytes);
    let hex: String = hash.as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether a list of tags has this one.
pub(crate) fn names(given: &HeaderValue, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().unwrap_or_default();
    given.to_str().is_ok_and(|given| {
        let mut tags = given.split(',').map(|t| t.trim().trim_start_matches("W/"));
        tags.any(|t| t == tag || t == "*")
    })
}
