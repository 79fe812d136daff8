//! Where a server is: `http://127.0.0.1:8090`, `https://build.example:8443/behind/a/proxy`.

use super::ClientError;
use hyper::{Uri, http::uri::Authority};
use std::{fmt, net::IpAddr};

/// A server's address, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    scheme: &'static str,
    authority: Authority,
    prefix: String,
}

impl Address {
    pub(super) fn parse(given: &str) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Address {
            // A password has no place there, and is not repeated.
            given: match given.rsplit_once('@') {
                Some((_, host)) => format!("…@{host}"),
                None => given.to_owned(),
            },
            why: why.to_owned(),
        };
        let uri: Uri = given.trim().parse().map_err(|_| wrong("it cannot be read"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            Some(_) => return Err(wrong("only http and https are spoken")),
            None => return Err(wrong("it does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(wrong("the credential has no place in it"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        Ok(Self {
            scheme,
            authority,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether it is on this machine, whatever any name server says.
    pub(super) fn is_near(&self) -> bool {
        let host = self.authority.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The address of a path.
    pub(super) fn to(&self, path: &str) -> Result<Uri, ClientError> {
        let given = format!("{self}{path}");
        given.parse().map_err(|_| ClientError::Address {
            given,
            why: "it cannot be read".to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}
