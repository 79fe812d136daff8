//! Reads shell text: which simple commands are in it, wherever they hide, and what is known of their words.
//!
//! The grammar is `brush-parser`'s; words are read here, because the parser's own word helpers take exponential time on
//! hostile input. What cannot be read is an error, which the policy turns into a question; nothing is guessed.

mod ansi;
mod brace;
mod document;
mod expand;
mod flatten;
mod grammar;
mod lex;
mod scope;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    rc::Rc,
};

pub(super) use expand::{Argv, Target, Word, bare, expansions};
pub(super) use lex::Atom;
pub(super) use scope::Scope;

/// The longest text that is read.
const LONGEST: usize = 64 * 1024;
/// The deepest nesting of brackets, quoted or not.
const DEEPEST: usize = 64;
/// More compound commands than an honest script has; each costs the parser stack.
const MOST_COMPOUNDS: usize = 256;
/// More operators than an honest script has.
const MOST_OPERATORS: usize = 7_000;
/// Characters that may be parsed for one verdict, substitutions and scripts in scripts counted again.
const FUEL: usize = 256 * 1024;

/// Why text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Simple {
    /// Whether `<(…)` or its kin stands in it.
    fn streams(&self) -> bool {
        let mut atoms = self.words.iter().flatten();
        let redirected = |redirect: &Redirect| matches!(redirect, Redirect::Commands(_) | Redirect::Beside(_));
        self.redirects.iter().any(redirected) || atoms.any(|atom| matches!(atom, Atom::Part(lex::Part::Stream(_), _)))
    }

    /// Whether `${NAME:=…}`, or one of its kin, stands among its words.
    pub(super) fn defaults(&self, name: &str) -> bool {
        let mut atoms = self.words.iter().flatten();
        atoms.any(|atom| matches!(atom, Atom::Part(lex::Part::Or(defaulted, _), _) if defaulted == name))
    }

    /// Every script inside it that runs when it does.
    pub(super) fn scripts(&self) -> Vec<Script> {
        let mut scripts = Vec::new();
        lex::scripts(self.words.iter().flatten(), &mut scripts);
        for redirect in &self.redirects {
            match redirect {
                Redirect::To(atoms) | Redirect::From(atoms) | Redirect::Text(atoms) => {
                    lex::scripts(atoms, &mut scripts)
                }
                Redirect::Commands(script) | Redirect::Beside(script) => scripts.push(script.clone()),
            }
        }
        let assigned = self.assigned.iter().flat_map(|assigned| &assigned.inside);
        scripts.extend(assigned.chain(&self.inside).cloned());
        scripts
    }
}

impl Unreadable {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// How much may still be read for one verdict, and what was read.
#[derive(Debug)]
pub(super) struct Fuel {
    left: Cell<usize>,
    read: RefCell<HashMap<String, Came>>,
}

/// What came of a text, and what it took.
#[derive(Debug)]
struct Came {
    script: Result<Script, Unreadable>,
    cost: usize,
}

impl Fuel {
    pub(super) fn full() -> Self {
        Self {
            left: Cell::new(FUEL),
            read: RefCell::default(),
        }
    }

    pub(super) fn burn(&self, amount: usize) -> Result<(), Unreadable> {
        match self.left.get().checked_sub(amount) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Unreadable::new("it is too involved to be read")),
        }
    }

    /// What came of a text before: the same text again costs as much as it did, but no time.
    fn known(&self, text: &str) -> Option<Result<Script, Unreadable>> {
        let read = self.read.borrow();
        let came = read.get(text)?;
        Some(self.burn(came.cost).and_then(|()| came.script.clone()))
    }

    /// Remembers what came of a text, and what it took since so much was left.
    fn keep(&self, text: &str, before: usize, script: &Result<Script, Unreadable>) {
        let came = Came {
            script: script.clone(),
            cost: before - self.left.get(),
        };
        self.read.borrow_mut().insert(text.to_owned(), came);
    }
}

/// What a command reads on its stdin or writes elsewhere.
#[derive(Debug, Clone)]
pub(super) enum Redirect {
    /// A file that is written.
    To(Vec<Atom>),
    /// A file that is read on stdin.
    From(Vec<Atom>),
    /// A here-document or here-string on stdin.
    Text(Vec<Atom>),
    /// The output of other commands on stdin: `< <(…)`.
    Commands(Script),
    /// Commands beside it, whose input or output is not its stdin.
    Beside(Script),
}

