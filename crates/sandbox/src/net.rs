//! The network of a sandboxed worker: its loopback is its own, and every address on it that answers is a door of ours.
//!
//! The listening sockets are made inside the worker's network namespace and handed out to the product, which accepts there
//! and carries bytes to the one place that the door stands for. Nothing inside has to carry anything.

mod carry;
mod proxy;
mod strangers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) use carry::Carriers;
pub use strangers::Stranger;

use crate::profile::{Endpoint, Network};

/// The port of the proxy on a worker's loopback, unless it is granted to somebody else.
const PROXY_PORT: u16 = 3128;

/// What stands behind an address on the worker's loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// The same address outside.
    Straight(SocketAddr),
    /// A proxy that connects to these endpoints.
    Proxy(SocketAddr, Vec<Endpoint>),
}

/// The doors of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(pub(crate) Vec<Door>);

impl Doors {
    pub(crate) fn of(network: &Network) -> Self {
        let endpoints = match network {
            Network::None => return Self::default(),
            Network::Gateway { address } => return Self(vec![Door::Straight(*address)]),
            Network::List { endpoints } => endpoints,
        };
        let mut straight: Vec<SocketAddr> = endpoints.iter().filter_map(Endpoint::on_loopback).collect();
        straight.sort_unstable();
        straight.dedup();
        let far: Vec<Endpoint> = endpoints
            .iter()
            .filter(|endpoint| endpoint.on_loopback().is_none())
            .cloned()
            .collect();
        let taken = |port: &u16| straight.iter().any(|address| address.port() == *port);
        let port = (PROXY_PORT..).find(|port| !taken(port)).unwrap_or(PROXY_PORT);
        let proxy = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let mut doors: Vec<Door> = straight.into_iter().map(Door::Straight).collect();
        if !far.is_empty() {
            doors.push(Door::Proxy(proxy, far));
        }
        Self(doors)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|door| match door {
            Door::Straight(address) | Door::Proxy(address, _) => *address,
        })
    }

    /// What tells programs to use the proxy.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let proxy = self.0.iter().find_map(|door| match door {
            Door::Proxy(address, _) => Some(format!("http://{address}")),
            Door::Straight(_) => None,
        });
        let Some(proxy) = proxy else {
            return Vec::new();
        };
        let own = "localhost,127.0.0.1,::1".to_owned();
        ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"]
            .map(|name| (name, proxy.clone()))
            .into_iter()
            .chain(["NO_PROXY", "no_proxy"].map(|name| (name, own.clone())))
            .collect()
    }
}

/// Every port that a network level leads to.
pub(crate) fn ports(network: &Network) -> Vec<u16> {
    match network {
        Network::None => Vec::new(),
        Network::Gateway { address } => vec![address.port()],
        Network::List { endpoints } => endpoints.iter().map(|endpoint| endpoint.port).collect(),
    }
}

/// An address as the kernel takes it.
pub(crate) fn raw_address(address: SocketAddr) -> libc::sockaddr_storage {
    // SAFETY: all-zero bytes are a valid storage, which is larger and stricter aligned than both kinds.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        match address {
            SocketAddr::V4(address) => {
                let place = (&raw mut storage).cast::<libc::sockaddr_in>();
                (*place).sin_family = libc::AF_INET as libc::sa_family_t;
                (*place).sin_port = address.port().to_be();
                (*place).sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            }
            SocketAddr::V6(address) => {
                let place = (&raw mut storage).cast::<libc::sockaddr_in6>();
                (*place).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                (*place).sin6_port = address.port().to_be();
                (*place).sin6_addr.s6_addr = address.ip().octets();
            }
        }
        storage
    }
}
