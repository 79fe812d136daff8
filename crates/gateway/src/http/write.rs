//! Responses.

use crate::{
    question::in_header,
    relay::Relay,
    service::{Answered, Body as Told},
    wire::{Dialect, Fault, Kind},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value;
use std::{borrow::Cow, convert::Infallible};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A whole body.
fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static(kind));
    response
}

/// A JSON document.
pub(super) fn json(value: &Value) -> Response<Body> {
    whole(StatusCode::OK, JSON, value.to_string().into())
}

/// A failure in the client's dialect.
pub(super) fn failure(face: Dialect, fault: &Fault, request: &str) -> Response<Body> {
    let status = StatusCode::from_u16(fault.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = whole(status, JSON, face.error(fault, request).to_string().into());
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    if fault.kind == Kind::TooLarge {
        // The rest of the body is not read.
        response
            .headers_mut()
            .insert("connection", HeaderValue::from_static("close"));
    }
    response
}

/// An answer.
pub(super) fn answer(answered: Answered, array: bool) -> Response<Body> {
    let Answered {
        model,
        reason,
        losses,
        cache,
        body,
    } = answered;
    let events = if array { JSON } else { EVENTS };
    let mut response = match body {
        Told::Whole(bytes) => whole(StatusCode::OK, JSON, bytes),
        Told::Told(bytes) => whole(StatusCode::OK, events, bytes),
        Told::Coming(relay) => {
            let mut response = whole(StatusCode::OK, events, Bytes::new());
            *response.body_mut() = coming(relay);
            response
                .headers_mut()
                .insert("cache-control", HeaderValue::from_static("no-cache"));
            response
        }
    };
    let mut tell = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    tell("x-maestria-model", &model);
    tell("x-maestria-reason", &printable(&reason));
    if let Some(cache) = cache {
        tell("x-maestria-cache", &cache);
    }
    if !losses.is_empty() {
        tell("x-maestria-dropped", &in_header(&losses));
    }
    response
}

/// The longest sentence in a header.
const SENTENCE: usize = 600;

/// A sentence as a header can carry it.
fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= SENTENCE && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Cow::Borrowed(text);
    }
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    Cow::Owned(text.chars().map(printable).take(SENTENCE).collect())
}

/// A body that asks the provider for more only when the client has taken what there was.
fn coming(relay: Box<Relay>) -> Body {
    let stream = futures_util::stream::unfold(relay, |mut relay| async move {
        let bytes = relay.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), relay))
    });
    StreamBody::new(stream).boxed_unsync()
}
