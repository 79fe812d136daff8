//! Programs that run another program: `env`, `sudo`, `xargs`, `find -exec`, `timeout` and their kin.

use super::{Call, Finding, Judge, plain};
use crate::policy::{
    rules::{Wrapper, named},
    shell::Word,
};

impl Judge<'_> {
    /// Decides on what a program runs, if it runs another one.
    pub(super) fn wrapped(&self, name: &str, call: &Call<'_>) -> Finding {
        if call.depth > super::DEEPEST {
            return Finding::undecided("programs in programs go too deep to be read");
        }
        let wrappers = self
            .rules
            .wrapper
            .iter()
            .filter(|wrapper| named(&wrapper.programs, name));
        wrappers
            .map(|wrapper| self.inner(wrapper, call))
            .fold(Finding::allow(), Finding::or)
    }

    fn inner(&self, wrapper: &Wrapper, call: &Call<'_>) -> Finding {
        if wrapper.loose {
            return self.every_suffix(call);
        }
        let (scripts, rest) = match self.unwrap(wrapper, &call.words[1..]) {
            Ok(parts) => parts,
            Err(finding) => return finding,
        };
        let strings = scripts.into_iter().map(|word| match word.text.as_deref() {
            Some(text) => self.nested(text, call.depth + 1),
            None => Finding::undecided(format!("it cannot be told what {} will run", word.raw)),
        });
        let found = strings.fold(Finding::allow(), Finding::or);
        if wrapper.opaque || rest.is_empty() {
            return found;
        }
        if wrapper.joined {
            let texts: Option<Vec<&str>> = rest.iter().map(|word| word.text.as_deref()).collect();
            return found.or(match texts {
                Some(texts) => self.nested(&texts.join(" "), call.depth + 1),
                None => Finding::undecided("it runs text that is not known"),
            });
        }
        found.or(self.run(rest, call, wrapper.appends))
    }

    /// Runs on `words` as a command of their own. `appends`: more words come from elsewhere.
    fn run(&self, words: &[Word], call: &Call<'_>, appends: bool) -> Finding {
        let found = self.call(&Call {
            words,
            command: call.command,
            all: call.all,
            depth: call.depth + 1,
        });
        let takes_script = words
            .first()
            .and_then(super::program)
            .is_some_and(|name| ["sh", "bash", "zsh", "dash"].contains(&name.as_str()));
        if appends
            && takes_script
            && words
                .last()
                .is_some_and(|word| word.raw.ends_with('c') && word.raw.starts_with('-'))
        {
            return found.or(Finding::undecided("a shell runs what another command prints"));
        }
        found
    }

    /// Splits a wrapper's words into scripts and the command that it runs.
    fn unwrap<'w>(&self, wrapper: &Wrapper, words: &'w [Word]) -> Result<(Vec<&'w Word>, &'w [Word]), Finding> {
        let (mut scripts, mut at, mut skip) = (Vec::new(), 0, wrapper.skip);
        while let Some(word) = words.get(at) {
            let Some(text) = word.text.as_deref() else {
                return if skip > 0 {
                    skip -= 1;
                    at += 1;
                    continue;
                } else {
                    Ok((scripts, &words[at..]))
                };
            };
            let option = |names: &[String]| names.iter().any(|name| name == text);
            if option(&wrapper.script) {
                scripts.extend(words.get(at + 1));
                at += 2;
            } else if let Some(name) = wrapper.script.iter().find(|name| is_attached(name, text)) {
                let _ = name;
                return Err(Finding::undecided(format!(
                    "it cannot be told what {} will run",
                    word.raw
                )));
            } else if option(&wrapper.values) {
                at += 2;
            } else if text == "--" {
                at += 1;
                break;
            } else if (text.starts_with('-') && text.len() > 1) || (wrapper.assignments && text.contains('=')) {
                at += 1;
            } else if skip > 0 {
                skip -= 1;
                at += 1;
            } else {
                break;
            }
        }
        Ok((scripts, words.get(at..).unwrap_or_default()))
    }

    /// Of a program whose options are too many to know, every word may be the command.
    fn every_suffix(&self, call: &Call<'_>) -> Finding {
        let suffixes = (1..call.words.len()).filter(|from| {
            let word = &call.words[*from];
            word.text
                .as_deref()
                .is_some_and(|text| !text.starts_with('-') && !text.contains(['=', ':']))
        });
        let found = suffixes.map(|from| self.run(&call.words[from..], call, false));
        // Words that only look like a shell without a script are no reason to ask.
        found
            .filter(|found| found.rule != "command.undecided")
            .fold(Finding::allow(), Finding::or)
    }

    /// `find … -exec COMMAND ;`
    pub(super) fn find(&self, call: &Call<'_>) -> Finding {
        let mut found = Finding::allow();
        let mut words = call.words;
        while let Some(at) = words
            .iter()
            .position(|word| matches!(word.raw.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir"))
        {
            words = &words[at + 1..];
            let end = words
                .iter()
                .position(|word| matches!(word.text.as_deref(), Some(";" | "+")));
            let inner = &words[..end.unwrap_or(words.len())];
            found = found.or(self.run(inner, call, false));
        }
        found
    }

    /// `git -c alias.x='!…'` and its kin run whatever they are given.
    pub(super) fn git(&self, call: &Call<'_>) -> Finding {
        let configured = call
            .words
            .windows(2)
            .filter(|pair| pair[0].text.as_deref() == Some("-c"));
        let texts = configured.map(|pair| pair[1].text.clone().unwrap_or_else(|| pair[1].raw.clone()));
        let runs = |text: &String| {
            let key = text.split('=').next().unwrap_or_default().to_ascii_lowercase();
            key.starts_with("alias.")
                || key.ends_with("command")
                || key.ends_with("sshcommand")
                || key.contains("editor")
                || key.contains("pager")
                || key.contains("hookspath")
                || key.contains("fsmonitor")
                || key.ends_with("cmd")
        };
        if texts.into_iter().any(|text| runs(&text)) {
            return Finding::undecided("git is given a program to run");
        }
        let words = plain(call.words, super::GIT_VALUES);
        let word = |at: usize| words.get(at).and_then(Option::as_deref);
        match (word(0), word(1)) {
            (Some("submodule"), Some("foreach"))
            | (Some("bisect"), Some("run"))
            | (Some("rebase" | "filter-branch"), _) => self.git_runs(call),
            _ => Finding::allow(),
        }
    }

    /// The scripts among the words of a git command that runs some.
    fn git_runs(&self, call: &Call<'_>) -> Finding {
        let texts = call.words[1..]
            .iter()
            .filter_map(|word| word.text.as_deref())
            .filter(|text| text.contains(' '));
        let scripts = texts
            .map(|text| self.nested(text, call.depth + 1))
            .fold(Finding::allow(), Finding::or);
        scripts.or(self.every_suffix(call))
    }
}

/// `-cSCRIPT`, `--command=SCRIPT`.
fn is_attached(option: &str, text: &str) -> bool {
    text.strip_prefix(option)
        .is_some_and(|rest| !rest.is_empty() && (!option.starts_with("--") || rest.starts_with('=')))
}
