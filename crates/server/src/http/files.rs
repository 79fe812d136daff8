//! The dashboard's files, and what is said where there is nothing.

use super::{problem::Refusal, reply::names};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
};
use maestria_api::problem::Code;

/// Whatever is no path of the API.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let path = uri.path();
    let nothing = || Refusal::new(Code::UnknownPath, format!("there is no {path}")).hint("docs/api.md lists the paths");
    if path.starts_with("/api/") {
        return Err(nothing());
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(Refusal::method());
    }
    let file = maestria_web::find(path).ok_or_else(nothing)?;
    let tag = HeaderValue::from_str(&file.etag).map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|given| names(given, &tag));
    let mut response = Response::new(if known {
        Body::empty()
    } else {
        Body::from(Bytes::from_static(file.bytes))
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let head = response.headers_mut();
    head.insert(header::ETAG, tag);
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(maestria_web::CONTENT_SECURITY_POLICY),
    );
    head.insert("x-frame-options", HeaderValue::from_static("DENY"));
    Ok(response)
}
