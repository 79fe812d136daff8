//! Plays a plan on any of the protocols.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::model;
use super::plan::{Act, Failure, Plan};
use super::wire::{Input, Wire};

/// A detached process ends itself then, so that a failed test leaves nothing for long.
const DETACHED_FOR: Duration = Duration::from_secs(600);
/// How long the detached process may take to say that it is there.
const DETACHING: Duration = Duration::from_secs(2);
const DETACH: &str = "--detach-from-parent";
const LINGER: &str = "--linger-detached";

/// What the host decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go ahead; with other content or another command if the host rewrote it.
    Allowed(Option<String>),
    /// No, and why.
    Denied(String),
    /// The whole turn is over.
    Interrupted,
}

/// How a turn ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// By the host.
    Interrupted,
    /// By the vendor.
    Failed(Failure),
}

/// A protocol a fake agent speaks.
pub trait Agent {
    /// Answers handshakes until the host sends a prompt; `None` when it closed stdin.
    fn prompt(&mut self, wire: &mut Wire) -> Option<String>;
    /// Sends a message.
    fn say(&mut self, wire: &mut Wire, text: &str);
    /// Asks to write.
    fn ask_write(&mut self, wire: &mut Wire, path: &Path, content: &str) -> Verdict;
    /// Tells how the write came out.
    fn wrote(&mut self, wire: &mut Wire, path: &Path, content: &str, verdict: &Verdict);
    /// Asks to run a command.
    fn ask_shell(&mut self, wire: &mut Wire, command: &str) -> Verdict;
    /// Tells how the command came out.
    fn ran(&mut self, wire: &mut Wire, command: &str, output: &str, code: Option<i32>, verdict: &Verdict);
    /// Refuses a write by itself.
    fn refuse_write(&mut self, wire: &mut Wire, path: &Path);
    /// Whether `line` ends the turn; answers it if so.
    fn interrupted(&mut self, wire: &mut Wire, line: &serde_json::Value) -> bool;
    /// Ends the turn.
    fn end(&mut self, wire: &mut Wire, end: End);
    /// The exit code after the last turn.
    fn exit_code(&self) -> ExitCode;
}

/// Plays until the host closes stdin.
pub(crate) fn play(agent: &mut dyn Agent, plan: &Plan, wire: &mut Wire) -> ExitCode {
    let mut prompts = 0;
    while let Some(prompt) = agent.prompt(wire) {
        let acts = plan.acts(plan.count(prompts), &prompt);
        prompts += 1;
        let mut end = End::Done;
        for act in &acts {
            end = perform(agent, wire, act);
            if end != End::Done {
                break;
            }
        }
        agent.end(wire, end);
    }
    agent.exit_code()
}

fn perform(agent: &mut dyn Agent, wire: &mut Wire, act: &Act) -> End {
    match act {
        Act::Say(text) => agent.say(wire, text),
        Act::SayTimes(times, text) => (0..*times).for_each(|_| agent.say(wire, text)),
        Act::Call(prompt) => {
            let answer = model::call(prompt).unwrap_or_else(|error| format!("no answer: {error}"));
            agent.say(wire, &answer);
        }
        Act::Write { path, content } => return write(agent, wire, path, content),
        Act::Shell(command) => return shell(agent, wire, command),
        Act::RefusedWrite { path } => agent.refuse_write(wire, path),
        Act::Fail(failure) => return End::Failed(*failure),
        Act::Hang => return hang(agent, wire),
        Act::Deaf => {
            for_ever();
        }
        Act::Exit(code) => std::process::exit(i32::from(*code)),
        Act::Pause(ms) => std::thread::sleep(Duration::from_millis(*ms)),
        Act::Detach(file) => detach(file),
        Act::Raw(line) => wire.bytes(line.as_bytes()),
        Act::Stderr(line) => eprintln!("{line}"),
        Act::InvalidUtf8 => wire.bytes(b"{\"type\":\"noise\",\"text\":\"\xff\xfe\xc3\x28\"}"),
        Act::TruncatedJson => wire.bytes(br#"{"type":"noise","text":"cut in the mid"#),
        Act::LongLine(bytes) => wire.bytes(format!(r#"{{"type":"noise","text":"{}"}}"#, "x".repeat(*bytes)).as_bytes()),
    }
    End::Done
}

fn write(agent: &mut dyn Agent, wire: &mut Wire, path: &Path, content: &str) -> End {
    let path = std::env::current_dir().unwrap_or_default().join(path);
    let verdict = agent.ask_write(wire, &path, content);
    let content = match &verdict {
        Verdict::Allowed(rewritten) => rewritten.as_deref().unwrap_or(content),
        Verdict::Denied(_) => content,
        Verdict::Interrupted => return End::Interrupted,
    };
    let mut told = verdict.clone();
    if matches!(verdict, Verdict::Allowed(_)) {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| fs::write(&path, content)) {
            told = Verdict::Denied(error.to_string());
        }
    }
    agent.wrote(wire, &path, content, &told);
    End::Done
}

fn shell(agent: &mut dyn Agent, wire: &mut Wire, command: &str) -> End {
    let verdict = agent.ask_shell(wire, command);
    let command = match &verdict {
        Verdict::Allowed(rewritten) => rewritten.as_deref().unwrap_or(command),
        Verdict::Denied(_) => command,
        Verdict::Interrupted => return End::Interrupted,
    };
    if !matches!(verdict, Verdict::Allowed(_)) {
        agent.ran(wire, command, "", None, &verdict);
        return End::Done;
    }
    let done = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output();
    let (output, code) = match done {
        Ok(done) => (
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
            done.status.code(),
        ),
        Err(error) => (error.to_string(), None),
    };
    agent.ran(wire, command, &output, code, &verdict);
    End::Done
}

/// Waits for an interrupt; a closed stdin does not end it.
fn hang(agent: &mut dyn Agent, wire: &mut Wire) -> End {
    loop {
        match wire.hear() {
            Input::Line(line) if agent.interrupted(wire, &line) => return End::Interrupted,
            Input::Line(_) => {}
            Input::Closed => {
                for_ever();
            }
        }
    }
}

/// Does nothing until killed.
pub(crate) fn for_ever() -> ExitCode {
    loop {
        std::thread::park();
    }
}

/// Starts a process that starts another in a session of its own and ends: the classic double fork.
fn detach(file: &Path) {
    let Ok(program) = std::env::current_exe() else { return };
    let middle = Command::new(program)
        .arg(DETACH)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = middle {
        eprintln!("fake-agent: cannot detach: {error}");
    }
    // It is there only when it has said so; one that may not write never does.
    let deadline = std::time::Instant::now() + DETACHING;
    while !file.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The two later halves of [`detach`]; `None` when the arguments are somebody else's.
pub(crate) fn detached(word: &str, file: &str) -> Option<ExitCode> {
    match word {
        DETACH => {
            let started = rustix::process::setsid().ok().and_then(|_| {
                let program = std::env::current_exe().ok()?;
                Command::new(program)
                    .args([LINGER, file])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .ok()
            });
            Some(if started.is_some() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        LINGER => {
            // Written whole or not at all: the test polls for this file.
            let draft = format!("{file}.draft");
            let said = fs::write(&draft, std::process::id().to_string()).and_then(|()| fs::rename(&draft, file));
            if said.is_ok() {
                std::thread::sleep(DETACHED_FOR);
            }
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}
