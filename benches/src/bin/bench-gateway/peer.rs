//! Those who are measured, each on the first core.

use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server under measurement; ended when dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
    key: String,
    /// The gateway's program and folder, to start it again.
    home: Option<(PathBuf, PathBuf)>,
}

/// Leaves the first core to the peers.
pub(crate) fn leave_first_core() -> anyhow::Result<()> {
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

fn on_first_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program).env_clear();
    command
}

fn of_program(program: &Path, folder: &Path) -> Command {
    let mut command = on_first_core(program);
    command
        .env("HOME", folder)
        .arg("--config")
        .arg(folder.join("maestria.toml"));
    command
}

fn start(program: &Path, folder: &Path) -> anyhow::Result<(Child, u16)> {
    let mut child = of_program(program, folder)
        .arg("gateway")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line)?;
    let port = line.trim().rsplit(':').next().context("an address")?.parse()?;
    Ok((child, port))
}

impl Peer {
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

    /// Kills the gateway as it is, and starts it again on the same books.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        let (program, folder) = self.home.as_ref().context("only a gateway is started again")?;
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.port) = start(program, folder)?;
        Ok(())
    }

    /// nginx with one worker and kept connections; none where it is not installed.
    pub(crate) fn nginx(folder: &Path, upstream: u16) -> anyhow::Result<Option<Self>> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .iter()
            .map(Path::new)
            .find(|p| p.exists());
        let Some(program) = program else { return Ok(None) };
        let port = free_port()?;
        let config = folder.join("nginx.conf");
        let place = folder.display();
        fs::write(
            &config,
            format!(
                "worker_processes 1; daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log crit;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
                 fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
                 client_max_body_size 32m; client_body_buffer_size 1m; keepalive_requests 1000000000;\n\
                 upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
                 server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n"
            ),
        )?;
        let child = on_first_core(program)
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()?;
        let peer = Self {
            child,
            port,
            key: "none".to_owned(),
            home: None,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("nginx does not listen");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(peer))
    }

    /// The request with this peer's key in it.
    pub(crate) fn with_key(&self, request: &[u8]) -> Vec<u8> {
        let at = crate::upstream::find(request, b"KEY").unwrap_or(0);
        [&request[..at], self.key.as_bytes(), &request[at + 3..]].concat()
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // A hundred clock ticks are a second on every architecture.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory now, in MB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes: f64 = line.split_whitespace().next().context("a number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
