//! `cargo xtask openapi`: writes the API's document into docs/, where a test holds the program to it.

use anyhow::{Context as _, ensure};
use std::process::Command;

/// The test that compares writes instead when it is told to: there is one place that knows how.
pub(crate) fn run() -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--quiet",
            "-p",
            "maestria-server",
            "--lib",
            "the_committed_document",
        ])
        .env("UPDATE_DOCS", "1")
        .status()
        .context("starting cargo test")?;
    ensure!(status.success(), "the document could not be written: {status}");
    println!("docs/openapi.json is what the program serves; look at the difference before you commit it");
    Ok(())
}
