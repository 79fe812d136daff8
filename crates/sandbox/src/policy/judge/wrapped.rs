//! Programs that run another program: `env`, `sudo`, `xargs`, `find -exec`, `timeout` and their kin.

use super::{Call, Finding, Judge, Level, Word, deletion, matching, options, options::Kind};
use crate::policy::rules::{Wrapper, named};
use crate::policy::shell::Scope;

/// What a wrapper's words come to.
#[derive(Default)]
struct Unwrapped<'w> {
    scripts: Vec<Word>,
    programs: Vec<Word>,
    assigned: Vec<(String, Option<String>)>,
    rest: &'w [Word],
    /// An option was met that is not known, so that the program may begin later.
    unsure: bool,
    /// One of the wrapper's own words is what other commands print: it may be an option that takes the next one.
    printed: bool,
    /// A word of the wrapper's own may turn out to be several, the program among them.
    crowded: bool,
    /// What xargs puts its lines in the place of.
    replaced: Option<String>,
}

/// Words that an unknown option and its value may take before the program.
const FARTHEST: usize = 3;

impl Judge<'_> {
    /// Decides on what a program runs, if it runs another one.
    pub(super) fn wrapped(&self, name: &str, call: &Call<'_>) -> Finding {
        let about = self.about(name);
        let found = about
            .wrappers
            .iter()
            .filter_map(|wrapper| Some(self.inner(wrapper, call, under(wrapper, call.words)?)));
        found.fold(Finding::allow(), Finding::or)
    }

    fn inner(&self, wrapper: &Wrapper, call: &Call<'_>, words: &[Word]) -> Finding {
        let unwrapped = unwrap(wrapper, words);
        let mut found = Finding::allow();
        for word in &unwrapped.scripts {
            found = found.or(self.runs_word(word, call));
        }
        for word in &unwrapped.programs {
            let words: Vec<Word> = [word].into_iter().chain(unwrapped.rest).cloned().collect();
            found = found.or(self.call(&call.inner(&words)));
        }
        for (name, value) in &unwrapped.assigned {
            found = found.or(self.variable(name, value.as_deref()));
        }
        if wrapper.stdin && unwrapped.rest.is_empty() {
            found = found.or(self.fed_if_known(call));
        }
        if wrapper.opaque {
            return found;
        }
        if unwrapped.rest.is_empty() {
            return match unwrapped.crowded {
                true => found.or(self.undecided("the program that it runs may be among words that are not known")),
                false => found,
            };
        }
        if wrapper.joined {
            return found.or(self.joined(unwrapped.rest, call));
        }
        let rest = appended(wrapper, &unwrapped);
        found = found.or(self.call(&call.inner(&rest)));
        if unwrapped.unsure {
            found = found.or(self.later(&rest, call));
        }
        if unwrapped.printed && rest.iter().take(FARTHEST + 1).skip(1).any(is_printed) {
            found = found.or(self.undecided("it cannot be told which of its words is the program that it runs"));
        }
        found
    }

    /// Text that one word holds, and a shell will read.
    pub(super) fn runs_word(&self, word: &Word, call: &Call<'_>) -> Finding {
        match word.text.as_deref() {
            Some(text) => self.text(text, &Scope::default(), call.depth + 1),
            None => self.printed_by(word),
        }
    }

    fn joined(&self, words: &[Word], call: &Call<'_>) -> Finding {
        let texts: Option<Vec<&str>> = words.iter().map(|word| word.text.as_deref()).collect();
        match texts {
            Some(texts) => self.text(&texts.join(" "), &Scope::default(), call.depth + 1),
            None => self.undecided("it runs text that is not known"),
        }
    }

    /// After an option that is not known, the program may begin some words later.
    fn later(&self, words: &[Word], call: &Call<'_>) -> Finding {
        let places = (1..words.len().min(FARTHEST + 1)).map(|at| &words[at..]);
        let found = places.map(|words| self.if_program(words, call));
        found.fold(Finding::allow(), Finding::or)
    }

    /// Words that may be a program, or only words: what is said of them counts where it is sure, or where the program would
    /// be one that there are rules about.
    fn if_program(&self, words: &[Word], call: &Call<'_>) -> Finding {
        let name = words.first().and_then(|word| word.text.as_deref());
        if name.is_none_or(|name| name.starts_with('-')) {
            return Finding::allow();
        }
        let found = self.call(&call.inner(words));
        let sure = found.0.level > Level::Confirm || found.0.rule != "command.undecided";
        if found.0.level >= Level::Confirm && (sure || words.first().is_some_and(|word| self.is_ruled(word))) {
            found
        } else {
            Finding::allow()
        }
    }

    /// Whether there are rules about a program.
    fn is_ruled(&self, word: &Word) -> bool {
        super::program(word).is_some_and(|name| name == "rm" || !self.about(&name).rules.is_empty())
    }

    /// `find … -exec COMMAND ;`, `fd … -x COMMAND`
    pub(super) fn find(&self, call: &Call<'_>, options: &[&str]) -> Finding {
        let mut found = Finding::allow();
        let mut words = call.words;
        let ends = words
            .iter()
            .any(|word| matches!(word.text.as_deref(), Some("{}" | ";" | "+")));
        let known = words.iter().any(|word| options.contains(&word.head.as_str()));
        if ends && !known && words.iter().any(|word| word.text.is_none()) {
            found = found.or(self.undecided("it cannot be told what is run on what is found"));
        }
        for (at, word) in words.iter().enumerate().skip(1) {
            if self.is_tired() {
                break;
            }
            if word.shown.starts_with("$@") {
                found = found.or(self.undecided("it cannot be told what is done with what is found"));
            } else if word.text.is_none() {
                found = found.or(self.if_program(&words[at + 1..], call));
            }
        }
        let runs = |word: &Word| options.contains(&word.head.as_str());
        while let Some(at) = words.iter().position(runs) {
            if self.is_tired() {
                return found.or(self.undecided("it runs more than can be looked at"));
            }
            words = &words[at + 1..];
            let end = words
                .iter()
                .position(|word| matches!(word.text.as_deref(), Some(";" | "+")));
            let inner: Vec<Word> = words[..end.unwrap_or(words.len())]
                .iter()
                .map(|word| with_hole(word, "{}"))
                .collect();
            found = found.or(self.call(&call.inner(&inner)));
            if inner
                .first()
                .and_then(super::program)
                .is_some_and(|program| program == "rm" || program == "unlink")
            {
                found = found.or(self.found(Level::Confirm, "delete.found", "deletes whatever it finds"));
            }
        }
        found
    }
}

