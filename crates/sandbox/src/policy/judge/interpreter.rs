//! Programs that run text: shells, and the interpreters of other languages.

use super::{Call, Finding, Judge, Level, Word, feed::Fed};
use crate::policy::shell::Scope;

impl Judge<'_> {
    /// Decides on a shell or an interpreter; anything else is none of its business.
    pub(super) fn interpreter(&self, name: &str, call: &Call<'_>) -> Finding {
        let before = self.notes.borrow().dollar_quotes;
        let about = self.about(name);
        if about.is_shell {
            return self.shell(call).or(self.other_quotes(name, before));
        }
        match (about.language, name) {
            (Some(language), _) => self.language(language, call),
            (None, "awk" | "gawk" | "mawk" | "nawk" | "original-awk") => self.awk(call.words),
            (None, "sed" | "gsed" | "ssed") => self.sed(call),
            (
                None,
                "vim" | "vi" | "nvim" | "ex" | "view" | "gdb" | "lldb" | "ed" | "emacs" | "sqlite3" | "psql" | "mysql"
                | "m4" | "dc" | "expect" | "tclsh" | "osascript" | "ftp" | "sftp" | "irb" | "ghci" | "pwsh"
                | "powershell",
            ) => self.other(name, call),
            (None, _) => Finding::allow(),
        }
    }

    /// `$'…'` is read as bash reads it; to a plain `sh` it may be a dollar before quotes.
    fn other_quotes(&self, name: &str, before: usize) -> Finding {
        let knows = matches!(name, "bash" | "rbash" | "zsh" | "ksh" | "mksh");
        if knows || self.notes.borrow().dollar_quotes == before {
            return Finding::allow();
        }
        self.undecided(format!("it depends on the machine what $'…' means to {name}"))
    }

    fn shell(&self, call: &Call<'_>) -> Finding {
        let mut rest = call.words[1..].iter();
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                return if word.head.starts_with('-') {
                    self.undecided("it cannot be told which options a shell is given")
                } else {
                    self.script_file(word)
                };
            };
            match text {
                "--version" | "--help" => return Finding::allow(),
                "-o" | "+o" | "-O" | "+O" => {
                    rest.next();
                }
                "--rcfile" | "--init-file" => {
                    if let Some(file) = rest.next() {
                        let found = self.script_file(file);
                        if found.0.level > Level::Allow {
                            return found;
                        }
                    }
                }
                "-" | "--" => {}
                long if long.starts_with("--") => {}
                bundle if bundle.starts_with('-') && bundle.contains('c') => {
                    return self.command_string(bundle, rest.as_slice(), call);
                }
                bundle if bundle.starts_with('-') && bundle.contains('s') => return self.fed(call),
                // `-eo pipefail`: the option's name is a word of its own.
                bundle if bundle.starts_with(['-', '+']) && bundle.ends_with(['o', 'O']) => {
                    rest.next();
                }
                bundle if bundle.starts_with(['-', '+']) => {}
                "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0" => return self.fed(call),
                _ => return self.script_file(word),
            }
        }
        self.fed(call)
    }

    /// `-c STRING [NAME [ARGUMENT…]]`: options may still come between, and the rest are the script's own arguments.
    fn command_string(&self, bundle: &str, rest: &[Word], call: &Call<'_>) -> Finding {
        let mut skip = usize::from(bundle.contains(['o', 'O']));
        let at = rest.iter().position(|word| {
            let option = word.head.len() > 1 && word.head.starts_with(['-', '+']);
            if option && word.head.ends_with(['o', 'O']) && !word.head.starts_with("--") {
                skip += 1;
            }
            let passed = !option && skip > 0;
            skip -= usize::from(passed);
            !option && !passed
        });
        let Some(at) = at else {
            return self.undecided("a shell is given no script");
        };
        let arguments: Option<Vec<String>> = rest[at + 1..].iter().map(|word| word.text.clone()).collect();
        let scope = arguments.map_or_else(Scope::default, |arguments| {
            Scope::with_arguments(if arguments.is_empty() {
                vec![String::new()]
            } else {
                arguments
            })
        });
        match rest[at].text.as_deref() {
            Some(text) => self.text(text, &scope, call.depth + 1),
            None => self.printed_by(&rest[at]),
        }
    }

    fn language(&self, language: &str, call: &Call<'_>) -> Finding {
        let mut rest = call.words[1..].iter();
        let mut found = Finding::allow();
        let mut inline = false;
        let python = matches!(language, "python" | "pypy" | "py");
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                return found.or(if inline {
                    Finding::allow()
                } else {
                    self.script_file(word)
                });
            };
            match text {
                "-" => return found.or(self.fed_code(call)),
                "--version" | "--help" => return Finding::allow(),
                "-v" | "-V" | "-h" if rest.as_slice().is_empty() => return Finding::allow(),
                long if long.starts_with("--") => {
                    let (name, value) = long
                        .split_once('=')
                        .map_or((long, None), |(name, value)| (name, Some(value)));
                    if matches!(
                        name,
                        "--eval" | "--print" | "--run" | "--require" | "--import" | "--loader"
                    ) {
                        let value = value.map(Word::known).or_else(|| rest.next().cloned());
                        inline = true;
                        found = found.or(value.map_or_else(Finding::allow, |value| self.code_word(&value)));
                    }
                }
                "eval" if matches!(language, "deno") => {
                    inline = true;
                    found = found.or(rest.next().map_or_else(Finding::allow, |value| self.code_word(value)));
                }
                option if option.starts_with('-') => {
                    let letters = &option[1..];
                    if python && letters.contains('m') && !letters.contains('c') {
                        return found.or(self.module(letters, rest.as_slice(), call));
                    }
                    let evaluates = if python {
                        letters.find('c')
                    } else {
                        letters
                            .find(['e', 'E', 'r', 'p'])
                            .filter(|_| !matches!(letters, "r" if language == "ruby"))
                    };
                    if let Some(at) = evaluates {
                        inline = true;
                        let attached = &letters[at + 1..];
                        // `-pe CODE`, `-e CODE`, `-eCODE`: the code is in this word or the next.
                        let bundle = attached.chars().all(|c| c.is_ascii_alphanumeric()) && attached.len() < 4;
                        found = found.or(if attached.is_empty() || bundle {
                            rest.next().map_or_else(Finding::allow, |value| self.code_word(value))
                        } else {
                            self.code(attached)
                        });
                        if python {
                            return found;
                        }
                    }
                }
                _ if inline => return found,
                _ => {
                    // `python setup.py upload` is a program of its own.
                    let own = &call.words[call.words.len() - rest.as_slice().len() - 1..];
                    let name = super::program(word).unwrap_or_default();
                    return found.or(self.script_file(word)).or(self.ruled(&name, &call.inner(own)));
                }
            }
        }
        if inline { found } else { found.or(self.fed_code(call)) }
    }

    /// `python -m pip install` is `pip install`.
    fn module(&self, letters: &str, rest: &[Word], call: &Call<'_>) -> Finding {
        let attached = letters.split_once('m').map_or("", |(_, name)| name);
        if attached.is_empty() {
            return self.call(&call.inner(rest));
        }
        let words: Vec<Word> = [Word::known(attached)]
            .into_iter()
            .chain(rest.iter().cloned())
            .collect();
        self.call(&call.inner(&words))
    }

    /// Code of another language on stdin; no terminal stands there, so without any nothing happens.
    fn fed_code(&self, call: &Call<'_>) -> Finding {
        match self.source(call) {
            Fed::Text(text) => self.code(&text),
            Fed::File(word) => self.script_file(&word),
            Fed::Download => self.downloaded(),
            Fed::Nothing => self.undecided("it cannot be told what it will run: it has no script"),
            Fed::Unknown => self.undecided("it runs what another command prints"),
        }
    }

    fn code_word(&self, word: &Word) -> Finding {
        match word.text.as_deref() {
            Some(text) => self.code(text),
            None => self.printed_by(word),
        }
    }

    /// Code of another language: words that start programs or delete trees are asked about.
    fn code(&self, text: &str) -> Finding {
        let tight: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if self.rules.code.bombs.iter().any(|bomb| tight.contains(bomb.as_str())) {
            return self.found(Level::Block, "process.bomb", "a process starts itself again and again");
        }
        match self
            .rules
            .code
            .suspicious
            .iter()
            .find(|word| text.contains(word.as_str()) || tight.contains(word.as_str()))
        {
            Some(word) => self.found(
                Level::Confirm,
                "code.suspicious",
                format!("code of another language uses {word}"),
            ),
            None => Finding::allow(),
        }
    }

    fn awk(&self, words: &[Word]) -> Finding {
        let runs = |text: &str| {
            let tight: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            tight.contains("system(")
                || tight.contains("|\"")
                || tight.contains("\"|")
                || tight.contains("|getline")
                || tight.contains("|&")
        };
        if words
            .iter()
            .skip(1)
            .any(|word| runs(word.text.as_deref().unwrap_or(&word.head)) || word.many)
        {
            return self.found(
                Level::Confirm,
                "code.suspicious",
                "the awk program runs other programs, or is not known",
            );
        }
        Finding::allow()
    }

    /// GNU sed runs programs by the command `e` and the flag `e`.
    fn sed(&self, call: &Call<'_>) -> Finding {
        let mut scripts = Vec::new();
        let mut words = call.words.iter().skip(1);
        let mut first = None;
        while let Some(word) = words.next() {
            match word.text.as_deref() {
                Some("-e" | "--expression") => scripts.extend(words.next()),
                Some("-f" | "--file") => {
                    words.next();
                }
                Some("-E" | "-r" | "-n" | "-i" | "-s" | "-u" | "-z" | "--posix" | "--debug" | "--sandbox") => {}
                Some(text) if text.starts_with('-') && text.ends_with('e') && !text.starts_with("--") => {
                    scripts.extend(words.next())
                }
                Some(text) if text.starts_with('-') => {
                    scripts.extend(text.starts_with("--expression=").then_some(word))
                }
                _ => first = first.or(Some(word)),
            }
        }
        if scripts.is_empty() {
            scripts.extend(first);
        }
        if scripts.iter().any(|word| word.text.as_deref().is_some_and(executes)) {
            return self.found(Level::Confirm, "code.suspicious", "the sed script runs other programs");
        }
        Finding::allow()
    }

    /// Programs with a language of their own that reaches a shell by an escape.
    fn other(&self, name: &str, call: &Call<'_>) -> Finding {
        let fed = match self.source(call) {
            Fed::Text(text) => Some(text),
            Fed::Download => return self.downloaded(),
            _ => None,
        };
        let texts = call
            .words
            .iter()
            .skip(1)
            .map(|word| word.text.clone().unwrap_or_else(|| word.head.clone()))
            .chain(fed);
        let escapes = |text: &String| {
            let text = text.trim_start_matches(['-', '+', 'c', ' ', ':', '"']);
            let starts = ["!", "shell ", "shell(", "\\!", ".shell", ".system", "system ", "sh "];
            text.lines().any(|line| {
                starts
                    .iter()
                    .any(|start| line.trim_start_matches([' ', ':']).starts_with(start))
            }) || [
                "system(",
                "shell-command",
                "call-process",
                "start-process",
                "syscmd",
                "exec ",
                "spawn ",
                ":!",
                "do shell script",
                "os.execute",
                "Process",
                "|!",
                "!rm",
                "platform shell",
            ]
            .iter()
            .any(|word| text.contains(word))
        };
        let found: Vec<String> = texts.filter(escapes).collect();
        if found.is_empty() {
            return Finding::allow();
        }
        self.found(
            Level::Confirm,
            "code.suspicious",
            format!("{name} is told to run other programs"),
        )
    }
}

/// Whether a sed script has a command or a flag `e`.
fn executes(script: &str) -> bool {
    script.split([';', '\n', '{', '}']).any(|command| {
        let command = command
            .trim_start_matches(|c: char| c.is_ascii_digit() || " \t,$!~+/".contains(c))
            .trim();
        let bare = command == "e" || command.starts_with("e ");
        let addressed = command
            .rsplit('/')
            .next()
            .is_some_and(|last| last == "e" || last.starts_with("e "));
        bare || addressed || substitutes_and_runs(command)
    })
}

/// `s/…/…/e`, with any delimiter.
fn substitutes_and_runs(command: &str) -> bool {
    let Some(at) = command.find('s') else {
        return false;
    };
    let rest = &command[at + 1..];
    let Some(delimiter) = rest
        .chars()
        .next()
        .filter(|c| !c.is_alphanumeric() && !c.is_whitespace())
    else {
        return false;
    };
    let fields: Vec<&str> = rest.split(delimiter).collect();
    fields.get(3..).is_some_and(|flags| {
        flags
            .last()
            .is_some_and(|flags| flags.chars().all(|c| "gpiIemMw0123456789".contains(c)) && flags.contains('e'))
    })
}
