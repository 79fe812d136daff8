//! Calls over HTTP/1.1 with kept connections.

use super::{Failure, Patience};
use crate::wire::Kind;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request, Response, body::Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{error::Error, fmt, sync::OnceLock, time::Duration};

type Https = Pool<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Plain = Pool<HttpConnector, Full<Bytes>>;

/// The connections to all providers. Nothing is opened before the first call.
#[derive(Default)]
pub(crate) struct Client {
    plain: OnceLock<Plain>,
    /// Made only when it is needed: the certificates of the system are read for it.
    secure: OnceLock<Result<Https, String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Sends a request; returns when the head of the answer is there, whatever its status.
    pub(crate) async fn post(
        &self,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
        patience: &Patience,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = uri
            .parse()
            .map_err(|_| Failure::request(format!("{uri} is no address")))?;
        *request.headers_mut() = headers;
        let secure = request.uri().scheme_str() == Some("https");
        let sent = async {
            if secure {
                let pool = self.secure.get_or_init(|| secured(patience)).as_ref();
                pool.map_err(|what| Failure::provider(what.clone()))?
                    .request(request)
                    .await
            } else {
                self.plain
                    .get_or_init(|| pool(connector(patience)))
                    .request(request)
                    .await
            }
            .map_err(|error| Failure::provider(reason(&error)))
        };
        match tokio::time::timeout(patience.silence, sent).await {
            Ok(answered) => answered,
            Err(_) => Err(silent(patience.silence)),
        }
    }
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

fn pool<C>(connector: C) -> Pool<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Pool::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .build(connector)
}

fn secured(patience: &Patience) -> Result<Https, String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|e| format!("the certificates of this system cannot be read: {e}"))?
        .https_only()
        .enable_http1()
        .wrap_connector(connector(patience));
    Ok(pool(connector))
}

/// What went wrong, without the address (it may carry secrets).
fn reason(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = if error.is_connect() {
        "it cannot be reached".to_owned()
    } else {
        "the connection failed".to_owned()
    };
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