/// The words after the wrapper's own, if it wraps at all.
fn under<'w>(wrapper: &Wrapper, words: &'w [Word]) -> Option<&'w [Word]> {
    let rest = words.get(1..)?;
    if wrapper.under.is_empty() {
        return Some(rest);
    }
    let values: Vec<&str> = wrapper.values.iter().map(String::as_str).collect();
    let plain = matching::plain(words, &values);
    let phrase = wrapper
        .under
        .iter()
        .filter(|phrase| matching::phrase(phrase, &plain))
        .max_by_key(|phrase| phrase.len())?;
    let last = phrase.rsplit(' ').next()?;
    let at = rest.iter().position(|word| word.text.as_deref() == Some(last))?;
    rest.get(at + 1..)
}

fn unwrap<'w>(wrapper: &Wrapper, words: &'w [Word]) -> Unwrapped<'w> {
    let mut unwrapped = Unwrapped::default();
    let words = match wrapper
        .stops
        .iter()
        .find_map(|stop| words.iter().position(|word| word.text.as_deref() == Some(stop)))
    {
        Some(at) => &words[..at],
        None => words,
    };
    let takers = [&wrapper.script, &wrapper.values, &wrapper.setting, &wrapper.program];
    let all: Vec<&str> = takers.into_iter().flatten().map(String::as_str).collect();
    let (mut at, mut skip) = (0, wrapper.skip);
    while let Some(word) = words.get(at) {
        if wrapper.appends
            && let Some(text) = word.text.as_deref()
        {
            unwrapped.replaced = replacement(text, words.get(at + 1)).or(unwrapped.replaced);
        }
        // Where the program is an option's value, all that follows the skipped words is its own.
        if skip == 0 && wrapper.skip > 0 && !unwrapped.programs.is_empty() {
            break;
        }
        match options::kind(word, &all) {
            Kind::Operand if wrapper.opaque => at += 1,
            _ if word.text.as_deref() == Some("--") => {
                at += 1;
                if skip == 0 || wrapper.after {
                    break;
                }
            }
            Kind::TakesNext => {
                if let Some(value) = words.get(at + 1) {
                    take(wrapper, word, value.clone(), &mut unwrapped);
                }
                at += 2;
            }
            Kind::Attached(text) => {
                let value = if word.text.is_some() {
                    Word::known(&text)
                } else {
                    Word {
                        text: None,
                        ..word.clone()
                    }
                };
                take(wrapper, word, value, &mut unwrapped);
                at += 1;
            }
            Kind::Plain => {
                unwrapped.unsure |= word.head.len() > 2 && !word.head.contains('=');
                at += 1;
            }
            Kind::Operand if wrapper.assignments && word.head.contains('=') => {
                let (name, value) = word.head.split_once('=').unwrap_or_default();
                unwrapped
                    .assigned
                    .push((name.to_owned(), word.text.as_ref().map(|_| value.to_owned())));
                at += 1;
            }
            // `npm exec NAME`, and all words up to `--` where only that begins the command.
            Kind::Operand
                if skip > 0 || (wrapper.after && words[at..].iter().any(|word| word.text.as_deref() == Some("--"))) =>
            {
                skip = skip.saturating_sub(1);
                at += 1;
            }
            Kind::Operand => break,
        }
    }
    unwrapped.rest = words.get(at..).unwrap_or_default();
    unwrapped.unsure |= words.iter().take(at).any(deletion::may_be_option);
    unwrapped.printed = words.iter().take(at).any(is_printed);
    unwrapped.crowded = words.iter().take(at).any(|word| word.many);
    unwrapped
}

