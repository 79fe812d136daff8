//! Other gateways on the same calls: from their packages, each in its plainest set-up, on the first core.

use crate::{peer::Peer, per_call, request, upstream};
use anyhow::{Context as _, bail};
use maestria_benches::{Figure, Table, free_port, median, on_first_core, run};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Interleaved repetitions.
const ROUNDS: usize = 3;

/// One repetition.
const LENGTH: Duration = Duration::from_secs(2);

/// How long one may take to start; those in Python import for a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// LiteLLM does not start without a long one.
const KEY: &str = "sk-0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";

/// A gateway, and how it is asked.
struct Other {
    name: &'static str,
    peer: Peer,
    path: &'static str,
    model: &'static str,
    /// So many times as many calls a second as it makes are ours.
    goal: f64,
    rps: Vec<f64>,
    cpu: Vec<f64>,
    p50: Vec<f64>,
}

impl Other {
    fn new(name: &'static str, peer: Peer, goal: f64) -> Self {
        Self {
            name,
            peer,
            path: "/v1/chat/completions",
            model: "m",
            goal,
            rps: Vec::new(),
            cpu: Vec::new(),
            p50: Vec::new(),
        }
    }

    fn question(&self) -> Vec<u8> {
        let text = "word ".repeat(200);
        let body = format!(
            r#"{{"model":"{}","stream":false,"max_tokens":200,"messages":[{{"role":"user","content":"{text}"}}]}}"#,
            self.model
        );
        self.peer.with_key(&request(self.path, &body))
    }

    /// Returns when it answers.
    async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = run(self.peer.port, self.question(), 1, Duration::from_millis(1)).await {
            if Instant::now() > deadline {
                bail!("{} does not answer: {error:#}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn measure(&mut self) -> anyhow::Result<()> {
        let before = self.peer.cpu()?;
        let calls = run(self.peer.port, self.question(), 32, LENGTH).await?;
        self.cpu.push(per_call(self.peer.cpu()? - before, &calls));
        self.rps.push(calls.a_second());
        let alone = run(self.peer.port, self.question(), 1, LENGTH / 2).await?;
        self.p50.push(alone.p50_micros());
        Ok(())
    }
}

/// Measures the gateway beside those whose programs are in the folder `packages`.
pub(crate) async fn compare(program: &Path, packages: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = upstream::start().await?;
    let mut all = vec![
        Other::new("maestria", Peer::gateway(program, folder.path(), upstream)?, 0.0),
        Other {
            path: "/openai/v1/chat/completions",
            model: "tensorzero::model_name::m",
            ..Other::new("TensorZero", tensorzero(packages, folder.path(), upstream)?, 5.0)
        },
        Other::new("SMG", smg(packages, folder.path(), upstream)?, 1.0),
        Other::new("LiteLLM", litellm(packages, folder.path(), upstream)?, 200.0),
    ];
    for other in &all {
        other.ready().await?;
    }
    // The first round only warms up.
    for round in 0..=ROUNDS {
        for other in &mut all {
            other.measure().await?;
            if round == 0 {
                (other.rps, other.cpu, other.p50) = Default::default();
            }
        }
    }
    let Some((ours, others)) = all.split_first() else {
        return Ok(());
    };
    for other in others {
        let pairs: Vec<f64> = ours
            .rps
            .iter()
            .zip(&other.rps)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        let beside = format!(
            "{:.0} a second beside {:.0}; CPU {:.0} µs beside {:.0}; p50 {:.0} µs beside {:.0}",
            median(&ours.rps),
            median(&other.rps),
            median(&ours.cpu),
            median(&other.cpu),
            median(&ours.p50),
            median(&other.p50),
        );
        let name = format!("calls, c=32, 1 KB, of {}", other.name);
        table.show(&Figure::at_least(name, median(&pairs), "×", other.goal, beside));
    }
    Ok(())
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = on_first_core(program);
    command
        .env("HOME", folder)
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn tensorzero(packages: &Path, folder: &Path, upstream: u16) -> anyhow::Result<Peer> {
    let (config, script) = (folder.join("tensorzero.toml"), folder.join("serve.py"));
    fs::write(
        &config,
        format!(
            "[gateway]\nobservability.enabled = false\n[models.m]\nrouting = [\"p\"]\n[models.m.providers.p]\n\
             type = \"openai\"\nmodel_name = \"m\"\napi_base = \"http://127.0.0.1:{upstream}/v1/\"\napi_key_location = \"none\"\n"
        ),
    )?;
    fs::write(&script, include_str!("../../../peers/serve_tensorzero.py"))?;
    let mut child = command(&packages.join("python"), folder)
        .arg(script)
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().context("stdout")?;
    let mut port = None;
    for line in BufReader::new(out).lines() {
        // Its log is there as well.
        if let Some(rest) = line?.strip_prefix("http://127.0.0.1:") {
            port = rest.split('/').next().and_then(|port| port.parse().ok());
            break;
        }
    }
    let port = port.context("TensorZero does not say where it listens")?;
    Ok(Peer::new(child, port, KEY.to_owned()))
}

fn smg(packages: &Path, folder: &Path, upstream: u16) -> anyhow::Result<Peer> {
    let (port, metrics) = (free_port()?, free_port()?);
    let child = command(&packages.join("smg"), folder)
        .args(["launch", "--host", "127.0.0.1", "--port", &port.to_string()])
        .args([
            "--prometheus-host",
            "127.0.0.1",
            "--prometheus-port",
            &metrics.to_string(),
        ])
        .args([
            "--backend",
            "openai",
            "--worker-urls",
            &format!("http://127.0.0.1:{upstream}"),
        ])
        .args([
            "--disable-health-check",
            "--history-backend",
            "none",
            "--log-level",
            "error",
        ])
        .spawn()?;
    Ok(Peer::new(child, port, KEY.to_owned()))
}

fn litellm(packages: &Path, folder: &Path, upstream: u16) -> anyhow::Result<Peer> {
    let (config, port) = (folder.join("litellm.yaml"), free_port()?);
    fs::write(
        &config,
        format!(
            "model_list:\n  - model_name: m\n    litellm_params: {{model: openai/m, api_base: \"http://127.0.0.1:{upstream}/v1\", api_key: k}}\n"
        ),
    )?;
    let child = command(&packages.join("litellm"), folder)
        .env("LITELLM_MASTER_KEY", KEY)
        // Otherwise it fetches prices from elsewhere.
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .arg("--config")
        .arg(config)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--num_workers", "1", "--telemetry", "False"])
        .spawn()?;
    Ok(Peer::new(child, port, KEY.to_owned()))
}
