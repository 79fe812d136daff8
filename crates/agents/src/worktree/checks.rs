//! The project's own checks: found or configured, run as a supervised process, judged by their exit code.

use crate::{chain::chain, trust::Sight, walls::Ground};
use maestria_kernel::finding::{Finding, Severity, Validation};
use maestria_sandbox::{Demand, Limits, Network, Spec, Supervised};
use std::{
    ffi::OsString,
    path::Path,
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt as _;

/// The end of the output that is kept, in bytes.
const TAIL: usize = 16 * 1024;

/// How a project is checked.
#[derive(Debug, Clone)]
pub struct Checks {
    /// The command, as argv; `None` looks for one in the project.
    pub command: Option<Vec<String>>,
    /// The longest it may take.
    pub timeout: Duration,
    /// Whether it is walled in: it runs what agents have written.
    pub sandbox: Demand,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            command: None,
            timeout: Duration::from_secs(15 * 60),
            sandbox: Demand::default(),
        }
    }
}

/// The command that checks a project, by what lies in its folder.
pub fn detect(folder: &Path) -> Option<Vec<String>> {
    let has = |name: &str| folder.join(name).is_file();
    let says = |name: &str, what: &str| std::fs::read_to_string(folder.join(name)).is_ok_and(|t| t.contains(what));
    let command: &[&str] = if has("test.sh") {
        &["sh", "test.sh"]
    } else if has("Cargo.toml") {
        &["cargo", "test", "--quiet"]
    } else if has("package.json") && has_test_script(&folder.join("package.json")) {
        &["npm", "test", "--silent"]
    } else if has("pytest.ini") || has("tox.ini") || says("pyproject.toml", "pytest") || has("conftest.py") {
        &["python3", "-m", "pytest", "-q"]
    } else if has("go.mod") {
        &["go", "test", "./..."]
    } else if says("Makefile", "\ntest:") || says("Makefile", "test:") && !says("Makefile", "-test:") {
        &["make", "test"]
    } else {
        return None;
    };
    Some(command.iter().map(|s| (*s).to_owned()).collect())
}

/// npm's own template says `no test specified`.
fn has_test_script(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    value["scripts"]["test"]
        .as_str()
        .is_some_and(|s| !s.contains("no test specified"))
}

impl Checks {
    /// Runs the checks in a folder. Never fails: what could not be run is said in the result.
    pub(super) async fn run(&self, folder: &Path, workspace: &Path, sight: &Sight) -> Validation {
        let Some(command) = self.command.clone().or_else(|| detect(folder)) else {
            return Validation::none();
        };
        let Some((program, args)) = command.split_first() else {
            return Validation::none();
        };
        let shown = command.join(" ");
        if let Some(why) = unready(program, folder) {
            return not_run(shown, why);
        }
        if let (Demand::Off, Some(why)) = (self.sandbox, sight.unwalled()) {
            return not_run(shown, &why);
        }
        let begun = Instant::now();
        let mut spec = Spec::new(program, folder);
        spec.args = args.iter().map(OsString::from).collect();
        spec.env = environment(workspace);
        spec.limits = Limits {
            cpu_percent: None,
            memory: None,
            ..Limits::default()
        };
        let ground = Ground {
            program: &spec.program,
            worktree: folder,
            read_only: false,
            write: vec![workspace.join("home"), workspace.join("build")],
            env: &spec.env,
            hidden: &sight.hidden,
            network: Network::loopback(),
        };
        spec.walls = ground.walls(self.sandbox);
        let mut worker = match Supervised::spawn(spec) {
            Ok(worker) => worker,
            Err(error) => return not_run(shown, &chain(&error)),
        };
        let (out, err) = (worker.take_stdout(), worker.take_stderr());
        let reading = async { tokio::join!(tail(out), tail(err)) };
        let watched = async { tokio::join!(reading, worker.wait()) };
        let ended = tokio::time::timeout(self.timeout, watched).await;
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Ok(((out, err), exit)) = ended else {
            worker.kill().await;
            let output = format!("stopped after {} s, the time limit for checks", self.timeout.as_secs());
            return Validation {
                command: Some(shown),
                passed: Some(false),
                output,
                millis,
                ..Validation::none()
            };
        };
        let mut output = out;
        output.push_str(&err);
        if let Some(why) = ran_nothing(&command, exit.code, &output) {
            return Validation {
                exit_code: exit.code,
                millis,
                ..not_run(shown, why)
            };
        }
        let passed = Some(exit.is_zero());
        let exit_code = exit.code.or_else(|| exit.signal.map(|s| -s));
        Validation {
            command: Some(shown),
            passed,
            exit_code,
            output,
            findings: Vec::new(),
            millis,
        }
    }
}

/// Why a found check cannot tell anything here, seen before it runs.
fn unready(program: &str, folder: &Path) -> Option<&'static str> {
    if program != "npm" || folder.join("node_modules").is_dir() {
        return None;
    }
    let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let wants = |name: &str| value[name].as_object().is_some_and(|o| !o.is_empty());
    (wants("dependencies") || wants("devDependencies"))
        .then_some("its dependencies are not installed in this worktree; configure a check command that installs them")
}

/// Why a check that ended has told nothing: the tool is not there, or it found no test.
fn ran_nothing(command: &[String], code: Option<i32>, output: &str) -> Option<&'static str> {
    let pytest = command.iter().any(|word| word == "pytest");
    match code {
        Some(1) if pytest && output.contains("No module named pytest") => Some("pytest is not installed"),
        Some(5) if pytest => Some("pytest found no test"),
        _ => None,
    }
}

fn not_run(command: String, why: &str) -> Validation {
    let message = format!("`{command}` did not run: {why}");
    let finding = Finding {
        severity: Severity::Warning,
        file: None,
        line: None,
        message: message.clone(),
    };
    Validation {
        command: Some(command),
        output: message,
        findings: vec![finding],
        ..Validation::none()
    }
}

/// A clean environment with what toolchains need to be found; builds go into the session, not into the tree.
fn environment(workspace: &Path) -> Vec<(OsString, OsString)> {
    let home = workspace.join("home");
    // Without it tools complain, but the checks can still tell.
    let _ = std::fs::create_dir_all(&home);
    let _ = std::fs::create_dir_all(workspace.join("build"));
    let mut env: Vec<(OsString, OsString)> = vec![
        ("HOME".into(), home.into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("CI".into(), "true".into()),
        ("CARGO_TARGET_DIR".into(), workspace.join("build").into()),
    ];
    let own_home = std::env::var_os("HOME")
        .map(std::path::PathBuf::from)
        .unwrap_or_default();
    for (name, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let value = std::env::var_os(name).unwrap_or_else(|| own_home.join(default).into());
        env.push((name.into(), value));
    }
    env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
    env
}

/// Reads to the end and keeps the last part.
async fn tail(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * TAIL {
            kept.drain(..kept.len() - TAIL);
        }
    }
    let start = kept.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&kept[start..]).into_owned()
}