/// A variable that is given a value.
#[derive(Debug, Clone)]
pub(super) struct Assigned {
    pub(super) name: String,
    /// `None` for an array and for `NAME+=…`.
    pub(super) value: Option<Vec<Atom>>,
    /// Scripts in an index or in an array.
    pub(super) inside: Vec<Script>,
}

/// One simple command, its words as they were written.
#[derive(Debug, Clone, Default)]
pub(super) struct Simple {
    pub(super) assigned: Vec<Assigned>,
    pub(super) words: Vec<Vec<Atom>>,
    pub(super) redirects: Vec<Redirect>,
    /// Scripts in places that are no words: a `case`, a test, an arithmetic expression.
    pub(super) inside: Vec<Script>,
    /// The values that a `for` gives its variable.
    pub(super) loops: Option<(String, Option<Vec<Vec<Atom>>>)>,
    /// The commands, by number, whose output it may read.
    pub(super) fed_by: Option<(usize, usize)>,
    /// The function whose body it stands in.
    pub(super) within: Option<String>,
    /// It runs beside what follows, or is piped: more than one of it can live.
    pub(super) multiplies: bool,
    /// It runs once, in order, whatever happens: neither in a loop, a branch, a function nor a subshell.
    pub(super) straight: bool,
    /// It stands in a loop that nothing ends.
    pub(super) endless: bool,
}

/// All simple commands of a text, in order.
pub(super) type Script = Rc<Vec<Simple>>;

/// Reads a text.
pub(super) fn read(text: &str, fuel: &Fuel) -> Result<Script, Unreadable> {
    admit(text)?;
    if let Some(known) = fuel.known(text) {
        return known;
    }
    let before = fuel.left.get();
    let script = read_anew(text, fuel);
    fuel.keep(text, before, &script);
    script
}

fn read_anew(text: &str, fuel: &Fuel) -> Result<Script, Unreadable> {
    let script = flatten::script(&grammar::program(text, fuel)?, fuel)?;
    // `< (…)` is an error to a shell, and `<(…)` to the grammar.
    let parted = text
        .split(['<', '>'])
        .skip(1)
        .any(|after| after.starts_with([' ', '\t']) && after.trim_start().starts_with('('));
    if parted && script.iter().any(Simple::streams) {
        return Err(Unreadable::new("a blank stands between < and ("));
    }
    Ok(script)
}

/// Scripts inside text that a shell expands, but does not split: here-documents, arithmetic.
pub(super) fn scripts_in(text: &str, fuel: &Fuel) -> Result<Vec<Script>, Unreadable> {
    if !text.contains(['$', '`']) {
        return Ok(Vec::new());
    }
    admit(text)?;
    let atoms = lex::document(text, fuel)?;
    Ok(lex::scripts_of(&atoms))
}

/// Refuses what would cost too much stack or time, before any parser sees it.
fn admit(text: &str) -> Result<(), Unreadable> {
    if text.len() > LONGEST {
        return Err(Unreadable::new(format!("it is longer than {LONGEST} bytes")));
    }
    if text.contains('\0') {
        return Err(Unreadable::new("it contains a NUL byte"));
    }
    if text.contains("<<") {
        document::check(text)?;
    }
    let (mut depth, mut deepest, mut operators) = (0_usize, 0, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            b'|' | b'&' | b';' | b'<' | b'>' | b'\n' => operators += 1,
            _ => {}
        }
    }
    if deepest > DEEPEST {
        return Err(Unreadable::new(format!("its brackets nest deeper than {DEEPEST}")));
    }
    let compounds = text.split(|c: char| c.is_whitespace() || ";&|(){}".contains(c));
    let compounds = compounds.filter(|word| {
        matches!(
            *word,
            "if" | "while" | "until" | "for" | "case" | "select" | "coproc" | "function" | "time" | "!"
        )
    });
    if operators > MOST_OPERATORS || compounds.count() > MOST_COMPOUNDS {
        return Err(Unreadable::new("it has too many parts"));
    }
    Ok(())
}
