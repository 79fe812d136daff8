//! The command policy: what a command line comes to, decided on the words that programs really get, before it runs.
//!
//! ```text
//! text → grammar → every simple command → words, as far as they are known → wrappers off → rules → the strictest finding
//! ```
//!
//! It is a courtesy and never the boundary: it asks, explains and counts; the kernel's walls hold. What it cannot read or
//! decide is `confirm`, never `allow`. The rules are data: `policies/default.toml`, and files that people add.
//!
//! Start reading at [`CommandPolicy::judge`], then `judge.rs`; `shell.rs` reads the text.

mod finding;
mod judge;
mod lasting;
mod print;
mod rules;
mod shell;
#[cfg(test)]
mod tests;

pub use finding::{Level, Verdict};
pub use rules::{BadPolicy, Described, PathRules, Rules, ToolRules};

use finding::Finding;
use judge::Judge;
use std::{
    io,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// The rules that come with the program, as text.
pub const DEFAULT: &str = include_str!("../../../policies/default.toml");

/// The policy file of a project, from its root.
const PROJECT: &str = ".maestria/policy.toml";

/// What a reading may take before it is given up. The limits on the text keep every reading far below it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Stack for the grammar's recursion at the limits on the text.
const STACK: usize = 64 << 20;
/// Readings that were given up and still run; beyond, nothing new is read.
const MOST_ABANDONED: usize = 2;

static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// The rules in force, ready to decide.
#[derive(Debug, Clone)]
pub struct CommandPolicy {
    rules: Arc<Rules>,
}

/// A verdict with what else was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The files that the command line writes by redirection, where their names are known.
    pub writes: Vec<String>,
}

#[expect(
    clippy::expect_used,
    reason = "the rules are embedded; a test loads them and runs their examples"
)]
static BUILT_IN: LazyLock<CommandPolicy> = LazyLock::new(|| {
    let rules = Rules::parse(DEFAULT, "policies/default.toml").expect("policies/default.toml has the rules' shape");
    CommandPolicy { rules: Arc::new(rules) }
});

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl CommandPolicy {
    /// The rules that come with the program.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The program's own rules with the person's file and the project's, where they are there. Files only add, but for what
    /// the person has agreed to: a project that nobody trusts can make its workers ask more, never less.
    ///
    /// # Errors
    /// [`BadPolicy`] names the first file that is there and cannot be used.
    pub fn in_force(person: Option<&Path>, project: Option<&Path>) -> Result<Self, BadPolicy> {
        let with = |policy: Self, file: Option<&Path>| match file.map(|file| policy.read_file(file)) {
            None => Ok(policy),
            Some(Err(BadPolicy::Unreadable { error, .. })) if is_absent(&error) => Ok(policy),
            Some(read) => read,
        };
        let agreed = with(Self::built_in().clone(), person)?.only_of(project);
        let file = project.map(|root| root.join(PROJECT));
        let whole = with(agreed.clone(), file.as_deref())?;
        match whole.rules.allow.get(agreed.rules.allow.len()) {
            None => Ok(whole),
            Some(allow) => Err(BadPolicy::Rule {
                origin: file.unwrap_or_default().display().to_string(),
                rule: allow.id.clone(),
                wrong: "is under `allow`, which only a person's own policy file may have".to_owned(),
            }),
        }
    }

    /// Adds the rules of a file; see [`Self::with_file`].
    ///
    /// # Errors
    /// [`BadPolicy`] says why it cannot be read, where it is wrong, or which example came out otherwise.
    pub fn read_file(&self, file: &Path) -> Result<Self, BadPolicy> {
        let origin = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => self.with_file(&text, &origin),
            Err(error) => Err(BadPolicy::Unreadable { origin, error }),
        }
    }

    /// Adds a file's rules, after trying its examples. Files add rules and make them stricter; none goes away. What
    /// they agree to under `allow` is asked about no more.
    ///
    /// # Errors
    /// [`BadPolicy`] says where the file is wrong, or which example came out otherwise.
    pub fn with_file(&self, text: &str, origin: &str) -> Result<Self, BadPolicy> {
        let own = Rules::parse(text, origin)?;
        let rules = self.rules.as_ref().clone().with(own.clone());
        rules.try_examples(&own, origin)?;
        let policy = Self { rules: Arc::new(rules) };
        policy.try_allowed(&own.allow, origin)?;
        Ok(policy)
    }

    /// Tries the examples of all rules in force.
    ///
    /// # Errors
    /// [`BadPolicy::Example`] is the first that comes out otherwise.
    pub fn try_examples(&self) -> Result<(), BadPolicy> {
        self.rules.try_examples(&self.rules, "the rules in force")
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Decides on a command line.
    pub fn judge(&self, command: &str) -> Verdict {
        self.look_at(command, false).verdict
    }

    /// Decides on a command line and tells what it writes. `read_only`: in a place where nothing may be changed.
    pub fn look_at(&self, command: &str, read_only: bool) -> Judgement {
        let judgement = self.judgement(command, read_only);
        self.agreed(judgement, command)
    }

    fn judgement(&self, command: &str, read_only: bool) -> Judgement {
        let rules = Arc::clone(&self.rules);
        let text = command.to_owned();
        let (send, receive) = mpsc::channel();
        let read = move || {
            let judge = Judge::new(&rules, read_only);
            let verdict = judge.whole(&text).told();
            let writes = judge.into_writes();
            if send.send(Judgement { verdict, writes }).is_err() {
                ABANDONED.fetch_sub(1, Ordering::Relaxed);
            }
        };
        if ABANDONED.load(Ordering::Relaxed) > MOST_ABANDONED {
            return given_up("too many commands are still being read");
        }
        if std::thread::Builder::new()
            .name("policy".to_owned())
            .stack_size(STACK)
            .spawn(read)
            .is_err()
        {
            return given_up("no thread could be started to read it");
        }
        match receive.recv_timeout(PATIENCE) {
            Ok(judgement) => judgement,
            Err(mpsc::RecvTimeoutError::Disconnected) => given_up("it could not be read"),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                ABANDONED.fetch_add(1, Ordering::Relaxed);
                given_up("it took too long to read")
            }
        }
    }
}

fn given_up(why: &str) -> Judgement {
    Judgement {
        verdict: Finding::new(Level::Confirm, "command.unreadable", why).0,
        writes: Vec::new(),
    }
}

/// Text as a person may safely see it: control characters and those that hide or reorder text are spelled out.
pub fn shown(text: &str) -> String {
    let hides = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || hides(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
