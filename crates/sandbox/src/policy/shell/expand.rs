//! What a command's words come to: braces, variables, quotes, splitting; and what of it cannot be known.

use super::{
    Redirect, Script, Simple, Unreadable, brace,
    lex::{Atom, Part},
    scope::Scope,
};

/// More ways to read one command than are tried.
const MOST_WAYS: usize = 32;

/// A word as the program will get it.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct Word {
    /// Its value; `None` when it depends on something that is not known.
    pub(in crate::policy) text: Option<String>,
    /// What is known of its beginning.
    pub(in crate::policy) head: String,
    /// As a person is shown it.
    pub(in crate::policy) shown: String,
    /// An unknown word that may be several, or none.
    pub(in crate::policy) many: bool,
    /// It is a pattern that files may match.
    pub(in crate::policy) pattern: bool,
    /// It is a number, whatever it is.
    pub(in crate::policy) number: bool,
    /// Commands whose output it takes.
    pub(in crate::policy) outputs: Vec<Script>,
    /// The word is a file that these commands fill: `<(…)`.
    pub(in crate::policy) stream: Option<Script>,
}

impl Word {
    /// A word of which everything is known.
    pub(in crate::policy) fn known(text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            head: text.to_owned(),
            shown: text.to_owned(),
            ..Self::default()
        }
    }
}

/// One way to read a command.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct Argv {
    pub(in crate::policy) words: Vec<Word>,
    pub(in crate::policy) assigned: Vec<(String, Option<String>)>,
    pub(in crate::policy) redirects: Vec<Target>,
}

/// A redirection, its words expanded.
#[derive(Debug, Clone)]
pub(in crate::policy) enum Target {
    To(Word),
    From(Word),
    /// Text on stdin; `None` when it is not known, with the commands whose output it takes.
    Text(Option<String>, Vec<Script>),
    Commands(Script),
}

/// All ways to read a command: one for each value that its variables may have.
pub(in crate::policy) fn expansions(simple: &Simple, scope: &Scope) -> Result<Vec<Argv>, Unreadable> {
    let own;
    let scope = if simple.within.is_some() {
        own = scope.without_arguments();
        &own
    } else {
        scope
    };
    let mut names = Vec::new();
    let parts = simple.words.iter().chain(simple.redirects.iter().filter_map(atoms_of));
    for atom in parts.flatten() {
        variables(atom, &mut names);
    }
    if names.is_empty() {
        return Ok(vec![one_way(simple, scope)?]);
    }
    names.sort();
    names.dedup();
    let mut ways: Vec<Vec<(String, Option<String>)>> = vec![Vec::new()];
    for (name, alternative) in &names {
        let mut values = scope.values(name);
        // `${x:-y}` is y where x is empty, and x may always be.
        values.extend(alternative.as_ref().map(|_| Some(String::new())));
        if ways.len() * values.len() > MOST_WAYS {
            return Err(Unreadable::new("its variables may have too many values"));
        }
        if values.len() > 1 {
            let add =
                |value: &Option<String>, way: &Vec<_>| [way.as_slice(), &[(name.clone(), value.clone())]].concat();
            ways = values
                .iter()
                .flat_map(|value| ways.iter().map(|way| add(value, way)).collect::<Vec<_>>())
                .collect();
        }
    }
    ways.iter().map(|way| one_way(simple, &scope.fixed(way))).collect()
}

fn atoms_of(redirect: &Redirect) -> Option<&Vec<Atom>> {
    match redirect {
        Redirect::To(atoms) | Redirect::From(atoms) | Redirect::Text(atoms) => Some(atoms),
        Redirect::Commands(_) | Redirect::Beside(_) => None,
    }
}

fn variables(atom: &Atom, names: &mut Vec<(String, Option<()>)>) {
    match atom {
        Atom::Part(Part::Variable(name), _) => names.push((name.clone(), None)),
        Atom::Part(Part::Or(name, inner), _) => {
            names.push((name.clone(), Some(())));
            inner.iter().for_each(|atom| variables(atom, names));
        }
        _ => {}
    }
}

