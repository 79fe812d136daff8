//! What the walls add to the start of a program, until it says its first byte.

use crate::worker;
use anyhow::ensure;
use maestria_benches::{Figure, Table, median};
use maestria_sandbox::{Limits, Supervised};
use std::{hint::black_box, path::Path, process::Stdio, time::Instant};
use tokio::{io::AsyncReadExt as _, process::Command};

const REPETITIONS: usize = 100;

/// As much memory of its own as an idle server has: what a fork costs grows with it.
const BALLAST: usize = 16 << 20;

/// The peer, with about the same walls but for the filter of system calls and the proofs.
const PEER: &[&str] = &[
    "/usr/bin/bwrap",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--unshare-all",
    "--die-with-parent",
    "/bin/echo",
    "there",
];

pub(crate) async fn measure(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let ballast = vec![1_u8; BALLAST];
    let has_peer = Path::new(PEER[0]).exists();
    let (mut bare, mut ours, mut added, mut peers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let (alone, walled) = (plain(&["/bin/echo", "there"]).await?, behind_walls(folder).await?);
        bare.push(alone);
        ours.push(walled);
        added.push(walled - alone);
        if has_peer {
            peers.push(plain(PEER).await? - alone);
        }
    }
    // Until here it is part of what a fork has to do with.
    drop(black_box(ballast));
    let peer = if has_peer {
        format!("bubblewrap adds {:.1} ms", median(&peers))
    } else {
        "bubblewrap is not installed".to_owned()
    };
    let beside = format!("{:.1} ms beside {:.1} ms bare; {peer}", median(&ours), median(&bare));
    table.show(&Figure::at_most(
        "the walls add to a start",
        median(&added),
        "ms",
        5.0,
        beside,
    ));
    Ok(())
}

/// Milliseconds from before the start to the first byte.
async fn plain(words: &[&str]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(stdout) = &mut child.stdout {
        stdout.read_u8().await?;
    }
    let took = begun.elapsed();
    ensure!(child.wait().await?.success(), "{} failed", words[0]);
    Ok(took.as_secs_f64() * 1e3)
}

async fn behind_walls(folder: &Path) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut worker = Supervised::spawn(worker("/bin/echo", &["there"], folder, Limits::default()))?;
    if let Some(mut stdout) = worker.take_stdout() {
        stdout.read_u8().await?;
    }
    let took = begun.elapsed();
    let end = worker.wait().await;
    ensure!(end.is_zero(), "the worker failed: {end:?}");
    Ok(took.as_secs_f64() * 1e3)
}
