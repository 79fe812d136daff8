//! The gateway before anybody calls: how soon its first answer is there, and what it holds then.

use crate::{peer::Peer, request, upstream};
use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Running, Table, median, resident};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const STARTS: usize = 11;

/// Long enough for a start to be over.
const REST: Duration = Duration::from_millis(500);

pub(crate) async fn measure(program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = upstream::start().await?;
    let mut gateway = Peer::gateway(program, folder.path(), upstream)?;
    tokio::time::sleep(REST).await;
    let (idle, bare) = (gateway.memory()?, bare(program, folder.path()).await?);
    table.show(&Figure::at_most(
        "idle memory over the bare program",
        idle - bare,
        "MB",
        15.0,
        format!("{idle:.1} MB beside {bare:.1} MB of a `maestria run` that waits for its task"),
    ));
    let body = r#"{"model":"m","max_tokens":20,"messages":[{"role":"user","content":"hello"}]}"#;
    let mut first = Vec::new();
    for _ in 0..STARTS {
        let begun = gateway.restart()?;
        let asked = gateway.with_key(&request("/v1/chat/completions", body));
        ask(gateway.port, &asked).await?;
        first.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    table.show(&Figure::at_most(
        "from the start to the first answer",
        median(&first),
        "ms",
        60.0,
        format!("half of {STARTS} starts, each after a kill"),
    ));
    Ok(())
}

/// Comes back with the beginning of the answer.
async fn ask(port: u16, request: &[u8]) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(request).await?;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await?;
    ensure!(answer == *b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// What the program holds that has read nothing yet and does nothing.
async fn bare(program: &Path, folder: &Path) -> anyhow::Result<f64> {
    let child = Command::new(program)
        .args(["run", "-"])
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the bare program")?;
    let child = Running(child);
    tokio::time::sleep(REST).await;
    Ok(resident(child.0.id())? / 1024.0)
}
