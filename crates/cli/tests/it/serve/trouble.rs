//! `--server` and what can be wrong with it: each time what it is, what to do, and a code; and never the token.

use super::{elsewhere::Caller, scene::Scene};
use crate::process::{Left, left, program, run};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Asks a server with a token that must not be seen.
fn ask(home: &Path, args: &[&str]) -> Left {
    let mut command = program(home, args);
    command.env("MAESTRIA_TOKEN", TOKEN).env("MAESTRIA_LOG", "trace");
    let left = left(&command.output().unwrap());
    assert!(
        !left.out.contains(TOKEN) && !left.err.contains(TOKEN),
        "{args:?} shows the token"
    );
    left
}

/// What people are told: from the line that begins with `error:`.
fn told(left: &Left) -> &str {
    left.err.find("error: ").map_or("", |place| &left.err[place..])
}

fn fails(left: &Left, code: i32, words: &[&str]) {
    let told = told(left);
    assert_eq!(left.code, code, "{}", left.err);
    assert!(told.contains("\n\nhint: "), "it says what to do: {told}");
    assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    assert_eq!(left.out, "");
}

#[test]
fn an_address_that_leads_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (server, words) in [
        ("127.0.0.1:8090", &["127.0.0.1:8090", "http://"][..]),
        ("ftp://127.0.0.1", &["only http and https"]),
        ("http://someone:hunter2@127.0.0.1", &["no place in it"]),
        ("http://192.0.2.1:8090", &["another machine", "--allow-plain-http"]),
        (&nobody, &["cannot be reached", "refused", "maestria serve"]),
        ("http://nowhere.invalid:80", &["another machine"]),
    ] {
        let left = ask(home.path(), &["--server", server, "runs"]);
        fails(&left, 1, words);
        assert!(!left.err.contains("hunter2"));
    }
    for verb in [
        &["run", "x"][..],
        &["tail"],
        &["events", "--since", "0", "-f"],
        &["audit", "export"],
        &["doctor"],
    ] {
        let words: Vec<&str> = ["--server", &nobody].into_iter().chain(verb.iter().copied()).collect();
        fails(&ask(home.path(), &words), 1, &["cannot be reached"]);
    }
}

#[test]
fn a_token_that_is_missing_wrong_or_not_enough() {
    let scene = Scene::new("");
    let caller = Caller::of(&scene);
    let (home, url) = (caller.home.path(), caller.url());
    fails(
        &run(home, &["--server", &url, "runs"]),
        4,
        &["no token", "--token-file", "token issue"],
    );
    fails(&ask(home, &["--server", &url, "runs"]), 4, &["does not take the token"]);
    let file = home.join("token");
    let named = file.display().to_string();
    let with_file = |args: &[&str]| {
        let words: Vec<&str> = ["--server", &url, "--token-file", &named]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        run(home, &words)
    };
    fails(&with_file(&["runs"]), 1, &["token", "No such file"]);
    fs::write(&file, " \n").unwrap();
    fails(&with_file(&["runs"]), 1, &["it is empty"]);
    fs::write(&file, "two\nlines").unwrap();
    fails(&with_file(&["runs"]), 1, &["cannot be sent"]);
    fs::write(&file, format!("{}\n", scene.token)).unwrap();
    assert_eq!(with_file(&["runs"]).code, 0);
    let viewer = run(
        scene.home.path(),
        &["token", "issue", "--name", "eve", "--role", "viewer"],
    )
    .out;
    fs::write(&file, viewer).unwrap();
    assert_eq!(with_file(&["runs"]).code, 0);
    fails(&with_file(&["config", "show"]), 4, &["`eve` is viewer", "admin"]);
    fails(&with_file(&["audit", "verify"]), 4, &["`eve` is viewer"]);
    fails(
        &with_file(&["run", "x", "--target", "/"]),
        4,
        &["`eve` is viewer", "operator"],
    );
    fails(&run(home, &["--token-file", &named, "runs"]), 2, &["--server URL"]);
    let own = run(scene.home.path(), &["--server", &url, "runs"]);
    assert_eq!(
        own.code, 0,
        "the token of this machine's own server is known: {}",
        own.err
    );
    let local = run(
        scene.home.path(),
        &["--server", &url.replace("127.0.0.1", "localhost"), "runs"],
    );
    assert_eq!(local.code, 0, "{}", local.err);
}

/// Answers each connection with the same text, and hears nobody out.
fn answers(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let mut head = [0; 4096];
            // Whoever asks may have gone.
            let _ = socket.read(&mut head);
            let _ = socket.write_all(text.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn a_server_that_answers_rubbish() {
    let home = tempfile::tempdir().unwrap();
    for (text, word) in [
        ("220 mail.example ESMTP\r\n", "does not answer as a maestria server"),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
            "text/html",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            "cannot be read",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            "sends on to `http://evil.example/`",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n\x1b[31mx",
            "status 404",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
            "was lost",
        ),
        ("", "was lost"),
        (
            "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n\
             {\"code\":\"internal\",\"detail\":\"\\u001b]0;x\\u0007dead\",\"hint\":\"call\",\"request_id\":\"r-77\"}",
            "dead (request r-77)",
        ),
    ] {
        let left = ask(home.path(), &["--server", &answers(text), "runs"]);
        let code = if text.contains("internal") { 70 } else { 1 };
        fails(&left, code, &[word]);
        assert!(!left.err.contains('\x1b'), "{}", left.err);
    }
}

#[test]
fn what_only_this_machine_does_is_not_asked_of_a_server() {
    let scene = Scene::new("");
    let caller = Caller::of(&scene);
    for verb in [
        &["demo"][..],
        &["serve"],
        &["open"],
        &["token"],
        &["gateway"],
        &["keys"],
        &["trust"],
        &["secrets", "list"],
        &["sandbox", "doctor"],
        &["agents", "replay", "claude", "x.jsonl"],
        &["budget", "set", "1/day"],
        &["models", "prices"],
        &["models", "train"],
        &["config", "init"],
        &["config", "check"],
        &["policy", "check", "x.toml"],
        &["policy", "test", "--policy", "x.toml", "--", "ls"],
    ] {
        let left = caller.run(verb);
        assert!(
            left.code == 1 && told(&left).contains("hint: "),
            "{verb:?}: {}{}",
            left.out,
            left.err
        );
    }
    for option in ["--copy", "--port=1"] {
        fails(&caller.run(&["run", "x", option]), 2, &["does not go with `--server`"]);
    }
    fails(
        &run(caller.home.path(), &["run", "x", "--detach"]),
        2,
        &["--detach", "maestria serve"],
    );
    assert_eq!(caller.run(&["completions", "bash"]).code, 0);
    assert!(
        !caller.home.path().join(".local").exists(),
        "nothing is made on this machine"
    );
    let target = caller.run(&["run", "x", "--target", "/nowhere/at/all"]);
    assert!(
        target.code == 1 && target.err.contains("the server's machine"),
        "{}",
        target.err
    );
}
