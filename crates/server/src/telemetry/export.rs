//! Sending to a collector over OTLP/HTTP, by the specification's rules of what may be tried again
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).

use super::otlp;
use crate::config::TelemetryTable;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{sync::OnceLock, time::Duration};

/// How long a collector may take to answer; the specification's default.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most of an answer that is read.
const ANSWER: usize = 64 << 10;

/// The longest that a collector may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What became of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was taken, but for so many spans.
    Taken { rejected: usize },
    /// It will never be taken.
    Refused(String),
    /// It may be taken later, perhaps not before so long.
    Later(String, Option<Duration>),
}

/// A collector.
pub(super) struct Exporter {
    uri: Uri,
    headers: HeaderMap,
    /// Made only when it is needed: the certificates of the system are read for it.
    client: OnceLock<Result<Line, String>>,
}

type Line = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl std::fmt::Debug for Exporter {
    /// Without the headers: they hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl Exporter {
    /// The configured collector, if there is one.
    pub(super) fn new(table: &TelemetryTable) -> Option<Self> {
        // The configuration has checked that it is an address.
        let uri = format!("{}/v1/traces", table.endpoint.as_ref()?.trim_end_matches('/'));
        let mut headers = HeaderMap::new();
        for (name, value) in &table.headers {
            let pair = (HeaderName::try_from(name), HeaderValue::try_from(value.reveal()));
            if let (Ok(name), Ok(mut value)) = pair {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let agent = concat!("maestria/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        Some(Self {
            uri: uri.parse().ok()?,
            headers,
            client: OnceLock::new(),
        })
    }

    /// Sends a body once.
    pub(super) async fn send(&self, body: Bytes) -> Sent {
        match tokio::time::timeout(PATIENCE, self.post(body)).await {
            Ok(Ok(response)) => judged(response).await,
            Ok(Err(error)) => Sent::Later(error, None),
            Err(_) => Sent::Later("the collector does not answer".to_owned(), None),
        }
    }

    async fn post(&self, body: Bytes) -> Result<Response<Incoming>, String> {
        let client = self.client.get_or_init(connect).as_ref()?;
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = self.headers.clone();
        let answered = client.request(request).await;
        answered.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }
}

fn connect() -> Result<Line, String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("the system's certificates cannot be read: {error}"))?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn judged(response: Response<Incoming>) -> Sent {
    let (head, body) = response.into_parts();
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, ANSWER).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        // The status has said what matters.
        _ => Bytes::new(),
    };
    if head.status.is_success() {
        let rejected = otlp::rejected(&body);
        if let Some((count, why)) = &rejected {
            tracing::warn!(count, why, "the collector has thrown spans away");
        }
        let rejected = rejected.map_or(0, |(count, _)| count);
        return Sent::Taken { rejected };
    }
    let told = format!("the collector answers {}", head.status);
    match head.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Sent::Later(told, wait(&head.headers)),
        _ => Sent::Refused(told),
    }
}

/// How long the collector wants to be left alone, if it says so in seconds.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