fn one_way(simple: &Simple, scope: &Scope) -> Result<Argv, Unreadable> {
    let mut argv = Argv::default();
    let declares = declares(&simple.words);
    for atoms in &simple.words {
        match brace::expanded(atoms)? {
            None if declares && assigns(atoms) => fields(atoms.iter().map(Seen::in_quotes), scope, &mut argv.words),
            None => fields(atoms.iter().map(Seen::as_written), scope, &mut argv.words),
            Some(words) => {
                for word in &words {
                    fields(word.iter().map(Seen::as_written), scope, &mut argv.words);
                }
            }
        }
    }
    for assigned in &simple.assigned {
        let value = assigned.value.as_ref().and_then(|atoms| literal(atoms, scope));
        argv.assigned.push((assigned.name.clone(), value));
    }
    for redirect in &simple.redirects {
        argv.redirects.extend(match redirect {
            Redirect::To(atoms) => Some(Target::To(joined(atoms, scope))),
            Redirect::From(atoms) => Some(Target::From(joined(atoms, scope))),
            Redirect::Text(atoms) => {
                let word = joined(atoms, scope);
                Some(Target::Text(word.text, word.outputs))
            }
            Redirect::Commands(script) => Some(Target::Commands(script.clone())),
            Redirect::Beside(_) => None,
        });
    }
    Ok(argv)
}

/// Whether a command is one of those after which `NAME=…` is an assignment, whose value is not split.
fn declares(words: &[Vec<Atom>]) -> bool {
    let mut programs = words.iter().map(|word| bare(word));
    let program = programs.find(|word| !matches!(word.as_deref(), Some("builtin" | "command")));
    matches!(
        program.flatten().as_deref(),
        Some("alias" | "declare" | "typeset" | "local" | "export" | "readonly")
    )
}

/// Whether a word begins with `NAME=`, or `NAME+=`.
fn assigns(atoms: &[Atom]) -> bool {
    let name = atoms.iter().map_while(|atom| match atom {
        Atom::Bare(c) if *c != '=' => Some(*c),
        _ => None,
    });
    let length = name.clone().count();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    length > 0 && matches!(atoms.get(length), Some(Atom::Bare('='))) && name.clone().all(is_name)
}

/// The value of a word that is not split, where everything of it is known.
pub(super) fn literal(atoms: &[Atom], scope: &Scope) -> Option<String> {
    joined(atoms, scope).text
}

fn joined(atoms: &[Atom], scope: &Scope) -> Word {
    let mut words = Vec::new();
    fields(atoms.iter().map(Seen::in_quotes), scope, &mut words);
    match words.len() {
        0 => Word::known(""),
        1 => words.remove(0),
        _ => Word {
            shown: "…".to_owned(),
            many: true,
            ..Word::default()
        },
    }
}

/// An atom, and whether quotes keep what it becomes one word.
struct Seen<'a>(&'a Atom, bool);

impl<'a> Seen<'a> {
    const fn as_written(atom: &'a Atom) -> Self {
        Self(atom, matches!(atom, Atom::Part(_, true)))
    }

    const fn in_quotes(atom: &'a Atom) -> Self {
        Self(atom, true)
    }
}

/// The word's text, where it is nothing but text.
pub(in crate::policy) fn bare(atoms: &[Atom]) -> Option<String> {
    let mut text = String::new();
    for atom in atoms {
        match atom {
            Atom::Bare(c) => text.push(*c),
            Atom::Quoted(quoted) => text.push_str(quoted),
            Atom::Part(..) => return None,
        }
    }
    Some(text)
}

/// `NAME=value` as a word of `export` and its kin.
pub(super) fn assignment(atoms: &[Atom]) -> Option<(String, Option<Vec<Atom>>)> {
    let equals = atoms
        .iter()
        .position(|atom| matches!(atom, Atom::Bare('=')) || matches!(atom, Atom::Quoted(text) if text.contains('=')));
    match equals {
        Some(at) if matches!(atoms[at], Atom::Bare('=')) => {
            let name = bare(&atoms[..at])?;
            let appends = name.ends_with('+');
            let value = (!appends).then(|| atoms[at + 1..].to_vec());
            Some((name.trim_end_matches('+').to_owned(), value))
        }
        _ => {
            let text = bare(atoms)?;
            let name = text.split('=').next().unwrap_or_default();
            (!name.starts_with('-')).then(|| (name.to_owned(), None))
        }
    }
}

/// Adds the words that one word becomes.
fn fields<'a>(atoms: impl Iterator<Item = Seen<'a>>, scope: &Scope, words: &mut Vec<Word>) {
    let mut atoms = atoms.peekable();
    let mut builder = Builder::new(words);
    let mut first = true;
    while let Some(Seen(atom, quoted)) = atoms.next() {
        match atom {
            Atom::Bare('~') if first && tilde(atoms.peek()).is_some_and(|name| scope.writes(name)) => {
                builder.unknown("~", true);
            }
            Atom::Bare(c) => {
                builder.word.pattern |= matches!(c, '*' | '?' | '[');
                builder.literal(c.encode_utf8(&mut [0; 4]));
            }
            Atom::Quoted(text) => builder.literal(text),
            Atom::Part(part, _) => builder.part(part, quoted, scope),
        }
        first = false;
    }
    builder.end();
}

