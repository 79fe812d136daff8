//! Decides on a command line: each simple command in it, whatever wraps or feeds it; the strictest finding wins.

mod deletion;
mod interpreter;
mod wrapped;

use super::{
    Place,
    rules::{CommandRule, Level, Rules, named},
    shell::{Redirect, Simple, Word, parse},
};
use maestria_kernel::permission::{Action, Permission, Ruling};

/// Deeper nesting of scripts in scripts than any honest command has.
const DEEPEST: usize = 12;

/// What was found about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) rule: String,
    pub(super) because: String,
}

impl Finding {
    pub(super) fn new(level: Level, rule: &str, because: impl Into<String>) -> Self {
        Self {
            level,
            rule: rule.to_owned(),
            because: because.into(),
        }
    }

    fn allow() -> Self {
        Self::new(Level::Allow, "command.allowed", "no rule forbids it")
    }

    pub(super) fn undecided(because: impl Into<String>) -> Self {
        Self::new(Level::Ask, "command.undecided", because)
    }

    /// The stricter of two; of two alike the first.
    pub(super) fn or(self, other: Self) -> Self {
        if other.level > self.level { other } else { self }
    }

    pub(super) fn permission(self) -> Permission {
        let note = if self.level == Level::Monitor {
            "; monitored"
        } else {
            ""
        };
        Permission {
            ruling: self.level.ruling(),
            because: format!("{}{note}", self.because),
            rule: self.rule,
        }
    }

    /// The ruling, with paths into the person's own checkout led into the worktree.
    pub(super) fn level_or_rewritten(self, text: &str, place: &Place) -> Permission {
        let target = place.target.display().to_string();
        if !matches!(self.level, Level::Allow | Level::Monitor) || !names(text, &target, place) {
            return self.permission();
        }
        let command = text.replace(&target, &place.worktree.display().to_string());
        Permission {
            ruling: Ruling::Rewrite {
                action: Action::Run { command },
            },
            rule: "command.target".to_owned(),
            because: "it names the person's own checkout; the same place in the worktree is meant".to_owned(),
        }
    }
}

/// Whether a command names the target itself or something in it, and not a neighbour with a longer name, and not the
/// worktree where that lies inside the target.
fn names(text: &str, target: &str, place: &Place) -> bool {
    let inside = place.worktree.starts_with(&place.target);
    !inside
        && target.len() > 1
        && text.match_indices(target).any(|(at, _)| {
            let next = text[at + target.len()..].chars().next();
            next.is_none_or(|c| c == '/' || c.is_whitespace() || "\"';&|)`".contains(c))
        })
}

/// Decides on command lines for one place.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a Rules,
    place: &'a Place,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(rules: &'a Rules, place: &'a Place) -> Self {
        Self { rules, place }
    }

    /// Decides on a whole command line.
    pub(super) fn script(&self, text: &str) -> Finding {
        self.nested(text, 0)
    }

    pub(super) fn nested(&self, text: &str, depth: usize) -> Finding {
        if depth > DEEPEST {
            return Finding::undecided("scripts in scripts go too deep to be read");
        }
        match parse(text) {
            Err(unreadable) => Finding::undecided(format!("it cannot be read: {}", unreadable.0)),
            Ok(commands) => {
                let all = commands.iter().map(|command| self.simple(command, &commands, depth));
                all.fold(fork_bomb(&commands), Finding::or)
            }
        }
    }

    /// The files that a command line writes by redirection, where their names are known.
    pub(super) fn written(&self, text: &str) -> Vec<String> {
        let commands = parse(text).unwrap_or_default();
        let redirects = commands.into_iter().flat_map(|command| command.redirects);
        let named = redirects.filter_map(|redirect| match redirect {
            Redirect::To(word) => word.text,
            Redirect::From(_) | Redirect::Text(_) => None,
        });
        named.filter(|path| !harmless_sink(path)).collect()
    }

    fn simple(&self, command: &Simple, all: &[Simple], depth: usize) -> Finding {
        let inside = scripts(command).map(|script| self.nested(&script, depth + 1));
        let inside = inside.fold(Finding::allow(), Finding::or);
        let writes = command.redirects.iter().map(redirected).fold(inside, Finding::or);
        let call = Call {
            words: &command.words,
            command,
            all,
            depth,
        };
        writes.or(self.call(&call))
    }

    /// Decides on a program with its words.
    fn call(&self, call: &Call<'_>) -> Finding {
        let Some(first) = call.words.first() else {
            return Finding::allow();
        };
        let Some(program) = program(first) else {
            return Finding::undecided(format!("it cannot be told which program {} is", first.raw));
        };
        let known = self.rules.command.iter().filter(|rule| named(&rule.programs, &program));
        let ruled = known
            .map(|rule| rule_on(rule, call.words))
            .fold(Finding::allow(), Finding::or);
        let special = match program.as_str() {
            "rm" | "grm" | "unlink" => deletion::rm(call.words),
            "find" | "gfind" => self.find(call),
            "git" => self.git(call),
            "eval" | "trap" | "alias" | "source" | "." => self.builtin(&program, call),
            _ => self.interpreter(&program, call),
        };
        let found = ruled.or(special).or(self.wrapped(&program, call));
        if self.place.read_only {
            found.or(self.reads(&program, call))
        } else {
            found
        }
    }

    /// In a place where nothing may be changed, only programs that are known to read may run.
    fn reads(&self, program: &str, call: &Call<'_>) -> Finding {
        let listed = named(&self.rules.read_only.programs, program)
            || (program == "git"
                && self
                    .rules
                    .read_only
                    .git
                    .iter()
                    .any(|words| phrase(words, &plain(call.words, GIT_VALUES))));
        let harmless_find = program != "find"
            || !call
                .words
                .iter()
                .any(|word| word.raw.starts_with("-exec") || word.raw.starts_with("-ok"));
        let writes =
            call.command.redirects.iter().any(
                |redirect| matches!(redirect, Redirect::To(word) if !word.text.as_deref().is_some_and(harmless_sink)),
            );
        let output = program == "sort"
            && call
                .words
                .iter()
                .any(|word| word.raw.starts_with("-o") || word.raw.starts_with("--output"));
        if listed && harmless_find && !writes && !output {
            return Finding::allow();
        }
        Finding::new(
            Level::Deny,
            "mode.read_only",
            format!("this worker may only read, and {program} may change files"),
        )
    }
}

