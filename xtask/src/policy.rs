//! `cargo xtask policy`: the command policy beside bash, and against text that nobody would write, with the figures.

use anyhow::{Context as _, ensure};
use std::process::Command;

/// Runs the tests of the ordinary suite with more scripts and texts, optimised, one after the other so that the times are
/// those of the policy.
pub(crate) fn run(scripts: u32, texts: u32, seed: u64) -> anyhow::Result<()> {
    println!("policy: {scripts} scripts, {texts} texts, seed {seed}");
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--release", "-p", "maestria-sandbox", "--test", "it"])
        .args(["--", "policy::", "--nocapture", "--test-threads=1"])
        .env("MAESTRIA_POLICY_SCRIPTS", scripts.to_string())
        .env("MAESTRIA_POLICY_TEXTS", texts.to_string())
        .env("MAESTRIA_POLICY_SEED", seed.to_string())
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "the policy does not hold; `--seed {seed}` repeats it");
    Ok(())
}
