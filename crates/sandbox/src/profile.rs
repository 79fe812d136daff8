//! What a sandboxed worker may touch: places and network. A profile grants; whatever it does not name is not there.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::layer::{Layer, Layers};

/// Where programs and their libraries live on Linux systems. What of it does not exist is left out.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
];

/// What a worker may touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its name, for people.
    pub name: &'static str,
    /// Places that it may read and execute from, besides those of the system.
    pub read: Vec<PathBuf>,
    /// Places that it may change.
    pub write: Vec<PathBuf>,
    /// Names directly below each place of `write` which it may read but not change, once they exist.
    pub kept: Vec<&'static str>,
    /// Files and folders in those places of which it sees nothing. Instead of a file stands an empty one (`{}` where the name
    /// says JSON) that cannot be changed; instead of a folder an empty one of its own, because there are agents that cannot
    /// begin without writing into theirs. Nothing is started where they cannot be hidden.
    pub hidden: Vec<PathBuf>,
    /// Whom it may talk to.
    pub network: Network,
}

impl Profile {
    /// The usual one: it may change `write`, but not the git settings there.
    pub fn worker(write: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            name: "worker",
            read: Vec::new(),
            write: write.into_iter().collect(),
            kept: vec![".git"],
            hidden: Vec::new(),
            network: Network::None,
        }
    }

    /// For one who looks and judges: `read` can be read, and nothing of it changed.
    pub fn review(read: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            name: "review",
            read: read.into_iter().collect(),
            write: Vec::new(),
            kept: Vec::new(),
            hidden: Vec::new(),
            network: Network::None,
        }
    }

    /// The places of the system that every profile can read.
    pub(crate) fn system() -> impl Iterator<Item = PathBuf> {
        SYSTEM.into_iter().map(PathBuf::from)
    }
}

/// Whom a worker may talk to. Its own loopback leads nowhere but to what is listed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "level", rename_all = "kebab-case")]
pub enum Network {
    /// Nobody: it gets no socket at all.
    None,
    /// One address, under which it reaches the gateway as if it stood outside.
    Gateway {
        /// The address.
        address: SocketAddr,
    },
    /// A list of endpoints: those on the loopback under their own address, all others through a proxy that knows the list.
    List {
        /// The endpoints.
        endpoints: Vec<Endpoint>,
    },
}

impl Network {
    /// An own loopback that leads nowhere: what tests of programs that serve something need.
    pub const fn loopback() -> Self {
        Self::List { endpoints: Vec::new() }
    }

    /// The word for the level.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gateway { .. } => "gateway",
            Self::List { .. } => "list",
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Gateway { address } => write!(f, "gateway at {address}"),
            Self::List { endpoints } if endpoints.is_empty() => f.write_str("own loopback"),
            Self::List { endpoints } => {
                f.write_str("list:")?;
                endpoints.iter().try_for_each(|endpoint| write!(f, " {endpoint}"))
            }
        }
    }
}

/// A host and port that a worker may reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Endpoint {
    /// A host name in lower case, `*.` and a domain for everything below it, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A host or port that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not HOST or HOST:PORT (a name of letters, digits, dots and dashes; *.DOMAIN; an address, [..] around IPv6)"
)]
pub struct BadEndpoint(pub String);

impl std::str::FromStr for Endpoint {
    type Err = BadEndpoint;

    /// `host`, `host:port`, `*.domain`, `1.2.3.4:80`, `[::1]:80`; the port is 443 unless it is said.
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                host: address.ip().to_string(),
                port: address.port(),
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
            None => (text, 443),
        };
        let name = host.strip_prefix("*.").unwrap_or(host);
        if !is_host(name) || port == 0 {
            return Err(bad());
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Endpoint {
    /// Whether `host`, as a client wrote it, and `port` are this endpoint. Case and one final dot do not matter.
    pub(crate) fn fits(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = match self.host.strip_prefix("*.") {
            Some(domain) => host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => host == self.host,
        };
        named && port == self.port
    }

    /// The address on this machine's own loopback that it names.
    pub(crate) fn on_loopback(&self) -> Option<SocketAddr> {
        let address = match self.host.as_str() {
            "localhost" => std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            host => host.parse().ok()?,
        };
        address.is_loopback().then(|| SocketAddr::new(address, self.port))
    }
}

/// Plain host names and IPv4 addresses: nothing that one reader takes for a host and another for something else.
pub(crate) fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label)
}

/// A profile, and how strictly it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walls {
    /// What may be touched.
    pub profile: Profile,
    /// Goes on with what the machine can do when a layer is missing; every face says so. Otherwise nothing is started.
    pub allow_degraded: bool,
    /// Layers that are left out, to show that their absence is noticed.
    pub removed: Layers,
}

impl Walls {
    /// Every layer must hold.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            allow_degraded: false,
            removed: Layers::NONE,
        }
    }
}

/// How strictly a sandbox is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Every layer holds, or nothing is started.
    #[default]
    Required,
    /// As many layers as this machine has; what is missing is said wherever the worker is shown.
    Degraded,
    /// Supervision only.
    Off,
}

impl Demand {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Required, Self::Degraded, Self::Off];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Degraded => "degraded",
            Self::Off => "off",
        }
    }

    /// The walls for a profile.
    pub fn walls(self, profile: Profile) -> Option<Walls> {
        (self != Self::Off).then(|| Walls {
            allow_degraded: self == Self::Degraded,
            ..Walls::new(profile)
        })
    }
}

/// What really stands around a running worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The profile's name.
    pub profile: &'static str,
    /// Layers proved when the worker started.
    pub layers: Layers,
    /// Layers that do not hold; empty unless that was allowed.
    pub missing: Layers,
    /// The version of Landlock in force, 0 for none.
    pub landlock_abi: u32,
    /// Whether its user owns nothing outside, although the product runs as root.
    pub unprivileged: bool,
    /// Whom it may talk to.
    pub network: Network,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = Layer::ALL.len();
        let held = self.layers.each().count();
        write!(f, "profile {}, {held} of {all} layers", self.profile)?;
        if self.landlock_abi > 0 {
            write!(f, ", landlock {}", self.landlock_abi)?;
        }
        write!(f, ", network {}", self.network)?;
        if !self.missing.is_empty() {
            write!(f, "; DEGRADED, missing: {}", self.missing)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
