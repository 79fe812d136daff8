//! Decides on a command line: each simple command in it, whatever wraps or feeds it; the strictest finding wins.

mod about;
mod bomb;
mod builtin;
mod deletion;
mod feed;
mod git;
mod interpreter;
mod matching;
mod options;
mod poison;
mod reader;
mod wrapped;

use about::About;

use super::{
    finding::{Finding, Level},
    rules::Rules,
    shell::{self, Argv, Fuel, Scope, Simple, Target, Unreadable, Word},
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

/// Deeper nesting of scripts in scripts, and programs in programs, than any honest command has.
const DEEPEST: usize = 16;

/// What the same command line has put into a file.
#[derive(Debug, Clone)]
enum Made {
    Text(String),
    Download,
    Unknown,
}

/// What is noted while a command line is read.
#[derive(Debug, Default)]
struct Notes {
    fired: BTreeSet<String>,
    writes: Vec<String>,
    /// What files may hold, by their bare names: folders change along the way.
    made: HashMap<String, Vec<Made>>,
    /// Files that were run before anything was put into them, as far as that was read.
    ran: BTreeSet<String>,
    /// Texts with `$'…'` in them, which not every shell knows.
    dollar_quotes: usize,
    /// Programs that were looked at, also through pipes, and their words: bounds on the work.
    calls: usize,
    words: usize,
}

/// More programs than are looked at for one verdict, and more words of theirs.
const MOST_CALLS: usize = 4_000;
const MOST_WORDS: usize = 40_000;

/// Decides on one command line.
pub(super) struct Judge<'a> {
    rules: &'a Rules,
    read_only: bool,
    fuel: Fuel,
    notes: RefCell<Notes>,
    /// What the rules say about the programs that were met.
    met: RefCell<HashMap<String, Rc<About<'a>>>>,
}

/// A program with its words, and where it stands.
#[derive(Clone, Copy)]
struct Call<'a> {
    words: &'a [Word],
    argv: &'a Argv,
    simple: &'a Simple,
    script: &'a [Simple],
    scope: &'a Scope,
    depth: usize,
}

impl<'a> Call<'a> {
    /// The same place with other words.
    const fn inner<'b>(&self, words: &'b [Word]) -> Call<'b>
    where
        'a: 'b,
    {
        Call {
            words,
            argv: self.argv,
            simple: self.simple,
            script: self.script,
            scope: self.scope,
            depth: self.depth + 1,
        }
    }
}

impl<'a> Judge<'a> {
    pub(super) fn new(rules: &'a Rules, read_only: bool) -> Self {
        Self {
            rules,
            read_only,
            fuel: Fuel::full(),
            notes: RefCell::default(),
            met: RefCell::default(),
        }
    }

    /// Decides on a whole command line.
    pub(super) fn whole(&self, text: &str) -> Finding {
        let mut finding = self.text(text, &Scope::default(), 0);
        // In a loop, a function or a trap, what is written later may be run earlier.
        if self.runs_what_comes_later() {
            finding = finding.or(self.text(text, &Scope::default(), 0));
        }
        finding.within(|| super::shown(&text.chars().take(400).collect::<String>()))
    }

    /// Whether a rule fitted somewhere.
    pub(super) fn fired(&self, rule: &str) -> bool {
        self.notes.borrow().fired.contains(rule)
    }

    /// The files that the command line writes by redirection, where their names are known.
    pub(super) fn into_writes(self) -> Vec<String> {
        self.notes.into_inner().writes
    }

    fn note(&self, finding: Finding) -> Finding {
        self.notes.borrow_mut().fired.insert(finding.0.rule.clone());
        finding
    }

    fn undecided(&self, reason: impl Into<String>) -> Finding {
        self.note(Finding::undecided(reason))
    }

    fn found(&self, level: Level, rule: &str, reason: impl Into<String>) -> Finding {
        self.note(Finding::new(level, rule, reason))
    }

