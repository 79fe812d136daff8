//! `cargo xtask e2e`: the dashboard in Chromium against the real program with real runs: every screen, by keyboard, in both
//! schemes, through the death of the server, with axe. And the pictures of the screens.

use crate::ui;
use anyhow::{Context as _, ensure};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where the pictures of the screens are kept.
const PICTURES: &str = "docs/screens";

/// Runs the tests, or takes the pictures.
pub(crate) fn run(pictures: bool) -> anyhow::Result<()> {
    ui::install()?;
    let program = build()?;
    let mut node = Command::new("node");
    node.current_dir(ui::SOURCES);
    if pictures {
        node.arg("e2e/pictures.mjs").arg(std::path::absolute(PICTURES)?);
    } else {
        node.args(["--test", "--test-reporter=spec", "e2e/dashboard.test.mjs"]);
    }
    // The browser and the program see nothing of whoever runs this: the stage makes a home of its own.
    node.env_clear().env("MAESTRIA", program);
    for kept in ["PATH", "CHROMIUM", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            node.env(kept, value);
        }
    }
    let status = node.status().context("starting node")?;
    ensure!(status.success(), "the dashboard does not do what it should");
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "maestria-cli"])
        .status()?;
    ensure!(built.success(), "building failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(std::path::absolute(target)?.join(Path::new("debug/maestria")))
}
