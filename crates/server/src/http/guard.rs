//! What every request meets before and after its handler: whether it is meant for us, who asks, whether it came before;
//! and what is said when it was refused.

use super::{Shared, State, access::Caller, ask::text, cors, problem::Refusal, repeats, site::Site};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use maestria_api::{meta::Role, problem::Code};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::Instrument as _;

/// The longest body; a task text is at most a MiB, escaped.
pub(super) const LONGEST_BODY: usize = 4 << 20;

/// Of a longer one so much is read and thrown away: a client that is cut off while it sends does not hear why.
const LONGEST_READ: usize = 64 << 20;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets a request through, or says why not.
pub(super) async fn guard(shared: State, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let (is_api, is_secure) = (request.uri().path().starts_with("/api/"), shared.site.is_secure());
    let guest = cors::guest(&shared.site, request.uri().path(), request.headers());
    // Whatever is logged meanwhile says of which request.
    let span = tracing::error_span!("request", request = id);
    let mut response = match admit(&shared.0, request, next).instrument(span).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        if refusal.code == Code::Internal {
            tracing::error!(request = id, detail = refusal.detail, "a request failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = refusal.respond(&id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Some(guest) = guest {
        cors::welcome(headers, guest);
    }
    if is_secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// The client's id of the request, if it is a decent one; else ours.
fn request_id(headers: &HeaderMap) -> String {
    let decent = |id: &&str| !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic());
    text(headers, "x-request-id")
        .filter(decent)
        .map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned)
}

async fn admit(shared: &Arc<Shared>, request: Request, next: Next) -> Result<Response, Refusal> {
    check_host(&shared.site, request.headers())?;
    let is_guest = cors::guest(&shared.site, request.uri().path(), request.headers()).is_some();
    if is_guest && cors::is_preflight(request.method(), request.headers()) {
        return Ok(cors::preflight());
    }
    check_origin(&shared.site, &request)?;
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let caller = match guarded(path) {
        Some(place) => {
            let caller = identify(shared, &parts.headers)?;
            let needed = needed(&parts.method, place);
            if caller.role < needed {
                let what = format!(
                    "`{}` is {}; this takes {}",
                    caller.name,
                    caller.role.as_str(),
                    needed.as_str()
                );
                return Err(Refusal::new(Code::Forbidden, what));
            }
            keep_pace(shared, &caller)?;
            Some(caller)
        }
        _ => None,
    };
    let bytes = match parts.method {
        Method::POST => Some(whole(body).await?),
        _ => None,
    };
    let key = match &bytes {
        Some(bytes) => repeats::key(caller.as_ref(), &parts, bytes)?,
        None => None,
    };
    if let Some(caller) = caller {
        parts.extensions.insert(caller);
    }
    let request = Request::from_parts(parts, bytes.map_or_else(Body::empty, Body::from));
    match key {
        Some(key) => repeats::once(&shared.repeats, key, request, next).await,
        None => Ok(next.run(request).await),
    }
}

/// The place that a path names, if it takes a credential. Everything does but health, the exchange of a code and the
/// dashboard's own files.
pub(super) fn guarded(path: &str) -> Option<&str> {
    let place = path.strip_prefix("/api/v1").unwrap_or(path);
    let is_open = matches!(path, "/api/v1/health" | "/api/v1/sign-in");
    let flat = ["/operations", "/escalations", "/metrics", "/ws"];
    let is_ours = path.starts_with("/api/") || flat.iter().any(|flat| path.starts_with(flat));
    (is_ours && !is_open).then_some(place)
}

/// The role that a path takes.
pub(super) fn needed(method: &Method, place: &str) -> Role {
    match place {
        "/config" | "/audit" | "/audit/verify" | "/keys" | "/keys/revoke" => Role::Admin,
        "/policies/test" | "/policies/path" | "/gateway/route" | "/api/route-llm" => Role::Viewer,
        _ if matches!(*method, Method::GET | Method::HEAD) => Role::Viewer,
        _ => Role::Operator,
    }
}

/// Nobody but the token's owner may ask without end.
fn keep_pace(shared: &Shared, caller: &Caller) -> Result<(), Refusal> {
    let Some(id) = &caller.id else { return Ok(()) };
    shared.pace.take(id, Instant::now()).map_err(|wait| {
        let what = "this credential asks too often; `requests_per_second` of [server] is the most, twice that at once";
        Refusal {
            after: Some(wait.as_secs() + 1),
            ..Refusal::new(Code::RateLimited, what)
        }
    })
}

fn identify(shared: &Shared, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let caller = credential(headers).and_then(|credential| shared.access.whose(credential, crate::now()));
    caller.ok_or_else(Refusal::unauthorised)
}

/// The credential of a request. A page cannot name one when it opens a WebSocket, but it can name protocols: it is the one
/// after `bearer.`, which is never chosen and so never sent back.
pub(super) fn credential(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = text(headers, "authorization") {
        let (scheme, credential) = value.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(credential.trim());
    }
    if !is_upgrade(headers) {
        return None;
    }
    let protocols = text(headers, "sec-websocket-protocol")?.split(',');
    protocols
        .map(str::trim)
        .find_map(|protocol| protocol.strip_prefix("bearer."))
}

/// Whether a conversation is to be opened, which can do whatever its speaker may.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn check_host(site: &Site, headers: &HeaderMap) -> Result<(), Refusal> {
    if site.is_ours(text(headers, "host").unwrap_or_default()) {
        return Ok(());
    }
    // The same words whatever was asked for.
    Err(Refusal::new(Code::ForeignHost, "this server goes by other names").hint("`hosts` of [server] gives it more"))
}

/// Actions come from our own pages, from those of guests, or from programs, which name no origin.
fn check_origin(site: &Site, request: &Request) -> Result<(), Refusal> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && !is_upgrade(request.headers());
    if reads || cors::may_act(site, request.headers(), request.uri().path()) {
        return Ok(());
    }
    let refusal = Refusal::new(Code::ForeignOrigin, "this takes requests of its own pages only");
    Err(refusal.hint("`cors` of [server] lists origins whose pages may use the API"))
}

/// The whole body, if it is not too long and comes in time.
async fn whole(body: Body) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(Code::TooLarge, format!("the body is longer than {LONGEST_BODY} bytes"));
    let reading = async {
        let (mut body, mut whole, mut length) = (body, Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let data = match frame.map(Frame::into_data) {
                Ok(Ok(data)) => data,
                Ok(Err(_)) => continue,
                Err(error) => return Err(Refusal::new(Code::BadJson, format!("the body broke off: {error}"))),
            };
            length += data.len();
            if length <= LONGEST_BODY {
                whole.extend_from_slice(&data);
            } else if length > LONGEST_READ {
                break;
            }
        }
        if length > LONGEST_BODY {
            return Err(too_large());
        }
        Ok(Bytes::from(whole))
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::new(Code::BadJson, "the body does not come")),
    }
}

#[cfg(test)]
mod tests;
