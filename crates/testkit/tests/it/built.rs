//! The binaries as tests of other crates and shell scripts get them.

use std::process::Stdio;
use std::time::Duration;

use maestria_testkit::{Lines, TestHome, built};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_model_server_serves_its_script_until_it_is_told_to_stop() {
    let home = TestHome::new().unwrap();
    let script = home.path().join("rules.json");
    std::fs::write(&script, r#"[{"match":"hello","steps":[{"text":"by the file"}]}]"#).unwrap();
    let mut command = Command::new(built::program("model-server").unwrap());
    command.args(["--print-url", "--script"]).arg(&script).env_clear();
    let mut server = Lines::spawn(command).unwrap();
    let url = server.next(PATIENCE).await.unwrap();
    let mut socket = TcpStream::connect(url.as_str().unwrap().trim_start_matches("http://"))
        .await
        .unwrap();
    let body = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("by the file"), "{answer}");
    let pid = rustix::process::Pid::from_raw(server.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(server.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn a_script_that_is_not_one_is_refused_with_its_place() {
    let home = TestHome::new().unwrap();
    let script = home.path().join("rules.json");
    std::fs::write(&script, r#"[{"match":"hello","setps":[]}]"#).unwrap();
    let mut command = Command::new(built::program("model-server").unwrap());
    command.arg("--script").arg(&script).env_clear().stdin(Stdio::null());
    let said = command.output().await.unwrap();
    assert!(!said.status.success());
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("setps") && text.contains("line 1"), "{text}");
}
