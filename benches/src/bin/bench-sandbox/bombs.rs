//! A server that is asked how it is, beside workers that fork and take memory without end.

use crate::script;
use anyhow::Context as _;
use maestria_benches::{Figure, Running, Table, run, told_port};
use maestria_sandbox::{Limits, Supervised};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const WORKERS: usize = 10;
const LENGTH: Duration = Duration::from_secs(10);

/// Forks until nothing more can be forked, and holds on.
const FORKS: &str = "f() { f | f & wait; }; f; sleep 3600";

/// One endless line: tail keeps all of it.
const MEMORY: &str = "exec tail /dev/zero";

pub(crate) async fn measure(program: &Path, folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let (server, port) = serve(program, home.path())?;
    let idle = ask(port, Duration::from_secs(2)).await?;
    let until = Instant::now() + LENGTH;
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        let text = if number % 2 == 0 { FORKS } else { MEMORY };
        let spec = script(text, folder, limits()?);
        workers.spawn(async move {
            let mut ended = 0;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                let worker = Supervised::spawn(spec.clone())?;
                if tokio::time::timeout(left, worker.wait()).await.is_ok() {
                    ended += 1;
                }
                worker.kill().await;
            }
            anyhow::Ok(ended)
        });
    }
    let busy = ask(port, LENGTH).await?;
    let mut ended = 0;
    while let Some(one) = workers.join_next().await {
        ended += one??;
    }
    drop(server);
    let beside = format!(
        "{:.1} ms idle, most {:.1} ms; {ended} times a worker was ended for its memory",
        idle.micros(0.99) / 1e3,
        busy.micros(1.0) / 1e3
    );
    table.show(&Figure::at_most(
        "/health, 99 of 100, beside ten bombs",
        busy.micros(0.99) / 1e3,
        "ms",
        50.0,
        beside,
    ));
    Ok(())
}

/// Those of a worker, but all together no more memory than half of what the machine has.
fn limits() -> anyhow::Result<Limits> {
    let told = std::fs::read_to_string("/proc/meminfo")?;
    let free = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 = free.context("MemAvailable")?.trim().trim_end_matches(" kB").parse()?;
    let all = Limits::default();
    let share = kib * 1024 / 2 / WORKERS as u64;
    Ok(Limits {
        memory: all.memory.map(|memory| memory.min(share)),
        ..all
    })
}

async fn ask(port: u16, length: Duration) -> anyhow::Result<maestria_benches::Seen> {
    let request = format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    run(port, request.into_bytes(), 1, length).await
}

fn serve(program: &Path, home: &Path) -> anyhow::Result<(Running, u16)> {
    let child = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut server = Running(child);
    let port = told_port(&mut server.0)?;
    Ok((server, port))
}
