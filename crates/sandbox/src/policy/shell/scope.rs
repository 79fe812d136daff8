//! What is known of variables while a script is read from top to bottom.

use super::{
    Simple, expand,
    lex::{Atom, Part},
};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// More values of one variable than are tried one by one.
const MOST_VALUES: usize = 16;

/// What variables may hold. One that is not here may hold anything. It is copied for every command, and rarely written.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct Scope {
    known: Rc<Known>,
    /// Variables with the one value that they have in this way to read a command.
    fixed: Vec<(String, Option<String>)>,
    /// `$0`, `$1`, … where they are known.
    pub(super) positional: Option<Rc<[String]>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Every value that a variable may have; `None` among them: and any other.
    values: HashMap<String, Vec<Option<String>>>,
    /// Written more than once, or where it is not sure that it is.
    unsteady: HashSet<String>,
}

impl Scope {
    /// The scope of a script that is given its own arguments.
    pub(in crate::policy) fn with_arguments(arguments: Vec<String>) -> Self {
        Self {
            positional: Some(arguments.into()),
            ..Self::default()
        }
    }

    /// Looks ahead: which variables of the script cannot be followed in order.
    pub(in crate::policy) fn survey(&mut self, script: &[Simple]) {
        let mut seen = HashSet::new();
        for simple in script {
            for name in written_names(simple) {
                let once = seen.insert(name.clone());
                let looped = simple.loops.as_ref().is_some_and(|(variable, _)| *variable == name);
                if !once || !(simple.straight || looped) || self.known.values.contains_key(&name) {
                    Rc::make_mut(&mut self.known).unsteady.insert(name);
                }
            }
        }
    }

    /// What a variable may hold.
    pub(super) fn values(&self, name: &str) -> Vec<Option<String>> {
        if let Some((_, value)) = self.fixed.iter().find(|(fixed, _)| fixed == name) {
            return vec![value.clone()];
        }
        match self.known.values.get(name) {
            Some(values) => values.clone(),
            None if name == "IFS" && !self.known.unsteady.contains("IFS") => vec![Some(" \t\n".to_owned())],
            None => vec![None],
        }
    }

    /// Whether the script gives a value to a variable.
    pub(super) fn writes(&self, name: &str) -> bool {
        self.known.values.contains_key(name) || self.known.unsteady.contains(name)
    }

    /// Takes in what a command gives to variables.
    pub(in crate::policy) fn learn(&mut self, simple: &Simple) {
        if let Some((name, values)) = &simple.loops {
            let values = values.as_ref().map(|words| self.each(words));
            self.put(name, values.unwrap_or_else(|| vec![None]));
        }
        let program = simple.words.first().and_then(|word| expand::bare(word));
        if matches!(program.as_deref(), Some("set" | "shift")) {
            self.positional = None;
        }
        // Before a command, an assignment concerns that command alone.
        if simple.words.is_empty() {
            for assigned in &simple.assigned {
                let value = assigned.value.as_ref().and_then(|atoms| expand::literal(atoms, self));
                self.put(&assigned.name, vec![value]);
            }
        } else {
            for (name, value) in builtin_writes(simple) {
                let value = value.and_then(|atoms| expand::literal(&atoms, self));
                self.put(&name, vec![value]);
            }
        }
    }

    /// Nothing that is known of variables holds any longer: a script ran here that may have changed them.
    pub(in crate::policy) fn forget(&mut self) {
        self.positional = None;
        let known = Rc::make_mut(&mut self.known);
        for (name, values) in &mut known.values {
            if !values.contains(&None) {
                values.push(None);
            }
            if !known.unsteady.contains(name) {
                known.unsteady.insert(name.clone());
            }
        }
        known.unsteady.insert("IFS".to_owned());
    }

    /// The same for a function's body, whose arguments are its own.
    pub(in crate::policy) fn without_arguments(&self) -> Self {
        Self {
            positional: None,
            ..self.clone()
        }
    }

    fn each(&self, words: &[Vec<Atom>]) -> Vec<Option<String>> {
        let values: Vec<Option<String>> = words.iter().map(|atoms| expand::literal(atoms, self)).collect();
        if values.len() <= MOST_VALUES {
            values
        } else {
            vec![None]
        }
    }

    fn put(&mut self, name: &str, values: Vec<Option<String>>) {
        let known = Rc::make_mut(&mut self.known);
        let held = known.values.entry(name.to_owned()).or_default();
        if known.unsteady.contains(name) {
            held.push(None);
        } else {
            held.clear();
        }
        held.extend(values);
        held.sort();
        held.dedup();
        held.truncate(MOST_VALUES);
    }

    /// A copy in which each of `names` has one of its values.
    pub(super) fn fixed(&self, names: &[(String, Option<String>)]) -> Self {
        Self {
            fixed: names.to_vec(),
            ..self.clone()
        }
    }
}

/// The variables that a command writes, as far as its words say so.
pub(in crate::policy) fn written_names(simple: &Simple) -> Vec<String> {
    let assigned = simple.assigned.iter().map(|assigned| assigned.name.clone());
    let looped = simple.loops.iter().map(|(name, _)| name.clone());
    // `${NAME:=…}` writes NAME, and nothing tells it from its kin here.
    let defaults = simple.words.iter().flatten().filter_map(|atom| match atom {
        Atom::Part(Part::Or(name, _), _) => Some(name.clone()),
        _ => None,
    });
    assigned
        .chain(looped)
        .chain(defaults)
        .chain(builtin_writes(simple).into_iter().map(|(name, _)| name))
        .collect()
}

/// What `export X=…`, `read X`, `printf -v X` and their kin write.
fn builtin_writes(simple: &Simple) -> Vec<(String, Option<Vec<Atom>>)> {
    let Some(program) = simple.words.first().and_then(|word| expand::bare(word)) else {
        return Vec::new();
    };
    let declares = matches!(
        program.as_str(),
        "export" | "declare" | "typeset" | "local" | "readonly"
    );
    let reads = matches!(
        program.as_str(),
        "read" | "mapfile" | "readarray" | "unset" | "getopts" | "let" | "printf"
    );
    let words = simple.words.iter().skip(1);
    // An element is written: of the whole nothing is known any longer.
    let whole = |(name, value): (String, Option<Vec<Atom>>)| match name.split_once('[') {
        Some((whole, _)) => (whole.to_owned(), None),
        None => (name, value),
    };
    if declares {
        return words.filter_map(|word| expand::assignment(word)).map(whole).collect();
    }
    if reads {
        return words
            .filter_map(|word| Some(whole((expand::bare(word)?, None))))
            .collect();
    }
    Vec::new()
}
