//! Reads one word: what of it is literal, what a shell would put there, and which scripts run inside it.

use super::{Fuel, Script, Unreadable, ansi, flatten};

/// A piece of a word.
#[derive(Debug, Clone)]
pub(in crate::policy) enum Atom {
    /// A character that stands bare: it may be a brace, a pattern, a tilde.
    Bare(char),
    /// Text that means itself.
    Quoted(String),
    /// Something that a shell computes, and whether quotes keep it one word.
    Part(Part, bool),
}

/// Something that a shell computes.
#[derive(Debug, Clone)]
pub(in crate::policy) enum Part {
    /// `$NAME`, `${NAME}`.
    Variable(String),
    /// `$1`, `${1}`; 0 is the script's own name.
    Positional(usize),
    /// `"$@"`, `$*`.
    AllPositional,
    /// `${NAME:-…}` and its kin: the variable's value, or this.
    Or(String, Vec<Atom>),
    /// `$(…)`, or backquotes.
    Output(Script),
    /// A number.
    Number(Vec<Script>),
    /// `<(…)`, `>(…)`: the name of a file that commands fill or read.
    Stream(Script),
    /// `"${@:2}"`, `"${NAME[@]}"`: any number of words, none of them known.
    Several(Vec<Script>),
    /// Anything else: not known, with the scripts in it.
    Opaque(Vec<Script>),
}

/// Adds all scripts that run inside of atoms.
pub(super) fn scripts<'a>(atoms: impl IntoIterator<Item = &'a Atom>, found: &mut Vec<Script>) {
    for atom in atoms {
        match atom {
            Atom::Part(Part::Output(script) | Part::Stream(script), _) => found.push(script.clone()),
            Atom::Part(Part::Or(_, atoms), _) => scripts(atoms, found),
            Atom::Part(Part::Number(inside) | Part::Several(inside) | Part::Opaque(inside), _) => {
                found.extend(inside.iter().cloned());
            }
            Atom::Bare(_) | Atom::Quoted(_) | Atom::Part(..) => {}
        }
    }
}

/// All scripts that run inside of a word.
pub(super) fn scripts_of(atoms: &[Atom]) -> Vec<Script> {
    let mut found = Vec::new();
    scripts(atoms, &mut found);
    found
}

/// Reads a word as the grammar cut it out.
pub(super) fn word(text: &str, fuel: &Fuel) -> Result<Vec<Atom>, Unreadable> {
    Lexer::new(text, fuel)?.bare(None)
}

/// Reads text as if it stood in double quotes: a here-document, an arithmetic expression.
pub(super) fn document(text: &str, fuel: &Fuel) -> Result<Vec<Atom>, Unreadable> {
    Lexer::new(text, fuel)?.double(None)
}

struct Lexer<'a> {
    chars: Vec<char>,
    at: usize,
    fuel: &'a Fuel,
}

impl<'a> Lexer<'a> {
    fn new(text: &str, fuel: &'a Fuel) -> Result<Self, Unreadable> {
        fuel.burn(text.len())?;
        let chars = text.chars().collect();
        Ok(Self { chars, at: 0, fuel })
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars[from..to.min(self.chars.len())].iter().collect()
    }

    /// Unquoted text, to its end or to a closing bracket.
    fn bare(&mut self, stop: Option<char>) -> Result<Vec<Atom>, Unreadable> {
        let mut atoms = Vec::new();
        while let Some(c) = self.peek(0) {
            if Some(c) == stop {
                return Ok(atoms);
            }
            self.at += 1;
            match c {
                '\'' => atoms.push(Atom::Quoted(self.single()?)),
                '"' => self.double_quoted(&mut atoms)?,
                '\\' => match self.peek(0) {
                    Some('\n') => self.at += 1,
                    Some(next) => {
                        atoms.push(Atom::Quoted(next.to_string()));
                        self.at += 1;
                    }
                    None => atoms.push(Atom::Bare('\\')),
                },
                '$' if self.peek(0) == Some('\'') => {
                    self.at += 1;
                    atoms.push(
                        ansi::quoted(&self.ansi()?).map_or(Atom::Part(Part::Opaque(Vec::new()), true), Atom::Quoted),
                    );
                }
                '$' if self.peek(0) == Some('"') => {
                    self.at += 1;
                    self.double_quoted(&mut atoms)?;
                }
                '$' | '`' => atoms.push(self.expansion(c, false)?),
                _ => atoms.push(Atom::Bare(c)),
            }
        }
        match stop {
            Some(_) => Err(Unreadable::new("a bracket is never closed")),
            None => Ok(atoms),
        }
    }

