//! What the limits hold a worker to that takes all it can get.

use crate::script;
use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Table};
use maestria_sandbox::{Backend, Limits, Supervised};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How long processor time is watched.
const LENGTH: Duration = Duration::from_secs(10);

/// So near to its limit, a worker has reached it.
const NEARLY: u64 = 16 << 20;

pub(crate) async fn measure(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    share(folder, table).await?;
    memory(folder, table).await
}

/// As many busy loops as there are cores, and one more.
async fn share(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let loops = "(while :; do :; done) & ".repeat(cores);
    let worker = Supervised::spawn(script(
        &format!("{loops} while :; do :; done"),
        folder,
        Limits::default(),
    ))?;
    if worker.enforced().cpu.is_none() {
        println!("no control group holds processor time here");
        worker.kill().await;
        return Ok(());
    }
    // The first period belongs to the start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (begun, before) = (Instant::now(), worker.usage().cpu);
    tokio::time::sleep(LENGTH).await;
    let (took, used) = (begun.elapsed(), worker.usage().cpu - before);
    worker.kill().await;
    let percent = used.as_secs_f64() / took.as_secs_f64() / cores as f64 * 100.0;
    table.show(&Figure::at_most(
        "off the half of the machine that is allowed",
        (percent - 50.0).abs(),
        "points",
        2.0,
        format!("{percent:.1} % of {cores} cores over {LENGTH:?}"),
    ));
    Ok(())
}

/// From the limit of memory to the end of the whole worker, which has a process that takes none.
async fn memory(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let limits = Limits::default();
    let limit = limits.memory.unwrap_or_default();
    let worker = Supervised::spawn(script("sleep 3600 & tail /dev/zero; sleep 3600", folder, limits))?;
    if !matches!(worker.enforced().memory, Some(Backend::CgroupV1 | Backend::CgroupV2)) {
        println!("no control group holds memory here");
        worker.kill().await;
        return Ok(());
    }
    let mut reached = None;
    let watch = async {
        loop {
            if reached.is_none() && worker.usage().memory_peak + NEARLY >= limit {
                reached = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let end = tokio::select! {
        end = worker.wait() => end,
        () = watch => unreachable!("it watches for ever"),
        () = tokio::time::sleep(Duration::from_secs(60)) => {
            worker.kill().await;
            anyhow::bail!("the limit of memory does not hold: {:?}", worker.usage());
        }
    };
    ensure!(end.out_of_memory, "it ended otherwise: {end:?}");
    let took = reached.context("nobody saw it reach its limit")?.elapsed();
    table.show(&Figure::at_most(
        "from the limit of memory to the worker's end",
        took.as_secs_f64() * 1e3,
        "ms",
        1000.0,
        format!("{} MiB, peak {} MiB", limit >> 20, worker.usage().memory_peak >> 20),
    ));
    Ok(())
}
