//! git: its many ways to run a program that it is given, and to be called.

use super::{Call, Finding, Judge, Word, matching};
use crate::policy::shell::Scope;

/// Options of git that take a value as the next word.
pub(super) const VALUES: &[&str] = &[
    "-C",
    "-c",
    "--git-dir",
    "--work-tree",
    "--namespace",
    "--exec-path",
    "--super-prefix",
    "--config-env",
    "--attr-source",
];

/// Options of git's commands whose value is a program or a script.
const RUNS: &[&str] = &[
    "--upload-pack",
    "--receive-pack",
    "--exec",
    "--extcmd",
    "--open-files-in-pager",
    "--tree-filter",
    "--index-filter",
    "--msg-filter",
    "--commit-filter",
    "--parent-filter",
    "--env-filter",
    "--tag-name-filter",
    "--setup",
    "--tool",
];

/// `git-push` is `git push`: a program that is one of git's commands is read as such.
pub(super) fn by_its_own_name(program: &str, words: &[Word]) -> Option<Vec<Word>> {
    let command = program.strip_prefix("git-").filter(|command| !command.is_empty())?;
    let own = [Word::known("git"), Word::known(command)];
    Some(own.into_iter().chain(words.iter().skip(1).cloned()).collect())
}

impl Judge<'_> {
    pub(super) fn git(&self, call: &Call<'_>) -> Finding {
        let words = matching::plain(call.words, VALUES);
        let word = |at: usize| words.get(at).and_then(Option::as_deref);
        let settings = self.settings(call, word(0));
        let helpers = call.words.iter().filter(|word| word.head.contains("ext::"));
        let found = helpers.fold(settings, |found, _| {
            found.or(self.undecided("git is given a program as a remote"))
        });
        let found = call.words.iter().enumerate().skip(1).fold(found, |found, (at, word)| {
            found.or(self.git_option(at, word, word_after(call.words, at), call, &words))
        });
        match (word(0), word(1)) {
            (Some("submodule"), Some("foreach")) => found.or(self.git_runs(call, "foreach", true)),
            (Some("bisect"), Some("run")) => found.or(self.git_runs(call, "run", false)),
            (Some("config"), _) => found.or(self.configured(call)),
            (Some("for-each-repo"), _) => found.or(self.undecided("git runs a command in every repository")),
            _ => found,
        }
    }

    /// `-c KEY=VALUE`, `--config KEY=VALUE`, `--config-env`, `--exec-path=`.
    fn settings(&self, call: &Call<'_>, command: Option<&str>) -> Finding {
        let mut found = Finding::allow();
        let commits = matches!(command, Some("commit" | "switch"));
        for (at, word) in call.words.iter().enumerate().skip(1) {
            let text = word.text.as_deref().unwrap_or(&word.head);
            let before_command = call.words[..at]
                .iter()
                .skip(1)
                .all(|word| word.text.as_deref() != command);
            let setting = match text {
                // After the command, `-c` means something else to `commit` and `switch`.
                "-c" | "--config" if before_command || !commits => call.words.get(at + 1),
                _ => None,
            };
            found = found.or(match (setting, text) {
                (Some(setting), _) => self.setting(setting, call),
                (None, text) if text.starts_with("--exec-path=") || text.starts_with("--config-env") => {
                    self.undecided("git is given a program or a setting that is not known")
                }
                (None, text) if text.starts_with("--config=") => {
                    self.setting(&Word::known(&text["--config=".len()..]), call)
                }
                _ => Finding::allow(),
            });
        }
        found
    }

    fn setting(&self, word: &Word, call: &Call<'_>) -> Finding {
        let text = word.text.as_deref().unwrap_or(&word.head);
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if !runs(key) {
            return match word.text {
                None if !word.head.contains('=') => self.undecided("it cannot be told what git is set to"),
                _ => Finding::allow(),
            };
        }
        self.given(value, word.text.is_some(), call)
    }

    /// A program that git is given: one that does no harm, or a question.
    fn given(&self, script: &str, known: bool, call: &Call<'_>) -> Finding {
        let harmless = [
            "", "cat", "less", "more", "true", ":", "false", "0", "vim", "vi", "nano", "ssh", "delta",
        ];
        if known && harmless.contains(&script) {
            return Finding::allow();
        }
        let inner = self.text(script.trim_start_matches('!'), &Scope::default(), call.depth + 1);
        inner.or(self.undecided("git is given a program to run"))
    }

    fn configured(&self, call: &Call<'_>) -> Finding {
        let mut words = call
            .words
            .iter()
            .skip(2)
            .skip_while(|word| word.head.starts_with('-') || word.head == "set" || word.head == "add");
        let (Some(key), Some(value)) = (words.next(), words.next()) else {
            return Finding::allow();
        };
        if runs(&key.head) {
            return self.given(&value.head, value.text.is_some(), call);
        }
        Finding::allow()
    }

    fn git_option(
        &self,
        at: usize,
        word: &Word,
        next: Option<&Word>,
        call: &Call<'_>,
        plain: &[Option<&str>],
    ) -> Finding {
        let text = word.text.as_deref().unwrap_or(&word.head);
        let command = plain.first().copied().flatten().unwrap_or_default();
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(name, value)| (name, Some(value)));
        let long = name.len() > 5 && RUNS.iter().any(|option| option.starts_with(name));
        let exec = name == "--exec" || (command == "rebase" && name == "-x") || (command == "difftool" && name == "-x");
        let pack = command == "clone" && name == "-u";
        let pager = command == "grep" && text.starts_with("-O") && text.len() > 2;
        if at < 2 || !(long || exec || pack || pager) {
            return Finding::allow();
        }
        if pager {
            return self.given(&text[2..], word.text.is_some(), call);
        }
        match (value, next) {
            (Some(value), _) => self.runs_word(
                &if word.text.is_some() {
                    Word::known(value)
                } else {
                    Word {
                        text: None,
                        ..word.clone()
                    }
                },
                call,
            ),
            (None, Some(next)) => self.runs_word(next, call),
            (None, None) => Finding::allow(),
        }
    }

    /// The command after a word: one text for a shell, or a program with its words.
    fn git_runs(&self, call: &Call<'_>, after: &str, shell: bool) -> Finding {
        let at = call
            .words
            .iter()
            .position(|word| word.text.as_deref() == Some(after))
            .unwrap_or(0);
        let rest: Vec<Word> = call.words[at + 1..]
            .iter()
            .skip_while(|word| word.head.starts_with('-'))
            .cloned()
            .collect();
        match rest.as_slice() {
            [] => Finding::allow(),
            [word] if shell => self.runs_word(word, call),
            words => self.call(&call.inner(words)),
        }
    }
}

fn word_after(words: &[Word], at: usize) -> Option<&Word> {
    words.get(at + 1)
}

/// Settings of git whose value is a program.
fn runs(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let ends = [
        "command",
        "cmd",
        "editor",
        "pager",
        "hookspath",
        "fsmonitor",
        "askpass",
        "textconv",
        "driver",
        "clean",
        "smudge",
        "process",
        "helper",
        "program",
        "gitproxy",
        "uploadpack",
        "receivepack",
        "external",
        "path",
        "templatedir",
        "pushurl",
        "insteadof",
        "worktree",
    ];
    key.starts_with("alias.")
        || key.starts_with("include")
        || (ends.iter().any(|end| key.ends_with(end)) && !key.ends_with("quotepath"))
}
