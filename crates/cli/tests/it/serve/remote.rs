//! Other machines: what it takes to let them in, and TLS as they speak it.

use super::scene::PATIENCE;
use crate::process::{program, run};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    time::Instant,
};

/// A certificate for `maestria.test` and its key; good for nothing but these tests.
const CERTIFICATE: &str = include_str!("remote/cert.pem");
const KEY: &str = include_str!("remote/key.pem");
const OTHER_KEY: &str = include_str!("remote/other-key.pem");

struct Remote {
    home: tempfile::TempDir,
    server: Child,
    port: u16,
}

fn files(home: &Path) -> (String, String) {
    let put = |name: &str, text: &str| {
        let path: PathBuf = home.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    (put("cert.pem", CERTIFICATE), put("key.pem", KEY))
}

impl Remote {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (cert, key) = files(home.path());
        let words = [
            "serve",
            "--listen",
            "0.0.0.0:0",
            "--allow-remote",
            "--host",
            "maestria.test",
        ];
        let mut server = program(home.path(), &words)
            .args(["--tls-cert", &cert, "--tls-key", &key])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .strip_prefix("https://maestria.test:")
            .unwrap_or_else(|| panic!("{line}"));
        let port = port.parse().unwrap();
        Self { home, server, port }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Asks over TLS as another machine does.
    fn ask(&self, name: &'static str, head: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, self.connect());
        stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        // A server may leave without a word of farewell.
        match stream.read_to_end(&mut answer) {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn other_machines_take_tls_and_a_word() {
    let home = tempfile::tempdir().unwrap();
    let (cert, key) = files(home.path());
    let pair = ["--tls-cert", &cert, "--tls-key", &key];
    for (more, told) in [
        (&[][..], "other machines"),
        (&["--allow-remote"], "other machines"),
        (&pair, "other machines"),
        (&["--allow-remote", "--tls-cert", &cert], "takes its key"),
        (&["--tls-key", &key], "takes its key"),
        (&["--allow-remote", pair[0], pair[1], pair[2], pair[3]], "--host NAME"),
    ] {
        let words: Vec<&str> = ["serve", "--listen", "0.0.0.0:0"].iter().chain(more).copied().collect();
        let left = run(home.path(), &words);
        assert!(left.code == 1 && left.err.contains(told), "{more:?}: {}", left.err);
    }
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let home = tempfile::tempdir().unwrap();
    let (cert, key) = files(home.path());
    let put = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, other) = (put("empty.pem", ""), put("other.pem", OTHER_KEY));
    let torn = put("torn.pem", &CERTIFICATE[..CERTIFICATE.len() / 2]);
    let noise = put(
        "noise.pem",
        "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n",
    );
    for (cert, key, told) in [
        (
            "/nowhere/at/all",
            &*key,
            "the certificate /nowhere/at/all cannot be used",
        ),
        (&cert, "/nowhere/at/all", "the key /nowhere/at/all cannot be used"),
        (&empty, &key, "no certificate in it"),
        (&key, &key, "no certificate in it"),
        (&torn, &key, "torn.pem cannot be used"),
        (&noise, &key, "noise.pem"),
        (&cert, &cert, "the key "),
        (&cert, &empty, "empty.pem cannot be used"),
        (&cert, &other, "do not go together"),
    ] {
        let left = run(
            home.path(),
            &["serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key],
        );
        assert!(left.code == 1 && left.err.contains(told), "{cert} {key}: {}", left.err);
    }
}

#[test]
fn tls_is_spoken_and_every_other_rule_holds() {
    let remote = Remote::start();
    let token = run(remote.home.path(), &["token"]).out.trim().to_owned();
    let host = format!("maestria.test:{}", remote.port);
    let meta = |host: &str, token: &str| {
        let head = format!("GET /api/v1/meta HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}");
        remote.ask("maestria.test", &head).unwrap()
    };
    let told = meta(&host, &token);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains("strict-transport-security"), "{told}");
    assert!(meta(&host, "x").starts_with("HTTP/1.1 401"));
    for foreign in ["evil.example", "maestria.test", &format!("0.0.0.0:{}", remote.port)] {
        assert!(meta(foreign, &token).starts_with("HTTP/1.1 403"), "{foreign}");
    }
    for (origin, status) in [(format!("https://{host}"), 400), (format!("http://{host}"), 403)] {
        let head = format!(
            "POST /api/v1/runs HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\norigin: {origin}\r\n\
             content-type: application/json\r\ncontent-length: 0"
        );
        let told = remote.ask("maestria.test", &head).unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {told}");
    }
    assert!(
        remote.ask("other.test", "GET / HTTP/1.1").is_err(),
        "the certificate is for one name"
    );
    let link = run(remote.home.path(), &["open"]).out;
    assert!(link.starts_with(&format!("https://{host}/#signin=")), "{link}");
}

#[test]
fn who_speaks_no_tls_or_nothing_is_let_go_and_holds_nobody_up() {
    let remote = Remote::start();
    let began = Instant::now();
    let mut silent = remote.connect();
    let mut plain = remote.connect();
    plain
        .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // Closed, whether with an alert or a reset.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");
    let head = format!("GET /health HTTP/1.1\r\nhost: maestria.test:{}", remote.port);
    assert!(remote.ask("maestria.test", &head).unwrap().starts_with("HTTP/1.1 200"));
    let mut nothing = Vec::new();
    let _ = silent.read_to_end(&mut nothing);
    assert!(
        nothing.is_empty() && began.elapsed() < PATIENCE,
        "a silent client is let go"
    );
}

#[test]
fn the_command_line_believes_only_whom_it_was_told_to() {
    let remote = Remote::start();
    let token = run(remote.home.path(), &["token"]).out.trim().to_owned();
    let home = tempfile::tempdir().unwrap();
    let (authority, other) = files(home.path());
    let ask = |server: &str, more: &[&str]| {
        let words: Vec<&str> = ["--server", server, "runs"].iter().chain(more).copied().collect();
        let mut command = program(home.path(), &words);
        crate::process::left(&command.env("MAESTRIA_TOKEN", &token).output().unwrap())
    };
    let near = format!("https://127.0.0.1:{}", remote.port);
    for (more, told) in [
        (&[][..], "cannot prove who it is"),
        (&["--server-ca", &other], "no certificate in it"),
        (&["--server-ca", "/nowhere.pem"], "/nowhere.pem"),
    ] {
        let left = ask(&near, more);
        assert!(left.code == 1 && left.err.contains(told), "{more:?}: {}", left.err);
        assert!(
            left.err.contains("hint: ") && !left.err.contains(&token),
            "{}",
            left.err
        );
    }
    let known = ask(&near, &["--server-ca", &authority]);
    assert_eq!(known.code, 0, "{}", known.err);
    let by_other_name = ask(&near.replace("127.0.0.1", "localhost"), &["--server-ca", &authority]);
    assert!(
        by_other_name.code == 1 && by_other_name.err.contains("cannot prove"),
        "{}",
        by_other_name.err
    );
    let plain = ask(&format!("http://127.0.0.1:{}", remote.port), &[]);
    assert!(plain.code == 1 && plain.err.contains("hint: "), "{}", plain.err);
}
