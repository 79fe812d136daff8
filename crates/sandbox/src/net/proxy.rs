//! The proxy with a list: `CONNECT host:port` and nothing else. The name is looked up here, once, and the connection goes to
//! the very address that was looked at.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::strangers::{Stranger, Strangers};
use crate::profile::{Endpoint, is_host};

/// The longest request head, bytes.
const HEAD: usize = 8 << 10;
/// How long a client may take to say what it wants, and a server to accept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers a request; the connection to the far side when it is on the list. What is refused is noted.
pub(super) async fn open(
    client: &mut TcpStream,
    endpoints: &[Endpoint],
    strangers: &Strangers,
) -> io::Result<Option<TcpStream>> {
    let asked = tokio::time::timeout(PATIENCE, read_head(client)).await??;
    let refusal = match request(&asked) {
        Err(Refusal::OnlyConnect(Some((host, port))))
            if !endpoints.iter().any(|endpoint| endpoint.fits(&host, port)) =>
        {
            Refusal::NotListed(format!("{host}:{port}"))
        }
        Ok((host, port)) => match reach(&host, port, endpoints).await {
            Ok(far) => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                return Ok(Some(far));
            }
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    if let Some(stranger) = refusal.stranger() {
        strangers.note(stranger);
    }
    client.write_all(refusal.answer().as_bytes()).await?;
    client.shutdown().await?;
    Ok(None)
}

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    /// Plain HTTP, and to whom.
    OnlyConnect(Option<(String, u16)>),
    NotListed(String),
    Inward(String),
    Unreachable(String),
}

impl Refusal {
    /// Whom the worker wanted to reach and may not.
    fn stranger(&self) -> Option<Stranger> {
        let (host, rule, because) = match self {
            Self::NotListed(host) => (host, "network.list", "the host is not on the worker's network list"),
            Self::Inward(host) => (host, "network.inward", "the host's name leads to a private address"),
            Self::Malformed | Self::OnlyConnect(_) | Self::Unreachable(_) => return None,
        };
        Some(Stranger {
            host: host.clone(),
            rule,
            because,
        })
    }

    fn answer(&self) -> String {
        let (status, text) = match self {
            Self::Malformed => ("400 Bad Request", "the request cannot be read".to_owned()),
            Self::OnlyConnect(_) => (
                "405 Method Not Allowed",
                "this proxy only takes CONNECT; use https".to_owned(),
            ),
            Self::NotListed(host) => (
                "403 Forbidden",
                format!("{host} is not on this worker's network list; a person can add it to `network` of its agent"),
            ),
            Self::Inward(host) => (
                "403 Forbidden",
                format!("{host} leads to a private address, which only a list that names the address allows"),
            ),
            Self::Unreachable(host) => ("502 Bad Gateway", format!("{host} cannot be reached")),
        };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
            text.len() + 1
        )
    }
}

/// Reads to the end of the head and not a byte further: what follows belongs to the far side.
async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD {
            return Ok(Vec::new());
        }
        head.push(client.read_u8().await?);
    }
    Ok(head)
}

/// The host and port that a request asks for.
pub(super) fn request(head: &[u8]) -> Result<(String, u16), Refusal> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::Malformed)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::Malformed);
    }
    if method != "CONNECT" {
        return Err(Refusal::OnlyConnect(plain(target)));
    }
    host_and_port(target)
}

/// Whom a request over plain HTTP is for.
fn plain(target: &str) -> Option<(String, u16)> {
    let (scheme, rest) = target.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => return None,
    };
    host_and_port(authority)
        .or_else(|_| host_and_port(&format!("{authority}:{usual}")))
        .ok()
}

fn host_and_port(target: &str) -> Result<(String, u16), Refusal> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let (host, port) = target.rsplit_once(':').ok_or(Refusal::Malformed)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or(Refusal::Malformed)?;
    if !is_host(host) {
        return Err(Refusal::Malformed);
    }
    Ok((host.to_owned(), port))
}

async fn reach(host: &str, port: u16, endpoints: &[Endpoint]) -> Result<TcpStream, Refusal> {
    let shown = || format!("{host}:{port}");
    if !endpoints.iter().any(|endpoint| endpoint.fits(host, port)) {
        return Err(Refusal::NotListed(shown()));
    }
    let named = host.parse::<IpAddr>().is_ok();
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        _ => return Err(Refusal::Unreachable(shown())),
    };
    // One inward address is enough to refuse: a name that mixes them is made to be tried until it leads inward.
    if !named && addresses.iter().any(|address| !is_global(address.ip())) {
        return Err(Refusal::Inward(shown()));
    }
    match tokio::time::timeout(PATIENCE, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(far)) => Ok(far),
        _ => Err(Refusal::Unreachable(shown())),
    }
}

/// Whether an address belongs to the public network.
pub(super) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || first == 0
                || first >= 240
                || (first == 100 && second & 0xc0 == 64)
                || (first == 192 && second == 0 && third == 0)
                || (first == 192 && second == 88 && third == 99)
                || (first == 198 && second & 0xfe == 18))
        }
        IpAddr::V6(address) => {
            let parts = address.segments();
            // Only the global unicast range, without what carries an IPv4 address inside or is for documentation.
            parts[0] & 0xe000 == 0x2000
                && parts[0] != 0x2002
                && !(parts[0] == 0x2001 && (parts[1] == 0 || parts[1] == 0xdb8))
                && !(parts[0] == 0x3fff && parts[1] < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests;
