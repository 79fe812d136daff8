//! Virtual environments for the Python programs that test the product from outside.

use anyhow::{Context as _, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A virtual environment with exactly these packages; made once. Answers with the folder of its programs.
pub(crate) fn install(folder: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let programs = folder.join("bin");
    let mark = folder.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|kept| kept == packages.join(" ")) {
        return Ok(programs);
    }
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder)
        .status();
    ensure!(
        made.context("starting python3")?.success(),
        "no virtual environment could be made"
    );
    let installed = Command::new(programs.join("python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(packages)
        .status()?;
    ensure!(installed.success(), "these cannot be installed: {}", packages.join(" "));
    fs::write(mark, packages.join(" "))?;
    Ok(programs)
}
