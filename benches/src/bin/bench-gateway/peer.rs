//! Those who are measured, each on the first core.

use anyhow::{Context as _, ensure};
use maestria_benches::{Running, find, nginx, on_first_core, resident, told_port};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server under measurement.
pub(crate) struct Peer {
    child: Running,
    pub(crate) port: u16,
    key: String,
    /// The gateway's program and folder, to start it again.
    home: Option<(PathBuf, PathBuf)>,
}

fn of_program(program: &Path, folder: &Path) -> Command {
    let mut command = on_first_core(program);
    command
        .env("HOME", folder)
        .arg("--config")
        .arg(folder.join("maestria.toml"));
    command
}

fn start(program: &Path, folder: &Path) -> anyhow::Result<(Running, u16)> {
    let mut gateway = of_program(program, folder);
    gateway.arg("gateway").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Running(gateway.spawn()?);
    let port = told_port(&mut child.0)?;
    Ok((child, port))
}

impl Peer {
    /// A server that was started.
    pub(crate) const fn new(child: Child, port: u16, key: String) -> Self {
        Self {
            child: Running(child),
            port,
            key,
            home: None,
        }
    }

    /// The gateway with everything on: a client key, a budget, the meter.
    pub(crate) fn gateway(program: &Path, folder: &Path, upstream: u16) -> anyhow::Result<Self> {
        let config = folder.join("maestria.toml");
        fs::write(
            &config,
            format!(
                "[gateway]\nlisten = \"127.0.0.1:0\"\n[budget]\nday = 1000000.0\n[store]\npath = \"{}\"\n\
                 [providers.p]\ndialect = \"openai\"\nbase_url = \"http://127.0.0.1:{upstream}/v1\"\nkey = \"k\"\nmodels = [\"m\"]\n",
                folder.join("m.db").display()
            ),
        )?;
        let made = of_program(program, folder)
            .args(["keys", "create", "--name", "bench"])
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (child, port) = start(program, folder)?;
        let key = String::from_utf8(made.stdout)?.trim().to_owned();
        let home = Some((program.to_owned(), folder.to_owned()));
        Ok(Self { child, port, key, home })
    }

    /// Kills the gateway as it is, and starts it again on the same books; when that was.
    pub(crate) fn restart(&mut self) -> anyhow::Result<Instant> {
        let (program, folder) = self.home.as_ref().context("only a gateway is started again")?;
        self.child.0.kill()?;
        self.child.0.wait()?;
        let begun = Instant::now();
        (self.child, self.port) = start(program, folder)?;
        Ok(begun)
    }

    /// nginx, passing on.
    pub(crate) fn nginx(folder: &Path, upstream: u16) -> anyhow::Result<Option<Self>> {
        let rules = format!(
            "client_max_body_size 32m; client_body_buffer_size 1m;\n\
             upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n"
        );
        let place =
            "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;";
        let started = nginx::start(folder, &rules, place)?;
        Ok(started.map(|(child, port)| Self::new(child, port, "none".to_owned())))
    }

    /// The request with this peer's key in it.
    pub(crate) fn with_key(&self, request: &[u8]) -> Vec<u8> {
        let at = find(request, b"KEY").unwrap_or(0);
        [&request[..at], self.key.as_bytes(), &request[at + 3..]].concat()
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // A hundred clock ticks are a second on every architecture.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory now, in MB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        Ok(resident(self.child.0.id())? / 1024.0)
    }
}
