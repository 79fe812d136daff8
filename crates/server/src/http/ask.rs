//! What a request says: its query, its body, the ids in its path. Whatever cannot be understood names its place.

use super::problem::Refusal;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::Response,
};
use maestria_api::problem::Code;
use serde::de::DeserializeOwned;

/// The query, as a type that takes no unknown parameters.
#[derive(Debug)]
pub(crate) struct Args<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Args<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(args)) => Ok(Self(args)),
            Err(rejection) => {
                let text =
                    std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
                Err(unreadable(&text, Code::BadValue))
            }
        }
    }
}

/// Refuses parameters where none are read.
pub(crate) async fn no_query(request: Request, next: Next) -> Result<Response, Refusal> {
    match request.uri().query() {
        Some(query) if !query.is_empty() => {
            let name = query.split(['=', '&']).next().unwrap_or_default();
            Err(Refusal::new(Code::UnknownField, "this path takes no parameters").field(name))
        }
        _ => Ok(next.run(request).await),
    }
}

/// The body, as a type that takes no unknown fields. An empty one is an empty object.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Refusal::new(Code::TooLarge, "the body is too long, or broke off"))?;
        if bytes.is_empty() {
            return object(b"{}").map(Self);
        }
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let bare = kind.split(';').next().unwrap_or_default().trim();
        if !bare.eq_ignore_ascii_case("application/json") {
            // What a foreign page may send without asking is never JSON.
            let what = format!("the content type is `{kind}`; it must be application/json");
            return Err(Refusal::new(Code::NotJson, what));
        }
        object(&bytes).map(Self)
    }
}

/// An object, as a type that takes no unknown fields.
pub(crate) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refusal> {
    // Serde would take the items of an array for an object's fields, in their order.
    if text.trim_ascii_start().first() == Some(&b'[') {
        return Err(unreadable("an array stands where an object belongs", Code::BadJson));
    }
    serde_json::from_slice(text).map_err(|error| unreadable(&error.to_string(), Code::BadJson))
}

/// Serde's sentence as a refusal: an unknown field with the nearest known one.
pub(crate) fn unreadable(text: &str, code: Code) -> Refusal {
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    if let (true, [given, known @ ..]) = (text.contains("unknown field"), &quoted[..]) {
        let nearest = known.iter().max_by(|a, b| {
            let near = |k: &str| strsim::jaro_winkler(given, k);
            near(a).total_cmp(&near(b))
        });
        let refusal = Refusal::new(Code::UnknownField, format!("nobody knows `{given}` here")).field(*given);
        return match nearest {
            Some(nearest) => refusal.hint(format!("did you mean `{nearest}`?")),
            None => refusal,
        };
    }
    let refusal = Refusal::new(code, text);
    match (text.contains("missing field"), quoted.first()) {
        (true, Some(field)) => refusal.field(*field),
        _ => refusal,
    }
}

/// A header as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A header that means something; one that cannot be read is refused, because without it the request would mean another thing.
pub(crate) fn readable<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let unreadable = |_| Refusal::new(Code::BadValue, format!("`{name}` is not written in visible ASCII")).field(name);
    value.to_str().map(Some).map_err(unreadable)
}

/// Words of a list parameter: `a,b`.
pub(crate) fn words(list: Option<&str>) -> Vec<String> {
    let words = list.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A limit within its bounds.
///
/// # Errors
/// [`Code::BadValue`].
pub(crate) fn limit(given: Option<u32>, usual: u32, most: u32) -> Result<usize, Refusal> {
    let limit = given.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        let what = format!("`limit` is {limit}; it must be 1 to {most}");
        return Err(Refusal::new(Code::BadValue, what).field("limit"));
    }
    Ok(limit as usize)
}