    /// Decides on text that a shell reads.
    fn text(&self, text: &str, scope: &Scope, depth: usize) -> Finding {
        if depth > DEEPEST {
            return self.undecided("scripts in scripts go too deep to be read");
        }
        self.notes.borrow_mut().dollar_quotes += usize::from(text.contains("$'"));
        match shell::read(text, &self.fuel) {
            Err(unreadable) => self.unreadable(&unreadable),
            Ok(script) => self.script(&script, scope.clone(), depth),
        }
    }

    fn unreadable(&self, unreadable: &Unreadable) -> Finding {
        self.note(Finding::unreadable(unreadable))
    }

    fn script(&self, script: &[Simple], mut scope: Scope, depth: usize) -> Finding {
        if depth > DEEPEST {
            return self.undecided("scripts in scripts go too deep to be read");
        }
        scope.survey(script);
        let mut found = self.bomb(script);
        for simple in script {
            if self.is_tired() {
                return found.or(self.undecided("it runs more than can be looked at"));
            }
            if let Some((name, _)) = &simple.loops {
                found = found.or(self.variable(name, None));
            }
            if simple.defaults("IFS") {
                found = found.or(self.variable("IFS", None));
            }
            for inner in simple.scripts() {
                found = found.or(self.script(&inner, scope.clone(), depth + 1));
            }
            found = found.or(match shell::expansions(simple, &scope) {
                Err(unreadable) => self.unreadable(&unreadable),
                Ok(ways) => {
                    let ways = ways.iter().map(|argv| self.simple(argv, simple, script, &scope, depth));
                    ways.fold(Finding::allow(), Finding::or)
                }
            });
            if self.runs_here(simple) {
                scope.forget();
            }
            scope.learn(simple);
        }
        found
    }

    /// Whether enough was looked at: what is left is not.
    fn is_tired(&self) -> bool {
        let notes = self.notes.borrow();
        notes.calls > MOST_CALLS || notes.words > MOST_WORDS
    }

    /// Whether a command may run text in this very shell.
    fn runs_here(&self, simple: &Simple) -> bool {
        let mut words = simple.words.iter().map(|word| shell::bare(word));
        let program = words.find(|word| !matches!(word.as_deref(), Some("builtin" | "command")));
        match program.flatten().as_deref() {
            Some("eval" | "source" | "." | "trap" | "enable") => true,
            Some(_) => false,
            None => !simple.words.is_empty(),
        }
    }

    fn simple(&self, argv: &Argv, simple: &Simple, script: &[Simple], scope: &Scope, depth: usize) -> Finding {
        let call = Call {
            words: &argv.words,
            argv,
            simple,
            script,
            scope,
            depth,
        };
        let assigned = argv.assigned.iter();
        let assigned = assigned.map(|(name, value)| self.variable(name, value.as_deref()));
        let found = assigned.fold(Finding::allow(), Finding::or);
        let found = argv
            .redirects
            .iter()
            .map(|target| self.redirected(target))
            .fold(found, Finding::or);
        let found = found.or(self.call(&call));
        self.remember(&call);
        found.within(|| displayed(argv))
    }

    /// Decides on a program with its words.
    fn call(&self, call: &Call<'_>) -> Finding {
        let Some(first) = call.words.first() else {
            return Finding::allow();
        };
        {
            let mut notes = self.notes.borrow_mut();
            notes.calls += 1;
            notes.words += call.words.len();
        }
        if call.depth > DEEPEST {
            return self.undecided("programs in programs go too deep to be read");
        }
        if self.is_tired() {
            return self.undecided("it runs more than can be looked at");
        }
        let Some(program) = program(first) else {
            return self.undecided(format!(
                "it cannot be told which program {} is",
                super::shown(&first.shown)
            ));
        };
        if let Some(words) = git::by_its_own_name(&program, call.words) {
            return self.call(&call.inner(&words));
        }
        let ruled = self.ruled(&program, call);
        let special = match program.as_str() {
            "rm" | "grm" => self.rm(call.words),
            "find" | "gfind" | "bfs" => self.find(call, &["-exec", "-execdir", "-ok", "-okdir"]),
            "fd" | "fdfind" => self.find(call, &["-x", "-X", "--exec", "--exec-batch"]),
            "git" => self.git(call),
            _ => Finding::allow(),
        };
        let found = ruled
            .or(special)
            .or(self.disguised(&program, call.words))
            .or(self.builtin(&program, call))
            .or(self.interpreter(&program, call))
            .or(self.made_here(call))
            .or(self.wrapped(&program, call));
        let found = if self.read_only {
            found.or(self.reads(&program, call))
        } else {
            found
        };
        found.within(|| shown_words(call.words))
    }

