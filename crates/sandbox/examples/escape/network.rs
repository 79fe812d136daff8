//! Talking to somebody: every kind of socket, and every address where somebody listens.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use crate::{Probe, Scene, done, probe};

const SOON: Duration = Duration::from_secs(2);

/// Kinds of sockets that lead somewhere else than the internet protocols, or past them.
const FAMILIES: [(&str, i32, i32, i32); 14] = [
    ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("raw icmp", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw icmp 6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    ("raw ip", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    ("can", libc::AF_CAN, libc::SOCK_RAW, 1),
    ("tipc", libc::AF_TIPC, libc::SOCK_STREAM, 0),
    ("key", libc::AF_KEY, libc::SOCK_RAW, 2),
    ("xdp", libc::AF_XDP, libc::SOCK_RAW, 0),
    (
        "netlink netfilter",
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_NETFILTER,
    ),
    ("netlink audit", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
    (
        "netlink generic",
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_GENERIC,
    ),
];

fn tcp(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect_timeout(&address, SOON)?.write_all(b"escape")
}

fn udp(address: SocketAddr) -> io::Result<()> {
    let any: IpAddr = if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    UdpSocket::bind((any, 0))?.send_to(b"escape", address).map(drop)
}

fn own_address(scene: &Scene) -> io::Result<SocketAddr> {
    let address = scene.address.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(SocketAddr::new(address, scene.port))
}

pub(crate) fn probes() -> Vec<Probe> {
    let loopback = |scene: &Scene| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), scene.port);
    let loopback6 = |scene: &Scene| SocketAddr::new(Ipv6Addr::LOCALHOST.into(), scene.port);
    let mut probes = vec![
        probe("tcp to the loopback", move |scene| tcp(loopback(scene))),
        probe("tcp to the loopback, version 6", move |scene| tcp(loopback6(scene))),
        probe("tcp to the loopback, mapped", |scene| {
            tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), scene.port))
        }),
        probe("tcp to nowhere in particular", |scene| {
            tcp((Ipv4Addr::UNSPECIFIED, scene.port).into())
        }),
        probe("tcp to an interface", |scene| tcp(own_address(scene)?)),
        probe("tcp far away", |_| tcp(([192, 0, 2, 1], 443).into())),
        probe("udp to the loopback", move |scene| udp(loopback(scene))),
        probe("udp to the loopback, version 6", move |scene| udp(loopback6(scene))),
        probe("udp to an interface", |scene| udp(own_address(scene)?)),
        probe("udp far away", |_| udp(([192, 0, 2, 1], 53).into())),
        probe(
            "udp to the metadata service",
            |_| udp(([169, 254, 169, 254], 80).into()),
        ),
        probe("listen for others", |_| {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map(drop)
        }),
        probe("look up a name", |_| {
            std::net::ToSocketAddrs::to_socket_addrs("escape.example.com:80").map(drop)
        }),
        probe("abstract socket", |scene| {
            use std::os::linux::net::SocketAddrExt as _;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&scene.abstract_socket)?;
            UnixStream::connect_addr(&address)?.write_all(b"escape")
        }),
        probe("socket in a folder", |scene| {
            UnixStream::connect(scene.outside.join("socket"))?.write_all(b"escape")
        }),
        probe("socket in a folder, through a link", |scene| {
            let link = scene.work.join(format!("socket-{}", std::process::id()));
            std::os::unix::fs::symlink(scene.outside.join("socket"), &link)?;
            UnixStream::connect(link)?.write_all(b"escape")
        }),
        probe("datagram to a socket in a folder", |scene| {
            let (socket, _) = UnixDatagram::pair()?;
            socket.send_to(b"escape", scene.outside.join("datagrams")).map(drop)
        }),
        probe("tcp without saying so", |_| {
            // SAFETY: plain numbers: the multipath protocol falls back to plain connections.
            done(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 262) }.into())
        }),
        probe("a pair of another family", |_| {
            let mut pair = [0; 2];
            // SAFETY: a valid place for two descriptors.
            done(unsafe { libc::socketpair(libc::AF_TIPC, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) }.into())
        }),
    ];
    for service in [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/run/systemd/journal/socket",
        "/run/containerd/containerd.sock",
        "/run/nscd/socket",
        "/dev/log",
    ] {
        probes.push(probe(format!("service {service}"), move |_| {
            UnixStream::connect(service).map(drop)
        }));
    }
    for (name, family, kind, protocol) in FAMILIES {
        probes.push(probe(format!("socket of family {name}"), move |_| {
            // SAFETY: plain numbers.
            done(unsafe { libc::socket(family, kind, protocol) }.into())
        }));
    }
    probes
}
