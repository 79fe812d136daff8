//! Asks a program about itself: supervised, in a home of its own, with a time limit.

use super::Unusable;
use crate::{
    cli::{
        config::{Kind, Transport},
        drive::{Audience, Order, Times, drive},
        home::{Home, environment},
        reader::Dialect,
        slot::Slots,
        talk,
        text::one_line,
        worker::CliAgent,
    },
    outcome::{Ended, seen::Seen},
    policy::{Place, Policy},
    walls::{Ground, network},
};
use maestria_kernel::{TaskId, money::Usage};
use maestria_sandbox::{Exit, Spec, Supervised};
use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read of an answer, in bytes.
const MOST: u64 = 1 << 20;

/// A program to be asked.
pub(super) struct Asking<'a> {
    agent: &'a CliAgent,
    program: &'a Path,
    folder: PathBuf,
    home: Home,
}

/// Its answer.
#[derive(Debug)]
pub(super) struct Said {
    exit: Exit,
    stdout: String,
    stderr: String,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // A leftover in the temporary folder is harmless.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Asking<'a> {
    pub(super) fn new(agent: &'a CliAgent, program: &'a Path) -> Result<Self, Unusable> {
        // A name that nobody can have taken before: a login is copied into it.
        let folder = std::env::temp_dir().join(format!("maestria-probe-{}", uuid::Uuid::now_v7().simple()));
        let home = DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .and_then(|()| std::fs::create_dir(folder.join("work")))
            .and_then(|()| Home::prepare(&folder.join("home"), agent.kind, &agent.config, &agent.around.env))
            .map_err(|error| format!("it cannot be probed in {}: {error}", folder.display()))?;
        Ok(Self {
            agent,
            program,
            folder,
            home,
        })
    }

    fn spec(&self, words: &[&str]) -> Spec {
        let agent = self.agent;
        let mut spec = Spec::new(self.program, self.folder.join("work"));
        spec.name = format!("probe of {}", agent.name);
        spec.args = agent
            .config
            .args
            .iter()
            .map(Into::into)
            .chain(words.iter().map(Into::into))
            .collect();
        spec.env = environment(
            agent.kind,
            Transport::TwoWay,
            false,
            &agent.config,
            self.home.path(),
            &agent.around.env,
        );
        spec.limits = agent.config.limits.clone();
        // Behind the walls that it will work behind: who is asked is as strange as who works.
        let ground = Ground {
            program: &spec.program,
            worktree: &spec.cwd,
            read_only: false,
            write: vec![self.home.path().to_owned()],
            env: &spec.env,
            hidden: &[],
            network: network(agent.kind, &spec.env, &agent.config.args, &agent.config.network),
        };
        spec.walls = ground.walls(agent.config.sandbox);
        spec
    }

    /// Runs the program with these words and waits for its end.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<Said, Unusable> {
        let mut process = Supervised::spawn(self.spec(words)).map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            format!("it cannot be started: {error}{cause}")
        })?;
        let (stdout, stderr) = (process.take_stdout(), process.take_stderr());
        let all = async {
            let (stdout, stderr) = futures_util::future::join(read(stdout), read(stderr)).await;
            let exit = process.wait().await;
            Said { exit, stdout, stderr }
        };
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| {
            let command = [&[self.program.display().to_string().as_str()], words]
                .concat()
                .join(" ");
            format!("`{command}` did not end within {} s", PATIENCE.as_secs())
        })
    }

    /// Greets the program over ACP; returns the version it tells.
    pub(super) async fn greet(&self) -> Result<Option<String>, Unusable> {
        let slots = Slots::default();
        let seat = slots.open(None);
        let ran = drive(Order {
            kind: Kind::Acp,
            dialect: Dialect::Acp,
            spec: self.spec(&[]),
            stdin: None,
            talk: talk::greeting(),
            task: TaskId::new(uuid::Uuid::nil()),
            attempt: 1,
            audience: Audience {
                observer: None,
                agent: self.agent.name.clone(),
                task: None,
                review: true,
            },
            policy: Policy::built_in(),
            place: self.place(),
            times: Times {
                idle: PATIENCE,
                most: PATIENCE,
                linger: Duration::ZERO,
                grace: Duration::from_secs(1),
            },
            before: Usage::default(),
            pricing: None,
            metered: false,
            record: None,
            environment: String::new(),
            disk: 0,
            slot: &seat,
        })
        .await;
        match (ran.greeting, ran.ended) {
            (Some(greeting), _) if greeting.get("protocolVersion").is_some() => {
                Ok(greeting["agentInfo"]["version"].as_str().map(str::to_owned))
            }
            (_, Ended::NotStarted(why)) => Err(format!("it cannot be started: {why}")),
            _ => Err(format!(
                "it does not speak the Agent Client Protocol: {}",
                silence(&ran.seen, &ran.last_words)
            )),
        }
    }

    fn place(&self) -> Place {
        let work = self.folder.join("work");
        Place {
            worktree: work.clone(),
            target: work,
            home: self.home.path().to_owned(),
            person: None,
            allow_dirs: Vec::new(),
            read_only: true,
        }
    }
}

fn silence(seen: &Seen, words: &str) -> String {
    let trouble = seen.trouble.as_ref().map(|trouble| trouble.text.clone());
    trouble.filter(|text| !text.is_empty()).unwrap_or_else(|| match words {
        "" => "it did not answer".to_owned(),
        words => one_line(words, 300),
    })
}

async fn read<R: AsyncRead + Unpin>(from: Option<R>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What could be read counts; an error ends it like an end.
        let _ = from.take(MOST).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Said {
    pub(super) fn succeeded(&self) -> bool {
        self.exit.is_zero()
    }

    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    pub(super) fn words(&self) -> String {
        let text = self.text();
        let words = one_line(&text, 300);
        if words.is_empty() {
            format!("exit {:?} without a word", self.exit.code)
        } else {
            words
        }
    }

    /// The first word that looks like a version.
    pub(super) fn version(&self) -> Option<String> {
        let words = self.stdout.split_whitespace();
        let mut versions = words.filter(|word| {
            word.contains('.') && word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit())
        });
        versions.next().map(|word| word.trim_start_matches('v').to_owned())
    }
}
