//! `cargo xtask contract`: the real agent CLIs, at exact versions, against the loopback model server.

use anyhow::{Context as _, bail};
use std::{path::PathBuf, process::Command};

/// Installs the CLIs where npm is, and runs the tests that drive them. Without npm they say that they were skipped.
pub(crate) fn run() -> anyhow::Result<()> {
    let installed = Command::new("bash")
        .arg(".ci/install-clis")
        .status()
        .context("starting .ci/install-clis")?;
    if !installed.success() {
        bail!("the agent CLIs could not be installed: {installed}");
    }
    if !is_installed() {
        println!("contract: SKIPPED, the real agent CLIs are not installed (npm is missing); nothing was proved");
        return Ok(());
    }
    let filter = "(package(maestria-testkit) and test(real_cli)) or (package(maestria-agents) and test(/^real::/)) \
                  or (package(maestria-cli) and test(/^real_workers::/))";
    let status = Command::new(env!("CARGO"))
        .args([
            "nextest",
            "run",
            "-p",
            "maestria-testkit",
            "-p",
            "maestria-agents",
            "-p",
            "maestria-cli",
        ])
        .args(["--status-level", "pass", "-E", filter])
        .status()
        .context("starting cargo nextest")?;
    if !status.success() {
        bail!("a real CLI does not keep the contract: {status}");
    }
    Ok(())
}

/// Whether `.ci/install-clis` has finished, here or where the variable that it knows says.
fn is_installed() -> bool {
    let cache = std::env::var_os("MAESTRIA_CLI_CACHE").map_or_else(|| PathBuf::from(".cache/clis"), PathBuf::from);
    cache.join("installed").exists()
}
