//! `cargo xtask test`: every test of the workspace.

use anyhow::{Context as _, bail};
use std::process::{Command, Stdio};

/// Runs all tests, with nextest where it is installed (its summary is the last thing printed).
pub(crate) fn run() -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    if has_nextest() {
        command.args(["nextest", "run", "--workspace"]);
    } else {
        eprintln!("cargo-nextest is not installed; using cargo test (cargo install --locked cargo-nextest is faster)");
        command.args(["test", "--workspace", "--quiet"]);
    }
    // Both build every program of the workspace before the first test; no test needs to build one.
    let status = command
        .env("MAESTRIA_ALL_BUILT", "1")
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("tests failed: {status}");
    }
    Ok(())
}

fn has_nextest() -> bool {
    let probe = Command::new(env!("CARGO"))
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}
