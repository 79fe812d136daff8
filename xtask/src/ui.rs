//! `cargo xtask ui`: the dashboard's pages are checked, tested and built into `crates/web/dist`, which is committed. Node is
//! needed here and nowhere else.

use anyhow::{Context as _, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the sources of the pages are.
pub(crate) const SOURCES: &str = "crates/web/ui";

const BUILT: &str = "crates/web/dist";

/// Checks, tests and builds. With `check`, what is committed must be what the sources build.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    install()?;
    npm(&["run", "check"])?;
    npm(&["run", "test"])?;
    let before = contents()?;
    npm(&["run", "build"])?;
    ensure!(
        !check || before == contents()?,
        "{BUILT} is not what {SOURCES} builds; `cargo xtask ui` has built it, commit it"
    );
    Ok(())
}

/// Fetches what the lock file names, once.
pub(crate) fn install() -> anyhow::Result<()> {
    let lock = Path::new(SOURCES).join("package-lock.json");
    let installed = Path::new(SOURCES).join("node_modules/.package-lock.json");
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    if matches!((time(&installed), time(&lock)), (Ok(installed), Ok(lock)) if installed >= lock) {
        return Ok(());
    }
    npm(&["ci"])
}

fn npm(words: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("npm").args(words).current_dir(SOURCES).status();
    let status = status.context("starting npm; node 20.19 or newer is needed to build the dashboard")?;
    ensure!(status.success(), "npm {} failed", words.join(" "));
    Ok(())
}

fn contents() -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(BUILT).with_context(|| format!("reading {BUILT}"))? {
        let path = entry?.path();
        files.insert(path.clone(), fs::read(path)?);
    }
    Ok(files)
}
