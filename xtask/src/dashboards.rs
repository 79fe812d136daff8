//! `cargo xtask dashboards`: every expression of the dashboards and the alerts is parsed by promtool, and the alerts fire when
//! they should.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const TESTS: &str = "deploy/prometheus/alerts.test.yml";
const BOARDS: &str = "deploy/grafana";

/// What Grafana fills in, as something that promtool can read.
const INTERVAL: (&str, &str) = ("$__rate_interval", "5m");

pub(crate) fn run() -> anyhow::Result<()> {
    promtool(&["check", "rules", ALERTS])?;
    promtool(&["test", "rules", TESTS])?;
    let folder = tempfile::tempdir()?;
    let mut rules = Vec::new();
    for entry in fs::read_dir(BOARDS)? {
        rules.extend(rules_of(&entry?.path())?);
    }
    ensure!(!rules.is_empty(), "{BOARDS} has no expressions");
    println!("{} expressions of dashboards", rules.len());
    // YAML takes JSON.
    let file = folder.path().join("dashboards.yml");
    let text = json!({"groups": [{"name": "dashboards", "rules": rules}]}).to_string();
    fs::write(&file, text)?;
    promtool(&["check", "rules", &file.display().to_string()])
}

/// The expressions of a dashboard, as rules.
fn rules_of(board: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(board).with_context(|| board.display().to_string())?;
    let parsed: Value = serde_json::from_str(&text).with_context(|| board.display().to_string())?;
    let name = board.file_stem().unwrap_or_default().to_string_lossy();
    let panels = parsed["panels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        targets.iter().map(|target| (panel["id"].to_string(), target))
    });
    let rule = |(panel, target): (String, &Value)| {
        let expr = target["expr"]
            .as_str()
            .unwrap_or_default()
            .replace(INTERVAL.0, INTERVAL.1);
        let part = target["refId"].as_str().unwrap_or_default();
        json!({"record": format!("{name}:panel{panel}:{part}"), "expr": expr})
    };
    Ok(targets.map(rule).collect())
}

fn promtool(args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("promtool")
        .args(args)
        .status()
        .context("starting promtool, which Debian's package `prometheus` holds")?;
    ensure!(status.success(), "promtool {} failed", args.join(" "));
    Ok(())
}
