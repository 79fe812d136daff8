use super::{Refusal, is_global, request};

#[test]
fn a_target_is_a_host_and_a_port() {
    for (line, host, port) in [
        ("CONNECT a.example.com:443 HTTP/1.1\r\n\r\n", "a.example.com", 443),
        ("CONNECT 1.2.3.4:80 HTTP/1.0\r\nHost: other\r\n\r\n", "1.2.3.4", 80),
        ("CONNECT [::1]:8080 HTTP/1.1\r\n\r\n", "::1", 8080),
    ] {
        assert_eq!(request(line.as_bytes()), Ok((host.to_owned(), port)));
    }
}

#[test]
fn whatever_two_readers_could_read_differently_is_refused() {
    for target in [
        "a.example.com",
        "a.example.com:",
        "a.example.com:+443",
        "a.example.com:443:80",
        "a.example.com\0.evil.com:443",
        "a.example.com@evil.com:443",
        "a.example.com/evil:443",
        "a.example.com%00:443",
        "ex\u{e4}mple.com:443",
        "a..example.com:443",
        "::1:443",
        "http://a.example.com:443",
        "a.example.com:443 x",
        ":443",
    ] {
        let head = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
        assert_eq!(request(head.as_bytes()), Err(Refusal::Malformed), "{target:?}");
    }
    for head in [
        &b""[..],
        b"\r\n",
        b"CONNECT a:1\r\n",
        b"CONNECT \xff:1 HTTP/1.1\r\n",
        b"CONNECT a:1 SMTP\r\n",
    ] {
        assert_eq!(request(head), Err(Refusal::Malformed), "{head:?}");
    }
    for (line, whom) in [
        ("GET http://a.example.com/ HTTP/1.1", Some(("a.example.com", 80))),
        (
            "POST HTTP://a.example.com:8080/x?y HTTP/1.1",
            Some(("a.example.com", 8080)),
        ),
        ("GET http://1.2.3.4?x HTTP/1.0", Some(("1.2.3.4", 80))),
        ("GET http://[::1]/ HTTP/1.1", Some(("::1", 80))),
        ("GET http://me@a.example.com/ HTTP/1.1", None),
        ("GET ftp://a.example.com/ HTTP/1.1", None),
        ("GET / HTTP/1.1", None),
    ] {
        let whom = whom.map(|(host, port)| (host.to_owned(), port));
        let head = format!("{line}\r\n\r\n");
        assert_eq!(request(head.as_bytes()), Err(Refusal::OnlyConnect(whom)), "{line}");
    }
}

#[test]
fn inward_addresses_are_known() {
    for inward in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001:0:1::",
        "ff02::1",
    ] {
        assert!(!is_global(inward.parse().unwrap()), "{inward}");
    }
    for outward in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
        assert!(is_global(outward.parse().unwrap()), "{outward}");
    }
}
