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
    let scope = &if simple.within.is_some() {
        scope.without_arguments()
    } else {
        scope.clone()
    };
    let mut names = Vec::new();
    let parts = simple.words.iter().chain(simple.redirects.iter().filter_map(atoms_of));
    for atom in parts.flatten() {
        variables(atom, &mut names);
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
    for atoms in &simple.words {
        for word in brace::expanded(atoms)? {
            argv.words.extend(fields(&word, scope));
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

/// The value of a word that is not split, where everything of it is known.
pub(super) fn literal(atoms: &[Atom], scope: &Scope) -> Option<String> {
    joined(atoms, scope).text
}

fn joined(atoms: &[Atom], scope: &Scope) -> Word {
    let quoted: Vec<Atom> = atoms
        .iter()
        .map(|atom| match atom {
            Atom::Part(part, _) => Atom::Part(part.clone(), true),
            other => other.clone(),
        })
        .collect();
    let mut words = fields(&quoted, scope);
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

/// The words that one word becomes.
fn fields(atoms: &[Atom], scope: &Scope) -> Vec<Word> {
    let mut builder = Builder::default();
    for (at, atom) in atoms.iter().enumerate() {
        match atom {
            Atom::Bare('~') if at == 0 && tilde(&atoms[1..]).is_some_and(|name| scope.writes(name)) => {
                builder.unknown("~", true);
            }
            Atom::Bare(c) => {
                builder.word.pattern |= matches!(c, '*' | '?' | '[');
                builder.literal(&c.to_string());
            }
            Atom::Quoted(text) => builder.literal(text),
            Atom::Part(part, quoted) => builder.part(part, *quoted, scope),
        }
    }
    builder.finish()
}

/// The variable that a tilde before these atoms stands for.
fn tilde(after: &[Atom]) -> Option<&'static str> {
    match after.first() {
        None | Some(Atom::Bare('/')) => Some("HOME"),
        Some(Atom::Bare('+')) => Some("PWD"),
        Some(Atom::Bare('-')) => Some("OLDPWD"),
        Some(_) => None,
    }
}

#[derive(Default)]
struct Builder {
    done: Vec<Word>,
    word: Word,
    /// The word exists, even if it is empty.
    begun: bool,
    /// Something in it is not known.
    unknown: bool,
    not_number: bool,
}

impl Builder {
    fn literal(&mut self, text: &str) {
        self.begun = true;
        self.not_number |= !text.chars().all(|c| c.is_ascii_digit());
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

    fn finish(mut self) -> Vec<Word> {
        self.end();
        self.done
    }
}
