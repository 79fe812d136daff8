//! Where text comes from that something will run: the command line, a file, a download, or somewhere that is not known.

use super::{Call, Finding, Judge, Level, Made, Target, Word, program};
use crate::policy::{
    print,
    shell::{self, Argv, Scope, Script, Simple},
};
use std::collections::BTreeSet;

/// What fills a stdin.
pub(super) enum Fed {
    /// Nothing of this command line.
    Nothing,
    /// Text that is known.
    Text(String),
    /// A file of that name.
    File(Word),
    /// Text from the network.
    Download,
    /// Something else.
    Unknown,
}

/// More than a file may hold, one or the other, before it is not known.
const MOST_HELD: usize = 8;
/// More pipes than are followed back.
const FARTHEST: usize = 8;

impl Judge<'_> {
    /// Decides on a shell that runs its stdin.
    pub(super) fn fed(&self, call: &Call<'_>) -> Finding {
        match self.source(call) {
            Fed::Text(text) => self.text(&text, &Scope::default(), call.depth + 1),
            Fed::File(word) => self.script_file(&word),
            Fed::Download => self.downloaded(),
            Fed::Nothing => self.undecided("it cannot be told what it will run: it has no script"),
            Fed::Unknown => self.undecided("it runs what another command prints"),
        }
    }

    /// The same for programs that run their stdin when they are given nothing else.
    pub(super) fn fed_if_known(&self, call: &Call<'_>) -> Finding {
        match self.source(call) {
            Fed::Nothing => Finding::allow(),
            _ => self.fed(call),
        }
    }

    pub(super) fn downloaded(&self) -> Finding {
        self.found(Level::Monitor, "monitor.download", "runs text that it downloads")
    }

    /// What fills the stdin of a command.
    pub(super) fn source(&self, call: &Call<'_>) -> Fed {
        for target in call.argv.redirects.iter().rev() {
            return match target {
                Target::To(_) => continue,
                Target::Text(Some(text), _) => Fed::Text(text.clone()),
                Target::Text(None, outputs) => self.output_of(outputs),
                Target::Commands(script) => self.output_of(std::slice::from_ref(script)),
                Target::From(word) if word.stream.is_some() => self.output_of(word.stream.as_slice()),
                Target::From(word) => Fed::File(word.clone()),
            };
        }
        match call.simple.fed_by {
            Some(range) => self.piped(range, call.script, call.scope, 0),
            None => Fed::Nothing,
        }
    }

    /// What scripts print.
    pub(super) fn output_of(&self, scripts: &[Script]) -> Fed {
        let downloads = !scripts.is_empty()
            && scripts
                .iter()
                .all(|script| script.iter().any(|simple| self.downloads(simple)));
        if downloads { Fed::Download } else { Fed::Unknown }
    }

    fn piped(&self, (from, to): (usize, usize), script: &[Simple], scope: &Scope, distance: usize) -> Fed {
        let sources = script.get(from..to).unwrap_or_default();
        self.notes.borrow_mut().calls += 1;
        if distance > FARTHEST || self.is_tired() {
            return Fed::Unknown;
        }
        if sources.iter().any(|simple| self.downloads(simple)) {
            return Fed::Download;
        }
        if let [simple] = sources
            && let Some(fed) = self.one_source(simple, scope)
        {
            return fed;
        }
        let further = sources
            .iter()
            .find_map(|simple| simple.fed_by.filter(|range| *range != (from, to)));
        match further.map(|range| (range, self.piped(range, script, scope, distance + 1))) {
            // What stands between may change text, but it stays a download; and `tee` and `cat` change nothing.
            Some((_, Fed::Download)) => Fed::Download,
            Some((_, fed)) if sources.iter().all(passes_on) => fed,
            _ => Fed::Unknown,
        }
    }

    fn one_source(&self, simple: &Simple, scope: &Scope) -> Option<Fed> {
        let ways = shell::expansions(simple, scope).ok()?;
        let [argv] = ways.as_slice() else {
            return None;
        };
        if let Some(text) = print::of(argv) {
            return Some(Fed::Text(text));
        }
        let text = argv.redirects.iter().rev().find_map(|target| match target {
            Target::Text(text, _) => Some(text.clone()),
            _ => None,
        });
        match text {
            Some(Some(text)) if argv.words.is_empty() || passes_on(simple) => Some(Fed::Text(text)),
            _ => None,
        }
    }

    /// Whether a command fetches text from the network.
    fn downloads(&self, simple: &Simple) -> bool {
        let mut names = simple.words.iter().filter_map(|word| shell::bare(word));
        let about = |text: String| self.about(text.rsplit('/').next().unwrap_or_default());
        let Some(first) = names.next().map(about) else {
            return false;
        };
        first.downloads || (!first.wrappers.is_empty() && names.map(about).any(|about| about.downloads))
    }

    /// Text whose value is what scripts inside a word print.
    pub(super) fn printed_by(&self, word: &Word) -> Finding {
        let outputs: Vec<Script> = word.outputs.iter().chain(&word.stream).cloned().collect();
        match self.output_of(&outputs) {
            Fed::Download => self.downloaded(),
            _ => self.undecided(format!(
                "it cannot be told what {} will run",
                crate::policy::shown(&word.shown)
            )),
        }
    }

    /// A script in a file is ordinary; one that this command line made, or a stream in its place, is not.
    pub(super) fn script_file(&self, word: &Word) -> Finding {
        match word.text.as_deref() {
            None => self.printed_by(word),
            Some(path) if path.starts_with("/dev/fd/") || path.starts_with("/proc/") => {
                self.undecided("it runs a stream that is not known")
            }
            Some(path) => self.made(path),
        }
    }

    /// A program that this command line made.
    pub(super) fn made_here(&self, call: &Call<'_>) -> Finding {
        match call.words.first().and_then(|word| word.text.as_deref()) {
            Some(path) if path.contains('/') => self.made(path),
            Some(_) | None => Finding::allow(),
        }
    }

    fn made(&self, path: &str) -> Finding {
        let name = bare_name(path);
        if path.contains(['*', '?', '[']) && !self.notes.borrow().made.is_empty() {
            return self.undecided("it may run a file that it has just written");
        }
        let made = self.notes.borrow().made.get(name).cloned();
        let Some(made) = made else {
            self.notes.borrow_mut().ran.insert(name.to_owned());
            return Finding::allow();
        };
        let each = made.into_iter().map(|made| match made {
            Made::Download => self.downloaded(),
            Made::Unknown => self.undecided(format!(
                "it runs {}, which it has just written",
                crate::policy::shown(path)
            )),
            Made::Text(text) => self.text(&text, &Scope::default(), 2),
        });
        each.fold(Finding::allow(), Finding::or)
    }

    /// Whether a file was run that a later command writes.
    pub(super) fn runs_what_comes_later(&self) -> bool {
        let notes = self.notes.borrow();
        notes.ran.iter().any(|name| notes.made.contains_key(name))
    }

    /// Remembers what a command puts into files.
    pub(super) fn remember(&self, call: &Call<'_>) {
        let download = self.downloads(call.simple);
        let targets = call.argv.redirects.iter().filter_map(|target| match target {
            Target::To(word) => word.text.clone(),
            Target::From(_) | Target::Text(..) | Target::Commands(_) => None,
        });
        let targets: BTreeSet<String> = targets.collect();
        let mut made = Vec::new();
        if !targets.is_empty() {
            let content = self.content(call, download);
            made.extend(targets.into_iter().map(|path| (path, content.clone())));
        }
        let name = call.words.first().and_then(program).unwrap_or_default();
        if name == "tee" {
            let content = || match self.source(call) {
                Fed::Text(text) => Made::Text(text),
                Fed::Download => Made::Download,
                _ => Made::Unknown,
            };
            made.extend(operands(call.argv).map(|path| (path, content())));
        }
        if matches!(name.as_str(), "cp" | "mv" | "ln" | "install") {
            let paths: Vec<String> = operands(call.argv).collect();
            let content = paths
                .first()
                .and_then(|from| self.notes.borrow().made.get(bare_name(from)).cloned());
            if let (Some(contents), Some(to)) = (content, paths.last()) {
                made.extend(contents.into_iter().map(|content| (to.clone(), content)));
            }
        }
        if download {
            made.extend(fetched(call.argv).map(|path| (path, Made::Download)));
        }
        let mut notes = self.notes.borrow_mut();
        for (path, content) in made {
            let before = notes.made.entry(bare_name(&path).to_owned()).or_default();
            add(before, content);
        }
    }

    fn content(&self, call: &Call<'_>, download: bool) -> Made {
        if download {
            return Made::Download;
        }
        if let Some(text) = print::of(call.argv) {
            return Made::Text(text);
        }
        match self.source(call) {
            Fed::Text(text) if passes_on(call.simple) => Made::Text(text),
            Fed::Download => Made::Download,
            _ => Made::Unknown,
        }
    }
}

