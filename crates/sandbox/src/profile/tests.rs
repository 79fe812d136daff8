use super::Endpoint;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

#[test]
fn endpoints_are_read_and_shown_alike() {
    for (text, shown) in [
        ("api.example.com", "api.example.com:443"),
        ("API.Example.com:8443", "api.example.com:8443"),
        ("*.example.com", "*.example.com:443"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
    ] {
        assert_eq!(endpoint(text).to_string(), shown);
        assert_eq!(endpoint(shown), endpoint(text));
    }
}

#[test]
fn what_is_no_host_is_refused() {
    let long = "a".repeat(64);
    for text in [
        "",
        ":",
        "a:",
        "a:0",
        "a:65536",
        "a b",
        "a\0.example.com",
        "exa\u{301}mple.com",
        "*",
        "*.",
        "*.*.com",
        "a..b",
        "http://a",
        "user@a",
        &long,
    ] {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
    }
}

#[test]
fn a_list_means_hosts_and_not_endings() {
    let exact = endpoint("example.com");
    assert!(exact.fits("Example.COM.", 443));
    for (host, port) in [
        ("example.com", 80),
        ("evil-example.com", 443),
        ("a.example.com", 443),
        ("example.com.evil", 443),
    ] {
        assert!(!exact.fits(host, port), "{host}:{port}");
    }
    let below = endpoint("*.example.com");
    assert!(below.fits("a.example.com", 443) && below.fits("a.b.example.com.", 443));
    for host in ["example.com", "evilexample.com", ".example.com", "a.example.com.evil"] {
        assert!(!below.fits(host, 443), "{host}");
    }
}

#[test]
fn only_own_addresses_are_on_the_loopback() {
    assert!(endpoint("localhost:1").on_loopback().is_some());
    assert!(endpoint("127.9.9.9:1").on_loopback().is_some());
    assert!(endpoint("[::1]:1").on_loopback().is_some());
    for text in [
        "0.0.0.0:1",
        "10.0.0.1:1",
        "localhost.example.com:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(endpoint(text).on_loopback().is_none(), "{text}");
    }
}
