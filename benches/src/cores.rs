//! One core for the one that is measured, the others for everything else.

use anyhow::ensure;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Leaves the first core to those who are measured.
///
/// # Errors
/// When `taskset` cannot be started.
pub fn leave_first_core() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        return Ok(());
    }
    let pid = std::process::id().to_string();
    let others = format!("1-{}", cores - 1);
    let set = Command::new("taskset")
        .args(["-a", "-p", "-c", &others, &pid])
        .stdout(Stdio::null())
        .status()?;
    ensure!(set.success(), "taskset failed");
    Ok(())
}

/// A program on the first core, with nothing in its environment.
pub fn on_first_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program).env_clear();
    command
}
