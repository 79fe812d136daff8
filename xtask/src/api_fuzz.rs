//! `cargo xtask api-fuzz`: schemathesis, with all its checks, against the real server with real runs in its store.
//!
//! The server has a home of its own and a cleared environment; `xtask/fuzz/hooks.py` sees to it that no made-up request
//! is worked on outside of it.

use crate::{clients::Served, python};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// An exact version, so that a failure is ours.
const PACKAGES: &[&str] = &["schemathesis==4.32.5"];

/// How it names an answer of 500 and more.
const SERVER_ERROR: &str = "ST101";

const TASK: &str = "Add a --json flag to greet.sh and a --shout flag to farewell.sh, then document and test both";

/// Nothing is ever good enough, so a person is asked.
const STRICT: &str = r#"
name = "strict"
description = "Wait for a person, whatever comes of it."
stages = ["plan", "edit", "review", "validate"]
[limits]
confidence_percent = 100
"#;

/// How `maestria run` ends when a person must decide.
const WAITS: i32 = 9;

/// Sends about so many requests, at the least, and fails when an answer is not what the document says.
pub(crate) fn run(cases: u32, seed: Option<u32>) -> anyhow::Result<()> {
    let maestria = build()?;
    let programs = python::install(&std::path::absolute(".cache/schemathesis")?, PACKAGES)?;
    let scene = tempfile::tempdir()?;
    repository(&scene.path().join("app"))?;
    let workflows = scene.path().join(".config/maestria/workflows");
    fs::create_dir_all(&workflows)?;
    fs::write(workflows.join("strict.toml"), STRICT)?;
    for workflow in ["develop", "plan", "strict"] {
        work(&maestria, scene.path(), workflow)?;
    }
    let token = say(in_scene(&maestria, scene.path()).arg("token"))?;
    let mut serve = in_scene(&maestria, scene.path());
    serve.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::null());
    let (mut server, url) = Served::start(&mut serve)?;

    let report = scene.path().join("report.json");
    let mut fuzzer = Command::new(programs.join("schemathesis"));
    fuzzer
        .env_clear()
        .env("HOME", scene.path())
        .env("PYTHONPATH", std::path::absolute("xtask/fuzz")?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("MAESTRIA_SERVER", &url)
        .env("MAESTRIA_TOKEN", token.trim())
        .env("MAESTRIA_SCENE", scene.path())
        .current_dir(scene.path());
    fuzzer
        .arg("--config-file")
        .arg(std::path::absolute("xtask/fuzz/schemathesis.toml")?);
    // Threads of Python's make its own parser fail now and then, and gain nothing.
    fuzzer.arg("run").arg(std::path::absolute("docs/openapi.json")?);
    fuzzer.args(["--url", &url, "--checks", "all", "--no-color", "--workers", "1"]);
    fuzzer.args(["--max-examples", &cases.div_ceil(operations()?).to_string()]);
    fuzzer.args(seed.map(|seed| format!("--seed={seed}")));
    fuzzer.arg("--report=json").arg("--report-json-path").arg(&report);
    let patience = Duration::from_secs(600 + u64::from(cases) / 5);
    let passed = wait(fuzzer.spawn().context("starting schemathesis")?, patience)?;
    ensure!(server.is_alive(), "the server has ended meanwhile");
    let told: Value = serde_json::from_slice(&fs::read(&report).context("schemathesis left no report")?)?;
    println!("{}", summary(&told)?);
    ensure!(passed, "the server does not do what its document says");
    Ok(())
}

/// The figures of the report, in a line.
fn summary(report: &Value) -> anyhow::Result<String> {
    let cases = &report["test_cases"];
    let count = |name: &str| {
        cases[name]
            .as_u64()
            .with_context(|| format!("the report has no `{name}`"))
    };
    let failures = report["failures"].as_array().context("the report has no failures")?;
    let defects = failures.iter().filter(|failure| failure["code"] == SERVER_ERROR);
    let defects: u64 = defects.filter_map(|failure| failure["count"].as_u64()).sum();
    Ok(format!(
        "cases {} failures {} errors {} 5xx {defects}",
        count("generated")?,
        count("unique_failures")?,
        count("errored")?
    ))
}

fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "maestria-cli"])
        .status()?;
    ensure!(built.success(), "building failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(std::path::absolute(target)?.join("debug/maestria"))
}

/// How many operations the document has.
fn operations() -> anyhow::Result<u32> {
    let document: Value = serde_json::from_slice(&fs::read("docs/openapi.json")?)?;
    let paths = document["paths"].as_object().context("the document has no paths")?;
    let count: usize = paths
        .values()
        .filter_map(Value::as_object)
        .map(serde_json::Map::len)
        .sum();
    Ok(u32::try_from(count)?.max(1))
}

/// A run of the playbook, to its end or until it waits for a person.
fn work(maestria: &Path, scene: &Path, workflow: &str) -> anyhow::Result<()> {
    let mut run = in_scene(maestria, scene);
    run.args(["run", TASK, "--target", "app", "--workflow", workflow, "--no-dashboard"]);
    run.args(["--agents", "playbook-author,playbook-reviewer"]);
    let output = run.output().context("starting maestria")?;
    ensure!(
        output.status.success() || output.status.code() == Some(WAITS),
        "{run:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn in_scene(program: &Path, scene: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", scene).current_dir(scene);
    // Nothing but the system's own programs: no agent of whoever runs this is found, and none is started.
    command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn say(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The sample of the demo, as a repository.
fn repository(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder)?;
    for entry in fs::read_dir("crates/cli/demo/sample")? {
        let path = entry?.path();
        fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
    }
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=fuzz", "-c", "user.email=fuzz@localhost"];
        let mut git = in_scene(Path::new("/usr/bin/git"), folder);
        say(git.args(identity).args(words))
    };
    git(&["init", "-q", "-b", "main"])?;
    git(&["add", "-A"])?;
    git(&["commit", "-qm", "begin"])?;
    Ok(())
}

/// Whether it ended well; it is ended when it takes too long.
fn wait(mut child: Child, patience: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("schemathesis was not done after {} s", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
}
