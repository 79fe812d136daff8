//! The typed client of `/api/v1`: one method a path, problems as typed errors, streams that go on where they were cut off.
//!
//! It never follows a redirect, so that the token reaches nobody but the server that was named, and it speaks plain http
//! only within this machine unless it is told otherwise.

mod address;
mod error;
mod exchange;
mod paths;
mod query;
mod stream;
mod trust;

pub use error::{ClientError, Refusal};
pub use exchange::Pieces;
pub use paths::{Act, AuditQuery, RunQuery};
pub use stream::{EventStream, Tale, Wanted};

use address::Address;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody uses; the server would keep it longer.
const KEPT: Duration = Duration::from_secs(20);

/// Whom to speak to, and how.
#[derive(Clone, Default)]
pub struct Access {
    /// What its addresses begin with: `https://build.example:8443`.
    pub server: String,
    /// The credential.
    pub token: String,
    /// Certificates (PEM) of who signed the server's, instead of those that this system trusts.
    pub authority: Option<PathBuf>,
    /// Speak http to other machines, too: whoever is on the way can then read the token.
    pub allow_plain: bool,
}

impl fmt::Debug for Access {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Whether that is an address, and one that may be spoken to so. Nothing is connected or read.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Plain`].
    pub fn check(&self) -> Result<(), ClientError> {
        self.address().map(drop)
    }

    fn address(&self) -> Result<Address, ClientError> {
        let address = Address::parse(&self.server)?;
        if address.is_secure() || address.is_near() || self.allow_plain {
            return Ok(address);
        }
        Err(ClientError::Plain {
            server: address.to_string(),
        })
    }
}

type Http = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A server, as its callers see it. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: Address,
    credential: HeaderValue,
    http: Http,
    /// It has answered before, so that it is there, if perhaps not now.
    answered: AtomicBool,
}

impl fmt::Debug for Client {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client; nothing is connected before the first request.
    ///
    /// # Errors
    /// [`ClientError`] when the address, the token or the certificates cannot be used.
    pub fn new(access: &Access) -> Result<Self, ClientError> {
        let address = access.address()?;
        let mut credential = HeaderValue::from_str(&format!("Bearer {}", access.token)).map_err(|_| {
            // What it is made of is nobody's business.
            ClientError::Token("it holds more than visible ASCII characters".to_owned())
        })?;
        credential.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        connector.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(trust::terms(&address, access.authority.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .build(connector);
        Ok(Self(Arc::new(Inner {
            address,
            credential,
            http,
            answered: AtomicBool::new(false),
        })))
    }

    /// What the server's addresses begin with.
    pub fn server(&self) -> String {
        self.0.address.to_string()
    }
}

#[cfg(test)]
mod tests;