/// Whether a word is what other commands print, and not known.
fn is_printed(word: &Word) -> bool {
    word.text.is_none() && !word.outputs.is_empty()
}

/// An option's value: a script, a program, a setting that holds a script, or nothing that runs.
fn take(wrapper: &Wrapper, option: &Word, value: Word, unwrapped: &mut Unwrapped<'_>) {
    let is = |list: &[String]| !matches!(options::kind(option, list), Kind::Plain | Kind::Operand);
    if is(&wrapper.script) {
        let text = value
            .text
            .as_deref()
            .map(|text| text.strip_prefix("exec=").unwrap_or(text));
        unwrapped.scripts.push(text.map_or_else(|| value.clone(), Word::known));
    } else if is(&wrapper.program) {
        unwrapped.programs.push(value);
    } else if is(&wrapper.setting) {
        let text = value.text.clone().unwrap_or_else(|| value.head.clone());
        let (key, script) = text.split_once(['=', ' ']).unwrap_or((&text, ""));
        if named(&wrapper.keys, &key.to_ascii_lowercase()) {
            let known = value.text.is_some();
            unwrapped.scripts.push(if known {
                Word::known(script.trim_start_matches('!'))
            } else {
                value
            });
        }
    }
}

/// What xargs puts in the place of its replacement.
fn replacement(text: &str, next: Option<&Word>) -> Option<String> {
    match text {
        "-I" | "-J" | "--replace" => next.and_then(|word| word.text.clone()),
        "-i" => Some("{}".to_owned()),
        _ => text
            .strip_prefix("-I")
            .or_else(|| text.strip_prefix("--replace="))
            .map(str::to_owned),
    }
}

/// What xargs and its kin run: words come from elsewhere, in a hole or at the end.
fn appended(wrapper: &Wrapper, unwrapped: &Unwrapped<'_>) -> Vec<Word> {
    if !wrapper.appends {
        return unwrapped.rest.to_vec();
    }
    if let Some(hole) = unwrapped.replaced.as_deref().filter(|hole| !hole.is_empty()) {
        return unwrapped.rest.iter().map(|word| with_hole(word, hole)).collect();
    }
    let more = Word {
        shown: "…".to_owned(),
        many: true,
        ..Word::default()
    };
    unwrapped.rest.iter().cloned().chain([more]).collect()
}

/// A word in which something unknown takes the place of a mark.
fn with_hole(word: &Word, hole: &str) -> Word {
    match word.text.as_deref().and_then(|text| text.split_once(hole)) {
        Some((before, _)) => Word {
            text: None,
            head: before.to_owned(),
            ..word.clone()
        },
        None => word.clone(),
    }
}