/// A program with its words, and where it stands.
pub(super) struct Call<'a> {
    pub(super) words: &'a [Word],
    pub(super) command: &'a Simple,
    pub(super) all: &'a [Simple],
    pub(super) depth: usize,
}

/// Options of git that take a value as the next word.
const GIT_VALUES: &[&str] = &[
    "-C",
    "-c",
    "--git-dir",
    "--work-tree",
    "--namespace",
    "--exec-path",
    "--config-env",
];

fn scripts(command: &Simple) -> impl Iterator<Item = String> + '_ {
    let words = command.words.iter().chain(&command.assigned);
    let targets = command.redirects.iter().filter_map(|redirect| match redirect {
        Redirect::To(word) | Redirect::From(word) => Some(word),
        Redirect::Text(_) => None,
    });
    words
        .chain(targets)
        .flat_map(|word| word.scripts.iter())
        .chain(&command.scripts)
        .cloned()
}

/// The program's own name, if it is known: without its folder, and without a pattern in it.
pub(super) fn program(word: &Word) -> Option<String> {
    let text = word.text.as_deref()?;
    let pattern = word.bare && text.contains(['*', '?', '[']) && text != "[" && text != "[[";
    let name = text.rsplit('/').next().unwrap_or(text);
    (!pattern && !name.is_empty()).then(|| name.to_owned())
}

fn harmless_sink(path: &str) -> bool {
    matches!(
        path,
        "/dev/null" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "/dev/zero"
    ) || path.starts_with("/dev/fd/")
}

fn redirected(redirect: &Redirect) -> Finding {
    let Redirect::To(word) = redirect else {
        return Finding::allow();
    };
    match word.text.as_deref() {
        Some(path) if path.starts_with("/dev/") && !harmless_sink(path) => {
            Finding::new(Level::Deny, "disk.write", format!("writes to the device {path}"))
        }
        Some(_) | None => Finding::allow(),
    }
}

/// A function that starts itself more than once at a time.
fn fork_bomb(commands: &[Simple]) -> Finding {
    let calls_itself = |command: &&Simple| {
        let name = command.words.first().and_then(|word| word.text.as_deref());
        name.is_some() && name == command.within.as_deref()
    };
    match commands.iter().filter(calls_itself).find(|command| command.multiplies) {
        Some(_) => Finding::new(
            Level::Deny,
            "process.bomb",
            "a function starts itself again and again, beside itself",
        ),
        None => Finding::allow(),
    }
}

/// The words that are no options, up to one that is not known.
pub(super) fn plain(words: &[Word], values: &[&str]) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.text.as_deref() {
            Some(option) if values.contains(&option) => {
                rest.next();
            }
            Some(option) if option.starts_with('-') && option.len() > 1 => {}
            // `+toolchain` of cargo and its like.
            Some(option) if option.starts_with('+') && found.is_empty() => {}
            text => found.push(text.map(str::to_owned)),
        }
    }
    found
}

/// Whether the words begin with a rule's phrase; an unknown word may be anything.
fn phrase(wanted: &str, words: &[Option<String>]) -> bool {
    let wanted: Vec<&str> = wanted.split(' ').collect();
    wanted.len() <= words.len()
        && wanted
            .iter()
            .zip(words)
            .all(|(wanted, word)| word.as_deref() == Some(*wanted))
}

fn rule_on(rule: &CommandRule, words: &[Word]) -> Finding {
    let fits = Finding::new(rule.ruling, &rule.id, rule.because.clone());
    if !rule.flags.is_empty() {
        let flagged = words
            .iter()
            .any(|word| word.text.as_ref().is_some_and(|text| rule.flags.contains(text)));
        return if flagged { fits } else { Finding::allow() };
    }
    if rule.words.is_empty() {
        return fits;
    }
    let values: Vec<&str> = rule.values.iter().map(String::as_str).collect();
    let plain = plain(words, &values);
    let at = |from: usize| {
        rule.words
            .iter()
            .any(|wanted| phrase(wanted, plain.get(from..).unwrap_or_default()))
    };
    let excused = plain
        .first()
        .and_then(Option::as_ref)
        .is_some_and(|first| rule.unless.contains(first));
    if at(0) || (rule.loose && !excused && (at(1) || at(2))) {
        return fits;
    }
    match plain.first() {
        Some(None) => Finding::undecided(format!("it cannot be told what {} is to do", words[0].raw)),
        Some(Some(_)) | None => Finding::allow(),
    }
}
