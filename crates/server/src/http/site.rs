//! Where the server is and what names it goes by. A request for any other name is somebody's who lets his name point here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The server's place.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    listen: SocketAddr,
    scheme: &'static str,
    /// As they come in `host`; the one to show people first.
    hosts: Vec<String>,
    /// Origins of other pages that may use the API.
    guests: Vec<String>,
}

impl Site {
    pub(super) fn new(listen: SocketAddr, is_secure: bool, names: &[String]) -> Self {
        let (scheme, usual) = if is_secure { ("https", 443) } else { ("http", 80) };
        let port = listen.port();
        let own = (!listen.ip().is_unspecified()).then(|| listen.to_string());
        let named = names.iter().map(|name| format!("{name}:{port}"));
        let loopback = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
        let mut hosts: Vec<String> = named.chain(own).chain(loopback).collect();
        if port == usual {
            hosts.extend(names.iter().cloned());
        }
        Self {
            listen,
            scheme,
            hosts,
            guests: Vec::new(),
        }
    }

    /// With pages of these origins as guests.
    pub(super) fn welcoming(mut self, guests: Vec<String>) -> Self {
        self.guests = guests;
        self
    }

    pub(crate) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where a process of this machine reaches it.
    pub(super) fn near(&self) -> SocketAddr {
        let ip = if self.listen.ip().is_unspecified() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            self.listen.ip()
        };
        SocketAddr::new(ip, self.listen.port())
    }

    /// A name that it goes by.
    pub(super) fn host(&self) -> &str {
        self.hosts.first().map_or("", String::as_str)
    }

    /// What its addresses begin with.
    pub(super) fn base(&self) -> String {
        format!("{}://{}", self.scheme, self.host())
    }

    pub(super) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether a request names us.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether a page that was asked for under this name comes from there.
    pub(super) fn is_own_page(&self, origin: &[u8], host: &str) -> bool {
        origin == format!("{}://{host}", self.scheme).as_bytes()
    }

    /// Whether pages of an origin may use the API, exactly as it is listed.
    pub(super) fn is_guest(&self, origin: &[u8]) -> bool {
        self.guests.iter().any(|guest| guest.as_bytes() == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::Site;

    #[test]
    fn it_goes_by_its_own_names_with_its_port() {
        let names = ["build.example".to_owned()];
        let site = Site::new("0.0.0.0:8443".parse().unwrap(), true, &names);
        for ours in [
            "build.example:8443",
            "BUILD.example:8443",
            "127.0.0.1:8443",
            "[::1]:8443",
        ] {
            assert!(site.is_ours(ours), "{ours}");
        }
        for other in [
            "build.example",
            "build.example:443",
            "0.0.0.0:8443",
            "a.build.example:8443",
            "",
            "127.0.0.1",
        ] {
            assert!(!site.is_ours(other), "{other}");
        }
        assert_eq!(site.base(), "https://build.example:8443");
        assert_eq!(site.near().to_string(), "127.0.0.1:8443");
        assert!(site.is_own_page(b"https://build.example:8443", "build.example:8443"));
        assert!(!site.is_own_page(b"http://build.example:8443", "build.example:8443"));
        let usual = Site::new("192.0.2.1:443".parse().unwrap(), true, &names);
        assert!(usual.is_ours("build.example") && usual.is_ours("192.0.2.1:443"));
        let near = Site::new("127.0.0.1:8090".parse().unwrap(), false, &[]);
        assert_eq!(near.base(), "http://127.0.0.1:8090");
    }
}