    fn double_quoted(&mut self, atoms: &mut Vec<Atom>) -> Result<(), Unreadable> {
        // Even an empty pair of quotes makes a word.
        atoms.push(Atom::Quoted(String::new()));
        atoms.extend(self.double(Some('"'))?);
        self.at += 1;
        Ok(())
    }

    /// Text in double quotes, to the closing one or to the end.
    fn double(&mut self, stop: Option<char>) -> Result<Vec<Atom>, Unreadable> {
        let mut atoms = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.peek(0) {
            if Some(c) == stop {
                flush(&mut literal, &mut atoms);
                return Ok(atoms);
            }
            self.at += 1;
            match c {
                '\\' => match self.peek(0) {
                    Some('\n') => self.at += 1,
                    Some(next) if matches!(next, '\\' | '$' | '`') || Some(next) == stop => {
                        literal.push(next);
                        self.at += 1;
                    }
                    _ => literal.push('\\'),
                },
                '$' | '`' => {
                    flush(&mut literal, &mut atoms);
                    atoms.push(self.expansion(c, true)?);
                }
                // Quotes inside `"${x:-"y"}"` only group.
                '"' if stop == Some('}') => {}
                _ => literal.push(c),
            }
        }
        flush(&mut literal, &mut atoms);
        match stop {
            Some(_) => Err(Unreadable::new("a quote is never closed")),
            None => Ok(atoms),
        }
    }

