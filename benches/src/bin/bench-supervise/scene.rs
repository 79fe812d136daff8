//! Where everything happens: a folder that goes with the scene, a loopback model, repositories, configurations.

use anyhow::{Context as _, ensure};
use maestria_benches::Program;
use maestria_testkit::{
    ModelServer, RealCli,
    model::{Rule, Script, Step},
    real::Launch,
};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The file that a worker writes in its turn.
pub(crate) const WRITTEN: &str = "made.txt";

/// What the request of a turn is.
pub(crate) const TASK: &str = "Make the file made.txt";

/// Words of the planner's prompt, and of a reviewer's.
const PLANNER: &str = "You are a planner";
const REVIEWER: &str = "You judge a change";

pub(crate) struct Scene {
    pub(crate) maestria: PathBuf,
    pub(crate) fake_agent: PathBuf,
    server: ModelServer,
    ground: tempfile::TempDir,
    folders: Cell<u32>,
}

/// What a run of maestria told.
pub(crate) struct Told {
    pub(crate) events: Vec<Value>,
    /// The most memory maestria itself had, bytes.
    pub(crate) peak: u64,
}

impl Scene {
    pub(crate) async fn open(maestria: PathBuf, fake_agent: PathBuf) -> anyhow::Result<Self> {
        let server = ModelServer::start().await;
        let approve = json!({"verdict": "approve", "summary": "it does what was asked", "findings": []});
        let write = Step::Write {
            path: WRITTEN.to_owned(),
            content: "made\n".to_owned(),
        };
        let done = Step::Text("made the file".to_owned());
        server.rules([
            Rule::on(PLANNER, Script::of([Step::Json(crate::crowd::plan())])),
            Rule::on(REVIEWER, Script::of([Step::Text(approve.to_string())])),
        ]);
        server.rules(crate::crowd::rules());
        server.rules([Rule::always(Script::of([write, done]))]);
        Ok(Self {
            maestria,
            fake_agent,
            server,
            ground: tempfile::tempdir()?,
            folders: Cell::new(0),
        })
    }

    /// The base URL of the loopback model.
    pub(crate) fn url(&self) -> String {
        self.server.base_url()
    }

    /// A new empty folder.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        let number = self.folders.get();
        self.folders.set(number + 1);
        let folder = self.ground.path().join(number.to_string());
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A new repository with one commit.
    pub(crate) fn repository(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder()?;
        fs::write(folder.join("README.md"), "A repository to work on.\n")?;
        for words in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=bench",
                "-c",
                "user.email=bench@localhost",
                "commit",
                "-qm",
                "begin",
            ],
        ] {
            let mut git = Command::new("git");
            git.args(words).current_dir(&folder).env_clear().env("HOME", &folder);
            git.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            ensure!(git.status()?.success(), "git {words:?}");
        }
        Ok(folder)
    }

    /// How a real CLI is pointed at the loopback model; `None`, and a word about it, when it is not installed.
    pub(crate) fn launch(&self, cli: RealCli, home: &Path) -> anyhow::Result<Option<Launch>> {
        let launch = cli.launch(&self.url(), home);
        match &launch {
            Some(launch) => launch.prepare()?,
            None => println!("skipped: {} is not installed; run .ci/install-clis", cli.name()),
        }
        Ok(launch)
    }

    /// `maestria run` on a new repository, to its end.
    pub(crate) fn run(&self, home: &Path, config: &str, more: &[&str]) -> anyhow::Result<Told> {
        let target = self.repository()?;
        let file = home.join("config.toml");
        fs::write(&file, config)?;
        let told = home.join("told.jsonl");
        let complaints = home.join("complaints.txt");
        let target = target.display().to_string();
        let mut words = vec!["run", TASK, "--target", &target, "--jsonl", "--yes", "--no-dashboard"];
        words.extend_from_slice(more);
        let program = Program::new(&self.maestria, home).with(["--config".into(), file.into_os_string()]);
        let mut child = program
            .command(&words, home)
            .stdout(fs::File::create(&told)?)
            .stderr(fs::File::create(&complaints)?)
            .spawn()
            .context("starting maestria")?;
        let mut peak = 0;
        while child.try_wait()?.is_none() {
            peak = peak.max(peak_memory(child.id()));
            std::thread::sleep(Duration::from_millis(20));
        }
        let events = fs::read_to_string(&told)?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()
            .with_context(|| fs::read_to_string(&complaints).unwrap_or_default())?;
        ensure!(!events.is_empty(), "maestria: {}", fs::read_to_string(&complaints)?);
        Ok(Told { events, peak })
    }
}

impl Told {
    /// Milliseconds since the epoch at which the first event of `kind` happened.
    pub(crate) fn first(&self, kind: &str) -> anyhow::Result<u64> {
        self.times(kind).next().with_context(|| self.no(kind))
    }

    /// The same of the last.
    pub(crate) fn last(&self, kind: &str) -> anyhow::Result<u64> {
        self.times(kind).last().with_context(|| self.no(kind))
    }

    /// The same of the last until a moment.
    pub(crate) fn last_before(&self, kind: &str, moment: u64) -> anyhow::Result<u64> {
        let times = self.times(kind).filter(|at| *at <= moment);
        times.last().with_context(|| self.no(kind))
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.times(kind).count()
    }

    /// Whether the events are numbered without a gap.
    pub(crate) fn is_whole(&self) -> bool {
        let numbers = self.events.iter().filter_map(|e| e["seq"].as_u64());
        numbers.eq(1..=self.events.len() as u64)
    }

    fn times<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = u64> + 'a {
        let of_kind = self.events.iter().filter(move |e| e["kind"] == kind);
        of_kind.filter_map(|e| e["at"].as_u64())
    }

    fn no(&self, kind: &str) -> String {
        let last = self.events.last().map(Value::to_string).unwrap_or_default();
        format!("no {kind} among {} events; the last is {last}", self.events.len())
    }
}

/// `[agents.NAME]` for a CLI as the testkit launches it.
pub(crate) fn agent_table(name: &str, launch: &Launch) -> String {
    let own = ["HOME", "PATH"];
    let env: Vec<String> = launch
        .env
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| format!("{name} = {}", json!(value)))
        .collect();
    format!(
        "[agents.{name}]\ncommand = {}\nargs = {}\nmodel = {}\nenv = {{ {} }}\n",
        json!(launch.program),
        json!(launch.args),
        json!(launch.model),
        env.join(", ")
    )
}

/// The most resident memory a process has had, bytes; 0 once it is gone.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: u64 = line
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    kibibytes * 1024
}

/// Starts all at once and waits for all; how long that took.
pub(crate) fn all_at_once(commands: Vec<Command>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let children = commands
        .into_iter()
        .map(|mut command| command.stdout(Stdio::null()).spawn())
        .collect::<Result<Vec<_>, _>>()?;
    for mut child in children {
        ensure!(child.wait()?.success(), "a CLI started by hand failed");
    }
    Ok(begun.elapsed())
}
