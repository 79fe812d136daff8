//! Pages of other origins that may use the API: those in a person's list and no others. Each brings a credential of its own;
//! nothing that a browser keeps counts here, so nothing is ever allowed "with credentials".

use super::{ask::text, site::Site};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};

/// How long a browser may remember what it was told, in seconds.
const REMEMBERED: &str = "600";
const METHODS: &str = "GET, POST";
const HEADERS: &str = "authorization, content-type, idempotency-key, if-none-match, last-event-id, x-request-id";
/// What a page gets to see of an answer, beside what every page does.
const SHOWN: &str = "etag, location, retry-after, x-request-id";

/// The origin of a request for the API that comes from a page of the list.
pub(super) fn guest(site: &Site, path: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    (path.starts_with("/api/") && site.is_guest(origin.as_bytes())).then(|| origin.clone())
}

/// Whether a browser asks what its page may ask.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that.
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets a guest's page read an answer. Whoever keeps answers is told that others get another one.
pub(super) fn welcome(headers: &mut HeaderMap, guest: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, guest);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// Whether an action comes from a page that may do it: our own, or one of the list.
pub(super) fn may_act(site: &Site, parts: &HeaderMap, path: &str) -> bool {
    let host = text(parts, "host").unwrap_or_default();
    match parts.get(header::ORIGIN) {
        None => true,
        Some(origin) => site.is_own_page(origin.as_bytes(), host) || guest(site, path, parts).is_some(),
    }
}
