//! Calls over HTTP/1.1 on kept connections.

use super::{
    Failure, Patience,
    line::{Exchange, Idle, Line},
};
use crate::wire::Kind;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Method, Request, Response, Uri, header::HOST, http::uri::PathAndQuery};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tower_service::Service as _;

/// The connections to all providers. Nothing is opened before the first call.
#[derive(Default)]
pub(crate) struct Client {
    idle: Arc<Idle>,
    /// Made only when it is needed: the certificates of the system are read for it.
    secure: OnceLock<Result<HttpsConnector<HttpConnector>, String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Posts a request; returns when the head of the answer is there, whatever its status.
    pub(crate) async fn post(
        &self,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
        patience: &Patience,
    ) -> Result<Response<Exchange>, Failure> {
        self.send(Method::POST, uri, headers, body, patience).await
    }

    /// Gets what costs nothing.
    pub(crate) async fn get(
        &self,
        uri: &str,
        headers: HeaderMap,
        patience: &Patience,
    ) -> Result<Response<Exchange>, Failure> {
        self.send(Method::GET, uri, headers, Bytes::new(), patience).await
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
        patience: &Patience,
    ) -> Result<Response<Exchange>, Failure> {
        let uri: Uri = uri
            .parse()
            .map_err(|_| Failure::request(format!("{uri} is no address")))?;
        let sent = async {
            // A kept connection may have been closed meanwhile; that is seen before anything is sent on it.
            let line = match self.idle.take(&uri) {
                Some(line) => line,
                None => self.connect(&uri, patience).await?,
            };
            let sent = line.send(request(method, &uri, headers, body), &self.idle).await;
            sent.map_err(|error| Failure::provider(reason("the connection failed", &error)))
        };
        match tokio::time::timeout(patience.silence, sent).await {
            Ok(answered) => answered,
            Err(_) => Err(silent(patience.silence)),
        }
    }

    async fn connect(&self, uri: &Uri, patience: &Patience) -> Result<Line, Failure> {
        let lost = |error: &(dyn Error + 'static)| Failure::provider(reason("it cannot be reached", error));
        if uri.scheme_str() == Some("https") {
            let connector = self.secure.get_or_init(|| secured(patience));
            let mut connector = connector.clone().map_err(Failure::provider)?;
            let stream = connector.call(uri.clone()).await.map_err(|e| lost(&*e))?;
            Line::open(stream, uri).await.map_err(|e| lost(&e))
        } else {
            let stream = connector(patience).call(uri.clone()).await.map_err(|e| lost(&e))?;
            Line::open(stream, uri).await.map_err(|e| lost(&e))
        }
    }
}

/// The request as it goes over a connection to its host.
fn request(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    if let Some(host) = uri
        .authority()
        .and_then(|a| a.as_str().rsplit('@').next()?.parse().ok())
    {
        request.headers_mut().insert(HOST, host);
    }
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request
}

pub(super) fn silent(patience: Duration) -> Failure {
    let message = format!("it was silent for {} seconds", patience.as_secs_f32());
    Failure::new(Kind::TimedOut, super::Blame::Provider, message)
}

fn connector(patience: &Patience) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(patience.connect));
    connector.enforce_http(false);
    connector
}

fn secured(patience: &Patience) -> Result<HttpsConnector<HttpConnector>, String> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|e| format!("the certificates of this system cannot be read: {e}"))?;
    Ok(builder.https_only().enable_http1().wrap_connector(connector(patience)))
}

/// What went wrong, without the address (it may carry secrets).
fn reason(what: &str, error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