    /// Look-alikes: a program or an option in letters that only look like the usual ones.
    fn disguised(&self, program: &str, words: &[Word]) -> Finding {
        let odd_program = !program.is_ascii() || program.chars().any(char::is_control);
        let dashes = [
            '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe58}', '\u{fe63}',
            '\u{ff0d}',
        ];
        let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        let odd_option = |word: &Word| {
            word.head
                .strip_prefix(dashes)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-'))
                || (word.head.starts_with('-') && word.head.chars().any(hidden))
        };
        if odd_program || words.iter().any(odd_option) {
            return self.found(
                Level::Confirm,
                "command.lookalike",
                "a program or an option is written in look-alike or hidden characters",
            );
        }
        Finding::allow()
    }

    fn redirected(&self, target: &Target) -> Finding {
        if let Target::To(word) | Target::From(word) = target
            && (word.head.starts_with("/dev/tcp/") || word.head.starts_with("/dev/udp/"))
        {
            return self.undecided("it opens a connection to the network by itself");
        }
        let Target::To(word) = target else {
            return Finding::allow();
        };
        match word.text.as_deref() {
            Some(path) if is_disk(path) => self.found(
                Level::Block,
                "disk.device",
                format!("writes to the device {}", super::shown(path)),
            ),
            Some(path) if !harmless_sink(path) => {
                self.notes.borrow_mut().writes.push(path.to_owned());
                Finding::allow()
            }
            Some(_) | None => Finding::allow(),
        }
    }
}

/// The program's own name, if it is known: without its folder, and without a pattern or a tilde in its place.
fn program(word: &Word) -> Option<String> {
    let text = word.text.as_deref()?;
    let name = text.rsplit('/').next().unwrap_or(text);
    let pattern = text.contains(['*', '?', '[']) && name != "[" && name != "[[";
    // `~`, `~+`, `~-` are what variables hold.
    let folder = text.starts_with('~') && !text.contains('/');
    (!pattern && !folder && !name.is_empty()).then(|| name.to_owned())
}

fn harmless_sink(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "/dev/zero" | "/dev/full"
    ) || path.starts_with("/dev/fd/")
}

/// A file below `/dev` that is no stream and no terminal.
fn is_disk(path: &str) -> bool {
    let device = path.strip_prefix("/dev/");
    device.is_some_and(|name| {
        !harmless_sink(path)
            && !["pts/", "shm/", "tcp/", "udp/", "mqueue/", "random", "urandom"]
                .iter()
                .any(|other| name.starts_with(other))
    })
}

fn displayed(argv: &Argv) -> String {
    let assigned = argv.assigned.iter();
    let assigned = assigned.map(|(name, value)| format!("{name}={}", super::shown(value.as_deref().unwrap_or("…"))));
    let words = argv.words.iter().map(|word| quoted(&word.shown));
    let targets = argv.redirects.iter().filter_map(|target| match target {
        Target::To(word) => Some(format!("> {}", quoted(&word.shown))),
        Target::From(_) | Target::Text(..) | Target::Commands(_) => None,
    });
    assigned.chain(words).chain(targets).collect::<Vec<_>>().join(" ")
}

fn shown_words(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| quoted(&word.shown))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word as a person can tell it from its neighbours.
fn quoted(word: &str) -> String {
    let shown = super::shown(&word.chars().take(200).collect::<String>());
    if shown.is_empty() || shown.contains([' ', '\'', '"', ';', '|', '&', '<', '>', '(', ')']) {
        format!("'{shown}'")
    } else {
        shown
    }
}
