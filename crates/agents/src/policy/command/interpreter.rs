//! Programs that run text: shells, `eval`, `source`, and the interpreters of other languages. What matters is where the
//! text comes from: the command line, a file, a download, or somewhere that cannot be known.

use super::{Call, Finding, Judge, program};
use crate::policy::{
    rules::Level,
    shell::{Redirect, Word},
};

const SHELLS: [&str; 9] = ["sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "rbash"];
const LANGUAGES: [&str; 12] = [
    "python", "python2", "python3", "perl", "ruby", "node", "nodejs", "deno", "bun", "php", "lua", "Rscript",
];
const DOWNLOADS: [&str; 8] = ["curl", "wget", "fetch", "aria2c", "http", "https", "xh", "lynx"];
/// Words by which code of another language starts programs or deletes trees.
const DANGEROUS: [&str; 16] = [
    "os.system",
    "subprocess",
    "popen",
    "system(",
    "exec(",
    "execv",
    "spawn",
    "rmtree",
    "unlink",
    "child_process",
    "rmSync",
    "rm -",
    "qx",
    "eval",
    "__import__",
    "removedirs",
];

impl Judge<'_> {
    /// Decides on a shell or an interpreter; anything else is none of its business.
    pub(super) fn interpreter(&self, name: &str, call: &Call<'_>) -> Finding {
        if SHELLS.contains(&name) {
            return self.shell(call);
        }
        let language = LANGUAGES.iter().find(|language| {
            let rest = name.strip_prefix(**language);
            rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        });
        match language {
            Some(language) => self.language(language, call),
            None if ["awk", "gawk", "mawk", "nawk"].contains(&name) => awk(call.words),
            None => Finding::allow(),
        }
    }

    fn shell(&self, call: &Call<'_>) -> Finding {
        let mut rest = call.words[1..].iter();
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                return self.script_file(word);
            };
            match text {
                "--version" | "--help" => return Finding::allow(),
                "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => {
                    rest.next();
                }
                "-s" | "-" | "--" => {}
                long if long.starts_with("--") => {}
                bundle if bundle.starts_with('-') && bundle.contains('c') => {
                    return self.command_string(rest.as_slice(), call);
                }
                bundle if bundle.starts_with('-') && bundle.contains('s') => return self.fed(call, true),
                bundle if bundle.starts_with(['-', '+']) => {}
                _ => return self.script_file(word),
            }
        }
        self.fed(call, true)
    }

    /// `-c STRING`: options may still come between the two.
    fn command_string(&self, rest: &[Word], call: &Call<'_>) -> Finding {
        let script = rest.iter().find(|word| !word.raw.starts_with(['-', '+']));
        match script {
            None => Finding::undecided("a shell is given no script"),
            Some(Word { text: Some(text), .. }) => self.nested(text, call.depth + 1),
            Some(word) => self.printed_by(word),
        }
    }

    /// Text whose value is what scripts inside a word print.
    fn printed_by(&self, word: &Word) -> Finding {
        let downloads = !word.scripts.is_empty() && word.scripts.iter().all(|script| downloads(script));
        if downloads {
            return monitored();
        }
        Finding::undecided(format!("it cannot be told what {} will run", word.raw))
    }

    /// A script in a file is ordinary; a stream in a file's place is judged by what fills it.
    fn script_file(&self, word: &Word) -> Finding {
        if word.is_stream || word.text.is_none() {
            self.printed_by(word)
        } else {
            Finding::allow()
        }
    }

    /// Text on the stdin of something that will run it. `shell`: it is shell text, so that literal text can be read.
    fn fed(&self, call: &Call<'_>, shell: bool) -> Finding {
        for redirect in call.command.redirects.iter().rev() {
            match redirect {
                Redirect::Text(Some(text)) if shell => return self.nested(text, call.depth + 1),
                Redirect::Text(Some(text)) => return code(text),
                Redirect::Text(None) => return Finding::undecided("it runs text that is not known"),
                Redirect::From(word) => return self.script_file(word),
                Redirect::To(_) => {}
            }
        }
        let sources: Vec<_> = call
            .command
            .fed_by
            .iter()
            .filter_map(|number| call.all.get(*number))
            .collect();
        let names: Vec<Option<String>> = sources
            .iter()
            .map(|source| source.words.first().and_then(program))
            .collect();
        if names.iter().flatten().any(|name| DOWNLOADS.contains(&name.as_str())) {
            return monitored();
        }
        // The download may be several pipes away: `curl … | tee x | sh`.
        let further = sources
            .iter()
            .flat_map(|source| &source.fed_by)
            .filter_map(|number| call.all.get(*number));
        let mut further = further.filter_map(|source| source.words.first().and_then(program));
        if further.any(|name| DOWNLOADS.contains(&name.as_str())) {
            return monitored();
        }
        match (sources.as_slice(), shell) {
            ([], _) => Finding::undecided("it cannot be told what it will run: it has no script"),
            ([source], true) => match echoed(&source.words) {
                Some(text) => self.nested(&text, call.depth + 1),
                None => Finding::undecided("it runs what another command prints"),
            },
            _ => Finding::undecided("it runs what another command prints"),
        }
    }

    fn language(&self, language: &str, call: &Call<'_>) -> Finding {
        let mut rest = call.words[1..].iter();
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                return self.script_file(word);
            };
            match text {
                "-m" if language.starts_with("python") => return self.module(rest.as_slice(), call),
                "-c" | "-e" | "-E" | "-r" | "-p" | "--eval" | "--print" | "-pe" | "-ne" | "-i" | "-ie" | "-pi"
                | "-pie" => {
                    let script = rest.next();
                    return match script.map(|word| (word, word.text.as_deref())) {
                        Some((_, Some(text))) => code(text),
                        Some((word, None)) => self.printed_by(word),
                        None => Finding::undecided("an interpreter is given no script"),
                    };
                }
                "-" => return self.fed(call, false),
                "--version" | "-V" | "-v" | "--help" | "-h" => return Finding::allow(),
                option if option.starts_with('-') => {}
                _ => return self.script_file(word),
            }
        }
        self.fed(call, false)
    }

    /// `python -m pip install` is `pip install`.
    fn module(&self, rest: &[Word], call: &Call<'_>) -> Finding {
        let inner = Call {
            words: rest,
            command: call.command,
            all: call.all,
            depth: call.depth + 1,
        };
        if call.depth > super::DEEPEST {
            Finding::undecided("it goes too deep to be read")
        } else {
            self.call(&inner)
        }
    }

    /// `eval`, `trap`, `alias`, `source`: the shell's own ways to run text.
    pub(super) fn builtin(&self, name: &str, call: &Call<'_>) -> Finding {
        let words = &call.words[1..];
        match name {
            "source" | "." => words.first().map_or_else(Finding::allow, |word| self.script_file(word)),
            "alias" => {
                let bodies = words.iter().map(|word| match word.text.as_deref() {
                    Some(text) => self.nested(text.split_once('=').map_or("", |(_, body)| body), call.depth + 1),
                    None => Finding::undecided("an alias is made of text that is not known"),
                });
                bodies.fold(Finding::allow(), Finding::or)
            }
            "trap" => words
                .first()
                .map_or_else(Finding::allow, |word| match word.text.as_deref() {
                    Some(text) => self.nested(text, call.depth + 1),
                    None => self.printed_by(word),
                }),
            _ => {
                let texts: Option<Vec<&str>> = words.iter().map(|word| word.text.as_deref()).collect();
                match (texts, words) {
                    (Some(texts), _) => self.nested(&texts.join(" "), call.depth + 1),
                    (None, [word]) => self.printed_by(word),
                    (None, _) => Finding::undecided("eval runs text that is not known"),
                }
            }
        }
    }
}

