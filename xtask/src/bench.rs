//! `cargo xtask bench NAME`: builds everything that a benchmark needs, optimised, and runs it.

use anyhow::{Context as _, ensure};
use std::{path::PathBuf, process::Command};

/// Builds and runs a benchmark. Its programs get only what it gives them; it needs nothing of the environment.
pub(crate) fn run(name: Bench, part: Option<&str>, count: Option<u64>, json: bool) -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release"])
        .args(["-p", "maestria-cli", "-p", "maestria-testkit", "-p", "maestria-benches"])
        .status()?;
    ensure!(built.success(), "building the benchmarks failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = std::path::absolute(target.join("release"))?;
    let program = |name: &str| folder.join(name);
    let mut bench = match name {
        Bench::Supervise => {
            let mut bench = Command::new(program("bench-supervise"));
            bench.args([program("maestria"), program("fake-agent")]);
            bench.args(part);
            bench
        }
        Bench::Gateway => {
            let mut bench = Command::new(program("bench-gateway"));
            bench.arg(program("maestria"));
            bench.args(part);
            bench.args(count.map(|count| count.to_string()));
            bench.args(json.then_some("--json"));
            bench.args(others(part)?);
            bench
        }
        Bench::Server => {
            let mut bench = Command::new(program("bench-server"));
            // On a real disk, as below.
            bench.args([program("maestria"), folder.clone()]);
            bench.args(part);
            bench
        }
        Bench::Sandbox => {
            let mut bench = Command::new(program("bench-sandbox"));
            bench.arg(program("maestria"));
            bench.args(part);
            bench
        }
        Bench::Store => {
            let mut bench = Command::new(program("bench-store"));
            // On a real disk, which the folder for passing files often is not.
            bench.arg(&folder);
            bench
        }
    };
    let status = bench.status().context("starting the benchmark")?;
    ensure!(status.success(), "the benchmark failed: {status}");
    Ok(())
}

/// Other gateways to measure beside ours, in exact versions.
const OTHERS: &[&str] = &["tensorzero==2026.6.0", "smg==1.13.0", "litellm[proxy]==1.106.2"];

/// Where their programs are, installed once; when all parts are measured, those are left out that cannot be.
fn others(part: Option<&str>) -> anyhow::Result<Option<String>> {
    if !matches!(part, None | Some("others")) {
        return Ok(None);
    }
    println!("installing the other gateways, once");
    match crate::python::install(&std::path::absolute(".cache/gateways")?, OTHERS) {
        Ok(programs) => Ok(Some(format!("--packages={}", programs.display()))),
        Err(error) if part.is_none() => {
            println!("the other gateways are left out: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The benchmarks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Bench {
    /// What supervision costs, what it holds, and what it never leaves behind.
    Supervise,
    /// The gateway beside nginx: calls, CPU, latency, large bodies, streams, translation, routing; its budgets under
    /// kills; its memory over a million calls.
    Gateway,
    /// The server beside nginx with a file: reads, submissions, and a thousand readers of the stream.
    Server,
    /// The sandbox beside a bare start and bubblewrap; what its limits hold to; a server beside workers that want everything.
    Sandbox,
    /// How fast events become durable, beside a bare SQLite loop; and a store with a million of them.
    Store,
}
