//! `cargo xtask clients`: the vendors' own Python clients against the gateway, which stands before a loopback model
//! server: every call kind in every dialect on every provider.

use crate::python;
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Exact versions, so that a failure is ours.
const PACKAGES: &[&str] = &["openai==3.52.0", "anthropic==2.11.0", "google-genai==3.4.0"];

/// Builds what is needed, installs the clients once, and runs them.
pub(crate) fn run() -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "maestria-cli", "-p", "maestria-testkit"])
        .status()?;
    ensure!(built.success(), "building failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let target = std::path::absolute(target)?;
    let python = python::install(&target.join("clients"), PACKAGES)?.join("python");
    let programs = target.join("debug");
    let home = tempfile::tempdir()?;
    let (_server, url) = Served::start(Command::new(programs.join("model-server")).arg("--print-url"))?;
    let config = home.path().join("config.toml");
    fs::write(&config, configuration(&url))?;
    let maestria = |args: &[&str]| {
        let mut command = Command::new(programs.join("maestria"));
        command
            .env_clear()
            .env("HOME", home.path())
            .arg("--config")
            .arg(&config)
            .args(args);
        command
    };
    let made = maestria(&["keys", "create", "--name", "clients"]).output()?;
    ensure!(
        made.status.success(),
        "no key: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let key = String::from_utf8(made.stdout)?;
    let (_gateway, gateway) = Served::start(&mut maestria(&["gateway"]))?;
    let status = Command::new(python)
        .env_clear()
        .env("HOME", home.path())
        .args(["xtask/clients/clients.py", &gateway, key.trim()])
        .status()?;
    ensure!(status.success(), "the clients found failures");
    Ok(())
}

fn configuration(url: &str) -> String {
    let mut text = "[gateway]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (dialect, path) in [
        ("openai", "/v1"),
        ("responses", "/v1"),
        ("anthropic", ""),
        ("gemini", ""),
    ] {
        text += &format!(
            "[providers.{dialect}]\ndialect = \"{dialect}\"\nbase_url = \"{url}{path}\"\nkey = \"k\"\nmodels = [\"m\", \"limited\"]\n"
        );
    }
    text
}

/// A server that tells its address in its first line; ended when dropped.
pub(crate) struct Served(Child);

impl Served {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<(Self, String)> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let Some(out) = child.stdout.take() else {
            bail!("no stdout")
        };
        let served = Self(child);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        ensure!(line.starts_with("http"), "it did not start: {line}");
        Ok((served, line.trim().to_owned()))
    }
}

impl Served {
    /// Whether it has not ended by itself.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
