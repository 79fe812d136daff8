//! The server of this store, as other processes of this machine find it: a note beside the store says where it is.

use super::{Access, site::Site};
use crate::config::Config;
use std::{net::SocketAddr, path::PathBuf};
use tokio::net::TcpStream;

/// The file that says where the server of this store is.
pub(super) fn note(config: &Config) -> PathBuf {
    config.store.with_file_name("server.address")
}

/// Where a process of this machine reaches it, and what people are told.
pub(super) fn noted(site: &Site) -> String {
    format!("{} {}", site.near(), site.base())
}

fn read(config: &Config) -> Option<(SocketAddr, String)> {
    let noted = std::fs::read_to_string(note(config)).ok()?;
    let (near, base) = noted.trim().split_once(' ')?;
    Some((near.parse().ok()?, base.to_owned()))
}

/// What the addresses of the server of this store begin with, if one runs.
pub async fn running(config: &Config) -> Option<String> {
    let (near, base) = read(config)?;
    // A note may outlive its server.
    TcpStream::connect(near).await.ok().map(|_| base)
}

/// The token of the server at an address, if that is the one of this store and it runs.
pub fn own_token(config: &Config, server: &str) -> Option<String> {
    let (near, base) = read(config)?;
    let (scheme, _) = base.split_once("://")?;
    let own = [
        base.clone(),
        format!("{scheme}://{near}"),
        format!("{scheme}://localhost:{}", near.port()),
    ];
    // A note may outlive its server, and somebody else may listen where it was.
    if !own.iter().any(|own| own == server) || !listens_for_us(near.port()) {
        return None;
    }
    Access::open(config).ok().map(|access| access.token().to_owned())
}

/// Whether every socket that listens at a port is one of our own user.
fn listens_for_us(port: u16) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let us = rustix::process::geteuid().as_raw();
    let owners: Vec<u32> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| owner(line, port))
        .collect();
    !owners.is_empty() && owners.iter().all(|owner| *owner == us)
}

/// Who listens at the port in a line of the kernel's table: `sl local remote state queues timer retransmits uid …`.
fn owner(line: &str, port: u16) -> Option<u32> {
    const LISTENS: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let (_, at) = fields.next()?.split_once(':')?;
    let state = fields.nth(1)?;
    let is_it = u16::from_str_radix(at, 16) == Ok(port) && state == LISTENS;
    fields.nth(3)?.parse().ok().filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::{listens_for_us, owner};

    #[test]
    fn who_listens_is_read_from_the_kernels_table() {
        let line = "   0: 0100007F:1F9A 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1234 1";
        assert_eq!(owner(line, 8090), Some(1000));
        assert_eq!(owner(line, 8091), None);
        assert_eq!(owner(&line.replace(" 0A ", " 01 "), 8090), None);
        assert_eq!(owner("sl local", 8090), None);
        let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = here.local_addr().unwrap().port();
        assert!(listens_for_us(port));
        drop(here);
        assert!(!listens_for_us(port));
    }
}