    fn single(&mut self) -> Result<String, Unreadable> {
        let from = self.at;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '\'' {
                return Ok(self.text(from, self.at - 1));
            }
        }
        Err(Unreadable::new("a quote is never closed"))
    }

    fn ansi(&mut self) -> Result<String, Unreadable> {
        let from = self.at;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' => self.at += 1,
                '\'' => return Ok(self.text(from, self.at - 1)),
                _ => {}
            }
        }
        Err(Unreadable::new("a quote is never closed"))
    }

    /// What follows a `$` or a backquote.
    fn expansion(&mut self, first: char, quoted: bool) -> Result<Atom, Unreadable> {
        if first == '`' {
            let script = self.backquoted(quoted)?;
            return Ok(Atom::Part(Part::Output(super::read(&script, self.fuel)?), quoted));
        }
        let part = match self.peek(0) {
            Some('(') if self.peek(1) == Some('(') => self.arithmetic_or_commands()?,
            Some('(') => {
                self.at += 1;
                Part::Output(self.commands()?)
            }
            Some('[') => {
                self.at += 1;
                let inner = self.until_closed('[', ']')?;
                Part::Number(super::scripts_in(&inner, self.fuel)?)
            }
            Some('{') => {
                self.at += 1;
                self.parameter(quoted)?
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => Part::Variable(self.name()),
            Some(c) if c.is_ascii_digit() => {
                self.at += 1;
                Part::Positional(c as usize - '0' as usize)
            }
            Some('@' | '*') => {
                self.at += 1;
                Part::AllPositional
            }
            Some('#' | '?' | '$' | '!') => {
                self.at += 1;
                // The grammar takes it for a part of the word, and a shell for an error.
                if !quoted && self.peek(0) == Some('(') {
                    return Err(Unreadable::new("a bracket follows a parameter"));
                }
                Part::Number(Vec::new())
            }
            Some('-') => {
                self.at += 1;
                Part::Opaque(Vec::new())
            }
            _ => return Ok(Atom::Quoted("$".to_owned())),
        };
        Ok(Atom::Part(part, quoted))
    }

    fn name(&mut self) -> String {
        let from = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        self.text(from, self.at)
    }

    /// `$((` begins arithmetic when `))` closes it, and otherwise a substitution that begins with a subshell.
    fn arithmetic_or_commands(&mut self) -> Result<Part, Unreadable> {
        let before = self.at;
        self.at += 2;
        let inner = self.until_closed('(', ')');
        match inner {
            Ok(inner) if self.peek(0) == Some(')') => {
                self.at += 1;
                Ok(Part::Number(super::scripts_in(&inner, self.fuel)?))
            }
            _ => {
                self.at = before + 1;
                Ok(Part::Output(self.commands()?))
            }
        }
    }

    /// Text up to the bracket that closes it, which is consumed; quotes hide brackets.
    fn until_closed(&mut self, open: char, close: char) -> Result<String, Unreadable> {
        let from = self.at;
        let (mut depth, mut quote) = (1, None);
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (quote, c) {
                (_, '\\') => self.at += 1,
                (None, '\'' | '"') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None, c) if c == open => depth += 1,
                (None, c) if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(self.text(from, self.at - 1));
                    }
                }
                _ => {}
            }
        }
        Err(Unreadable::new("a bracket is never closed"))
    }

    /// The commands of a substitution. Where it ends only the grammar can tell (comments, `case`, here-documents): it is
    /// the first bracket with which everything before it is a whole subshell.
    fn commands(&mut self) -> Result<Script, Unreadable> {
        let from = self.at;
        let mut last = Unreadable::new("a bracket is never closed");
        for end in from..self.chars.len() {
            if self.chars[end] != ')' {
                continue;
            }
            // The NUL, which no text has, tells it from the same text read by itself.
            let key = format!("\0({})", self.text(from, end));
            if let Some(known) = self.fuel.known(&key) {
                self.at = end + 1;
                return known;
            }
            let before = self.fuel.left.get();
            match super::grammar::program(&key[1..], self.fuel) {
                Ok(program) => {
                    self.at = end + 1;
                    let script = flatten::subshell(&program, self.fuel);
                    self.fuel.keep(&key, before, &script);
                    return script;
                }
                Err(unreadable) => last = unreadable,
            }
            self.fuel.burn(64)?;
        }
        Err(last)
    }

    fn backquoted(&mut self, quoted: bool) -> Result<String, Unreadable> {
        let mut script = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (c, self.peek(0)) {
                ('`', _) => return Ok(script),
                ('\\', Some(next)) if matches!(next, '`' | '\\' | '$') || (quoted && next == '"') => {
                    script.push(next);
                    self.at += 1;
                }
                _ => script.push(c),
            }
        }
        Err(Unreadable::new("a quote is never closed"))
    }

    /// `${…}`, after the opening bracket.
    fn parameter(&mut self, quoted: bool) -> Result<Part, Unreadable> {
        let length = self.peek(0) == Some('#') && self.peek(1).is_some_and(|c| c != '}');
        let indirect = self.peek(0) == Some('!');
        self.at += usize::from(length || indirect);
        let name = self.name();
        let special = if name.is_empty() { self.peek(0) } else { None };
        self.at += usize::from(special.is_some_and(|c| "@*#?$!-".contains(c)));
        let operator = self.operator();
        if self.peek(0) == Some('@') && self.peek(1) == Some('P') {
            return Err(Unreadable::new(
                "a prompt expansion runs whatever it finds in a variable",
            ));
        }
        let rest = if quoted {
            self.inside_quotes()?
        } else {
            self.bare(Some('}'))?
        };
        self.at += 1;
        let scripts = |rest: Vec<Atom>| scripts_of(&rest);
        if length {
            return Ok(Part::Number(scripts(rest)));
        }
        let element = matches!(rest.first(), Some(Atom::Bare('[')))
            || matches!(rest.first(), Some(Atom::Quoted(text)) if text.starts_with('['));
        let several = matches!(special, Some('@' | '*')) || (element && text_of(&rest).starts_with(['@', '*']));
        if several && operator.is_none() && !rest.is_empty() {
            return Ok(Part::Several(scripts(rest)));
        }
        if indirect || (operator.is_none() && !rest.is_empty()) {
            return Ok(Part::Opaque(scripts(rest)));
        }
        let plain = rest.is_empty() && operator.is_none();
        Ok(match (name.parse::<usize>(), special) {
            (Ok(number), _) if plain => Part::Positional(number),
            (_, Some('@' | '*')) if plain => Part::AllPositional,
            (Err(_), None) if plain && !name.is_empty() => Part::Variable(name),
            // After `:+` it is never the variable's own value.
            (Err(_), None) if !name.is_empty() && operator != Some('+') => Part::Or(name, rest),
            _ if operator.is_some() => Part::Or(String::new(), rest),
            _ => Part::Opaque(scripts(rest)),
        })
    }

    /// The operators after which another value stands: `:-`, `-`, `:=`, `=`, `:+`, `+`.
    fn operator(&mut self) -> Option<char> {
        let colon = usize::from(self.peek(0) == Some(':'));
        let operator = self.peek(colon).filter(|c| "-=+".contains(*c))?;
        self.at += colon + 1;
        Some(operator)
    }

    /// The rest of a `${…}` in double quotes, where single quotes mean themselves.
    fn inside_quotes(&mut self) -> Result<Vec<Atom>, Unreadable> {
        self.double(Some('}'))
    }
}

/// The first literal characters after an opening `[`.
fn text_of(atoms: &[Atom]) -> String {
    let bare = atoms.iter().map_while(|atom| match atom {
        Atom::Bare(c) => Some(c.to_string()),
        Atom::Quoted(text) => Some(text.clone()),
        Atom::Part(..) => None,
    });
    bare.collect::<String>().chars().skip(1).collect()
}

fn flush(literal: &mut String, atoms: &mut Vec<Atom>) {
    if !literal.is_empty() {
        atoms.push(Atom::Quoted(std::mem::take(literal)));
    }
}
