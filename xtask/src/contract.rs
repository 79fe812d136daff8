//! `cargo xtask contract`: the real agent CLIs, at exact versions, against the loopback model server.

use anyhow::{Context as _, bail};
use std::process::Command;

/// Installs the CLIs where npm is, and runs the tests that drive them. Without npm they say that they were skipped.
pub(crate) fn run() -> anyhow::Result<()> {
    let installed = Command::new("bash")
        .arg(".ci/install-clis")
        .status()
        .context("starting .ci/install-clis")?;
    if !installed.success() {
        bail!("the agent CLIs could not be installed: {installed}");
    }
    let filter = "(package(maestria-testkit) and test(real_cli)) or (package(maestria-agents) and test(contract))";
    let status = Command::new(env!("CARGO"))
        .args([
            "nextest",
            "run",
            "-p",
            "maestria-testkit",
            "-p",
            "maestria-agents",
            "--success-output",
            "final",
            "-E",
            filter,
        ])
        .status()
        .context("starting cargo nextest")?;
    if !status.success() {
        bail!("a real CLI does not keep the contract: {status}");
    }
    Ok(())
}