/// `cat` and `tee` print what they read.
fn passes_on(simple: &Simple) -> bool {
    let first = simple.words.first().and_then(|word| shell::bare(word));
    match first.as_deref() {
        Some("cat") => simple
            .words
            .iter()
            .skip(1)
            .all(|word| shell::bare(word).is_some_and(|text| text.starts_with('-'))),
        Some("tee") => true,
        _ => false,
    }
}

fn operands(argv: &Argv) -> impl Iterator<Item = String> + '_ {
    let words = argv.words.iter().skip(1).filter_map(|word| word.text.clone());
    words.filter(|text| !text.starts_with('-'))
}

/// The files that curl and wget write.
fn fetched(argv: &Argv) -> impl Iterator<Item = String> + '_ {
    let texts: Vec<&str> = argv
        .words
        .iter()
        .map(|word| word.text.as_deref().unwrap_or(&word.head))
        .collect();
    let named = texts
        .windows(2)
        .filter(|pair| pair[0].starts_with('-') && (pair[0].ends_with(['o', 'O']) || pair[0].starts_with("--output")));
    let named: Vec<String> = named.map(|pair| pair[1].to_owned()).collect();
    let attached = texts.iter().filter_map(|text| {
        text.strip_prefix("--output=")
            .or_else(|| text.strip_prefix("--output-document="))
    });
    let attached: Vec<String> = attached.map(str::to_owned).collect();
    let base = texts
        .iter()
        .filter(|text| text.contains("://"))
        .filter_map(|url| url.split(['?', '#']).next()?.rsplit('/').next());
    let base: Vec<String> = base.map(str::to_owned).collect();
    named.into_iter().chain(attached).chain(base)
}

/// One more thing that a file may hold, alone or after what it held: a redirection may replace or append, and it may
/// stand where it does not happen.
fn add(held: &mut Vec<Made>, content: Made) {
    if let Made::Text(new) = &content {
        let old = held.iter().filter_map(|held| match held {
            Made::Text(old) if old != new => Some(old),
            Made::Text(_) | Made::Download | Made::Unknown => None,
        });
        let after: Vec<Made> = old
            .flat_map(|old| ["", "\n"].map(|between| Made::Text(format!("{old}{between}{new}"))))
            .collect();
        held.extend(after);
    }
    held.push(content);
    if held.len() > MOST_HELD {
        *held = vec![Made::Unknown];
    }
}

/// A path's last part, the name under which a file is remembered: folders change along the way.
fn bare_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