fn monitored() -> Finding {
    Finding::new(Level::Monitor, "monitor.download", "runs text that it downloads")
}

/// Whether a script does nothing but fetch text.
fn downloads(script: &str) -> bool {
    let Ok(commands) = crate::policy::shell::parse(script) else {
        return false;
    };
    commands.iter().any(|command| {
        command
            .words
            .first()
            .and_then(program)
            .is_some_and(|name| DOWNLOADS.contains(&name.as_str()))
    })
}

/// What an `echo` or a plain `printf` prints, if it is known.
fn echoed(words: &[Word]) -> Option<String> {
    let name = program(words.first()?)?;
    if name != "echo" && name != "printf" {
        return None;
    }
    let texts: Option<Vec<&str>> = words[1..].iter().map(|word| word.text.as_deref()).collect();
    let texts = texts?;
    let text = texts
        .into_iter()
        .filter(|text| !matches!(*text, "-n" | "-e" | "-E" | "--"))
        .collect::<Vec<_>>()
        .join(" ");
    // An escape or a format may spell anything.
    (!(text.contains('\\') || name == "printf" && text.contains('%'))).then_some(text)
}

/// Code of another language: words that start programs are asked about.
fn code(text: &str) -> Finding {
    match DANGEROUS.iter().find(|word| text.contains(**word)) {
        Some(word) => Finding::undecided(format!("code of another language uses {word}")),
        None => Finding::allow(),
    }
}

fn awk(words: &[Word]) -> Finding {
    let runs =
        |text: &str| text.contains("system(") || text.contains("| \"") || text.contains("\" |") || text.contains("|\"");
    if words.iter().any(|word| runs(word.text.as_deref().unwrap_or(&word.raw))) {
        return Finding::undecided("the awk program runs other programs");
    }
    Finding::allow()
}