/// The variable that a tilde before these atoms stands for.
fn tilde(after: Option<&Seen<'_>>) -> Option<&'static str> {
    match after.map(|seen| seen.0) {
        None | Some(Atom::Bare('/')) => Some("HOME"),
        Some(Atom::Bare('+')) => Some("PWD"),
        Some(Atom::Bare('-')) => Some("OLDPWD"),
        Some(_) => None,
    }
}

struct Builder<'w> {
    done: &'w mut Vec<Word>,
    word: Word,
    /// The word exists, even if it is empty.
    begun: bool,
    /// Something in it is not known.
    unknown: bool,
    not_number: bool,
}

impl<'w> Builder<'w> {
    fn new(done: &'w mut Vec<Word>) -> Self {
        Self {
            done,
            word: Word::default(),
            begun: false,
            unknown: false,
            not_number: false,
        }
    }

    fn literal(&mut self, text: &str) {
        self.begun = true;
        self.not_number |= !text.bytes().all(|byte| byte.is_ascii_digit());
        if !self.unknown {
            self.word.head.push_str(text);
        }
        self.word.shown.push_str(text);
    }

    /// Text that a variable holds: split at blanks unless quoted.
    fn value(&mut self, text: &str, quoted: bool) {
        if quoted {
            self.literal(text);
            return;
        }
        for (nth, field) in text.split([' ', '\t', '\n']).enumerate() {
            if nth > 0 {
                self.end();
            }
            if !field.is_empty() {
                self.word.pattern |= field.contains(['*', '?', '[']);
                self.literal(field);
            }
        }
    }

    fn unknown(&mut self, shown: &str, quoted: bool) {
        self.begun = true;
        self.unknown = true;
        self.not_number = true;
        self.word.many |= !quoted;
        self.word.shown.push_str(shown);
    }

    fn part(&mut self, part: &Part, quoted: bool, scope: &Scope) {
        match part {
            Part::Variable(name) => self.variable(name, None, quoted, scope),
            Part::Or(name, alternative) => self.variable(name, Some(alternative), quoted, scope),
            Part::Positional(number) => match scope.positional.as_ref() {
                Some(arguments) => self.value(arguments.get(*number).map_or("", String::as_str), quoted),
                None => self.unknown(&format!("${number}"), quoted),
            },
            Part::AllPositional => match scope.positional.as_ref() {
                Some(arguments) => {
                    for (nth, argument) in arguments.iter().skip(1).enumerate() {
                        if nth > 0 {
                            self.end();
                        }
                        self.value(argument, quoted);
                    }
                }
                None => {
                    self.unknown("$@", quoted);
                    self.word.many = true;
                }
            },
            Part::Output(script) => {
                self.word.outputs.push(script.clone());
                match crate::policy::print::printed(script, scope) {
                    Some(text) => self.value(text.trim_end_matches('\n'), quoted),
                    None => self.unknown("$(…)", quoted),
                }
            }
            Part::Number(scripts) => {
                let before = self.not_number;
                self.unknown("$((…))", true);
                self.not_number = before;
                self.word.outputs.extend(scripts.iter().cloned());
            }
            Part::Stream(script) => {
                self.unknown("<(…)", true);
                self.word.stream = Some(script.clone());
            }
            Part::Several(scripts) => {
                self.unknown("$@", quoted);
                self.word.many = true;
                self.word.outputs.extend(scripts.iter().cloned());
            }
            Part::Opaque(scripts) => {
                self.unknown("${…}", quoted);
                self.word.outputs.extend(scripts.iter().cloned());
            }
        }
    }

    fn variable(&mut self, name: &str, alternative: Option<&[Atom]>, quoted: bool, scope: &Scope) {
        let values = scope.values(name);
        match (values.as_slice(), alternative) {
            ([Some(text)], Some(alternative)) if text.is_empty() => {
                let word = joined(alternative, scope);
                match word.text {
                    Some(text) => self.value(&text, quoted),
                    None => self.unknown(&word.shown, quoted),
                }
                self.word.outputs.extend(word.outputs);
            }
            ([Some(text)], _) => self.value(text, quoted),
            _ => self.unknown(&format!("${name}"), quoted),
        }
    }

    fn end(&mut self) {
        if self.begun {
            let mut word = std::mem::take(&mut self.word);
            word.number = self.unknown && !self.not_number;
            word.text = (!self.unknown).then(|| word.head.clone());
            self.done.push(word);
        }
        (self.begun, self.unknown, self.not_number) = (false, false, false);
        self.word = Word::default();
    }
}
