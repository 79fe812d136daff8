//! From the grammar's tree to a flat list of simple commands, each with what matters of where it stands.

use super::{Assigned, Fuel, Redirect, Script, Simple, Unreadable, lex};
use crate::policy::shell::lex::{Atom, Part, scripts_of};
use brush_parser::ast;

/// More simple commands than one text may have.
const MOST: usize = 20_000;

/// More commands than one pipeline may have; bash itself gives up at 3,400.
const LONGEST_PIPELINE: usize = 3_000;

/// The commands of a program.
pub(super) fn script(program: &ast::Program, fuel: &Fuel) -> Result<Script, Unreadable> {
    let mut walk = Walk::new(fuel);
    for list in &program.complete_commands {
        walk.list(
            list,
            &Place {
                straight: true,
                ..Place::default()
            },
        )?;
    }
    Ok(walk.commands.into())
}

/// The commands of a program that must be one subshell, and nothing else.
pub(super) fn subshell(program: &ast::Program, fuel: &Fuel) -> Result<Script, Unreadable> {
    let whole = match program.complete_commands.as_slice() {
        [ast::CompoundList(items)] => match items.as_slice() {
            [ast::CompoundListItem(list, _)] if list.additional.is_empty() => match list.first.seq.as_slice() {
                [ast::Command::Compound(ast::CompoundCommand::Subshell(shell), None)] => Some(&shell.list),
                // `((…))` is arithmetic to the grammar; in a substitution it would have been one for us, too.
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let Some(list) = whole else {
        return Err(Unreadable::new("a substitution cannot be told from what follows it"));
    };
    let mut walk = Walk::new(fuel);
    walk.list(
        list,
        &Place {
            straight: true,
            ..Place::default()
        },
    )?;
    Ok(walk.commands.into())
}

/// Where a command stands.
#[derive(Clone, Default)]
struct Place {
    within: Option<String>,
    fed_by: Option<(usize, usize)>,
    multiplies: bool,
    straight: bool,
    endless: bool,
}

impl Place {
    fn branch(&self) -> Self {
        Self {
            straight: false,
            ..self.clone()
        }
    }
}

struct Walk<'a> {
    commands: Vec<Simple>,
    fuel: &'a Fuel,
}

impl<'a> Walk<'a> {
    const fn new(fuel: &'a Fuel) -> Self {
        Self {
            commands: Vec::new(),
            fuel,
        }
    }

    fn push(&mut self, simple: Simple, place: &Place) -> Result<(), Unreadable> {
        if self.commands.len() >= MOST {
            return Err(Unreadable::new("it has too many parts"));
        }
        self.commands.push(Simple {
            within: place.within.clone(),
            fed_by: place.fed_by,
            multiplies: place.multiplies,
            straight: place.straight,
            endless: place.endless,
            ..simple
        });
        Ok(())
    }

    fn list(&mut self, list: &ast::CompoundList, place: &Place) -> Result<(), Unreadable> {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            let beside = matches!(separator, ast::SeparatorOperator::Async);
            let here = Place {
                multiplies: place.multiplies || beside,
                straight: place.straight && !beside,
                ..place.clone()
            };
            if beside && and_or.first.seq.is_empty() {
                return Err(Unreadable::new("nothing stands before an &"));
            }
            self.pipeline(&and_or.first, &here)?;
            for and_or in &and_or.additional {
                let (ast::AndOr::And(pipeline) | ast::AndOr::Or(pipeline)) = and_or;
                self.pipeline(pipeline, &here.branch())?;
            }
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline, place: &Place) -> Result<(), Unreadable> {
        if pipeline.seq.len() > LONGEST_PIPELINE {
            return Err(Unreadable::new("a pipeline is too long"));
        }
        let piped = pipeline.seq.len() > 1;
        let mut fed_by = place.fed_by;
        for command in &pipeline.seq {
            let here = Place {
                fed_by,
                multiplies: place.multiplies || piped,
                straight: place.straight && !piped,
                ..place.clone()
            };
            let from = self.commands.len();
            self.command(command, &here)?;
            fed_by = Some((from, self.commands.len()));
        }
        Ok(())
    }

    fn command(&mut self, command: &ast::Command, place: &Place) -> Result<(), Unreadable> {
        match command {
            ast::Command::Simple(simple) => self.simple(simple, place),
            ast::Command::Compound(compound, redirects) => self.compound(compound, redirects.as_ref(), place),
            ast::Command::Function(function) => {
                let here = Place {
                    within: Some(function.fname.value.clone()),
                    straight: false,
                    ..Place::default()
                };
                self.compound(&function.body.0, function.body.1.as_ref(), &here)
            }
            ast::Command::ExtendedTest(test, redirects) => {
                let mut simple = Simple::default();
                self.test(&test.expr, &mut simple)?;
                self.redirects(redirects.as_ref(), &mut simple)?;
                self.push(simple, place)
            }
        }
    }

    fn compound(
        &mut self,
        compound: &ast::CompoundCommand,
        redirects: Option<&ast::RedirectList>,
        place: &Place,
    ) -> Result<(), Unreadable> {
        let place = &self.fed_compound(redirects, place)?;
        let branch = &place.branch();
        match compound {
            ast::CompoundCommand::BraceGroup(group) => self.list(&group.list, place),
            ast::CompoundCommand::Subshell(shell) => self.list(&shell.list, branch),
            ast::CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition, place)?;
                self.list(&clause.then, branch)?;
                for other in clause.elses.iter().flatten() {
                    if let Some(condition) = &other.condition {
                        self.list(condition, branch)?;
                    }
                    self.list(&other.body, branch)?;
                }
                Ok(())
            }
            ast::CompoundCommand::WhileClause(clause) => {
                self.repeated(&clause.0, &clause.1, branch, &["true", ":", "1"])
            }
            ast::CompoundCommand::UntilClause(clause) => self.repeated(&clause.0, &clause.1, branch, &["false"]),
            ast::CompoundCommand::ForClause(clause) => {
                let values = clause.values.as_ref();
                let values = values
                    .map(|words| words.iter().map(|word| self.word(word)).collect())
                    .transpose()?;
                let inside = values
                    .iter()
                    .flatten()
                    .flat_map(|word: &Vec<Atom>| scripts_of(word))
                    .collect();
                let simple = Simple {
                    loops: Some((clause.variable_name.clone(), values)),
                    inside,
                    ..Simple::default()
                };
                self.push(simple, place)?;
                self.list(&clause.body.list, branch)
            }
            ast::CompoundCommand::CaseClause(clause) => {
                let begins =
                    |case: &ast::CaseItem| case.patterns.first().is_some_and(|pattern| pattern.value == "esac");
                if clause.cases.iter().any(begins) {
                    return Err(Unreadable::new("`esac` ends a case, also where a pattern could stand"));
                }
                let mut inside = scripts_of(&self.word(&clause.value)?);
                for pattern in clause.cases.iter().flat_map(|case| &case.patterns) {
                    inside.extend(scripts_of(&self.word(pattern)?));
                }
                self.push(
                    Simple {
                        inside,
                        ..Simple::default()
                    },
                    place,
                )?;
                for commands in clause.cases.iter().filter_map(|case| case.cmd.as_ref()) {
                    self.list(commands, branch)?;
                }
                Ok(())
            }
            ast::CompoundCommand::Arithmetic(arithmetic) => self.arithmetic(&arithmetic.expr.value, place),
            ast::CompoundCommand::ArithmeticForClause(clause) => {
                for part in [&clause.initializer, &clause.condition, &clause.updater]
                    .into_iter()
                    .flatten()
                {
                    self.arithmetic(&part.value, place)?;
                }
                let endless = clause
                    .condition
                    .as_ref()
                    .is_none_or(|condition| condition.value.trim().is_empty());
                self.list(
                    &clause.body.list,
                    &Place {
                        endless: place.endless || endless,
                        ..branch.clone()
                    },
                )
            }
            ast::CompoundCommand::Coprocess(process) => self.command(
                &process.body,
                &Place {
                    multiplies: true,
                    ..branch.clone()
                },
            ),
        }
    }

    /// Redirections of a whole group: a command of their own, and the stdin of every command in the group.
    fn fed_compound(&mut self, redirects: Option<&ast::RedirectList>, place: &Place) -> Result<Place, Unreadable> {
        if redirects.is_none() {
            return Ok(place.clone());
        }
        let mut simple = Simple::default();
        self.redirects(redirects, &mut simple)?;
        let feeds = simple
            .redirects
            .iter()
            .any(|redirect| !matches!(redirect, Redirect::To(_) | Redirect::Beside(_)));
        let at = self.commands.len();
        self.push(simple, place)?;
        Ok(Place {
            fed_by: if feeds { Some((at, at + 1)) } else { place.fed_by },
            ..place.clone()
        })
    }

    fn repeated(
        &mut self,
        condition: &ast::CompoundList,
        body: &ast::DoGroupCommand,
        place: &Place,
        always: &[&str],
    ) -> Result<(), Unreadable> {
        let from = self.commands.len();
        self.list(condition, place)?;
        let [simple] = &self.commands[from..] else {
            return self.list(&body.list, place);
        };
        let word = simple.words.first().and_then(|word| super::expand::bare(word));
        let endless = place.endless || word.is_some_and(|word| always.contains(&word.as_str()));
        self.list(
            &body.list,
            &Place {
                endless,
                ..place.clone()
            },
        )
    }

    fn arithmetic(&mut self, text: &str, place: &Place) -> Result<(), Unreadable> {
        let inside = super::scripts_in(text, self.fuel)?;
        self.push(
            Simple {
                inside,
                ..Simple::default()
            },
            place,
        )
    }

    fn simple(&mut self, command: &ast::SimpleCommand, place: &Place) -> Result<(), Unreadable> {
        let mut simple = Simple::default();
        for item in command.prefix.iter().flat_map(|prefix| &prefix.0) {
            self.item(item, &mut simple, true)?;
        }
        if let Some(word) = &command.word_or_name {
            simple.words.push(self.plain_word(word)?);
        }
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            self.item(item, &mut simple, false)?;
        }
        self.push(simple, place)
    }

    /// A word of a command. A bare bracket in it, as in `!(…)`, is a pattern to a shell that was told so, and a subshell or an
    /// error to others.
    fn plain_word(&mut self, word: &ast::Word) -> Result<Vec<Atom>, Unreadable> {
        let atoms = self.word(word)?;
        if atoms.iter().any(|atom| matches!(atom, Atom::Bare('('))) {
            return Err(Unreadable::new("not every shell reads a bracket within a word"));
        }
        Ok(atoms)
    }

    fn item(
        &mut self,
        item: &ast::CommandPrefixOrSuffixItem,
        simple: &mut Simple,
        prefix: bool,
    ) -> Result<(), Unreadable> {
        match item {
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, simple),
            ast::CommandPrefixOrSuffixItem::Word(word) => {
                simple.words.push(self.plain_word(word)?);
                Ok(())
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) if prefix => {
                self.assignment(assignment, simple)
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                simple.words.push(self.word(word)?);
                Ok(())
            }
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, shell) => {
                let script = self.nested(&shell.list)?;
                simple.words.push(vec![Atom::Part(Part::Stream(script), true)]);
                Ok(())
            }
        }
    }

    fn assignment(&mut self, assignment: &ast::Assignment, simple: &mut Simple) -> Result<(), Unreadable> {
        let (name, mut inside) = match &assignment.name {
            ast::AssignmentName::VariableName(name) => (name.clone(), Vec::new()),
            ast::AssignmentName::ArrayElementName(name, index) => (name.clone(), super::scripts_in(index, self.fuel)?),
        };
        let value = match &assignment.value {
            ast::AssignmentValue::Scalar(word) => Some(self.word(word)?),
            ast::AssignmentValue::Array(elements) => {
                for word in elements.iter().flat_map(|(key, value)| key.iter().chain([value])) {
                    inside.extend(scripts_of(&self.word(word)?));
                }
                None
            }
        };
        inside.extend(value.iter().flat_map(|value| scripts_of(value)));
        let plain = !assignment.append && matches!(assignment.name, ast::AssignmentName::VariableName(_));
        simple.assigned.push(Assigned {
            name,
            value: value.filter(|_| plain),
            inside,
        });
        Ok(())
    }

    fn redirects(&mut self, redirects: Option<&ast::RedirectList>, simple: &mut Simple) -> Result<(), Unreadable> {
        redirects
            .iter()
            .flat_map(|list| &list.0)
            .try_for_each(|redirect| self.redirect(redirect, simple))
    }

    fn redirect(&mut self, redirect: &ast::IoRedirect, simple: &mut Simple) -> Result<(), Unreadable> {
        let found = match redirect {
            ast::IoRedirect::HereDocument(_, document) if document.requires_expansion => {
                Some(Redirect::Text(lex::document(&document.doc.value, self.fuel)?))
            }
            ast::IoRedirect::HereDocument(_, document) => {
                Some(Redirect::Text(vec![Atom::Quoted(document.doc.value.clone())]))
            }
            ast::IoRedirect::HereString(_, word) => Some(Redirect::Text(self.word(word)?)),
            ast::IoRedirect::OutputAndError(word, _) => Some(Redirect::To(self.word(word)?)),
            ast::IoRedirect::File(fd, kind, target) => self.file(*fd, kind, target)?,
        };
        simple.redirects.extend(found);
        Ok(())
    }

    fn file(
        &mut self,
        fd: Option<i32>,
        kind: &ast::IoFileRedirectKind,
        target: &ast::IoFileRedirectTarget,
    ) -> Result<Option<Redirect>, Unreadable> {
        let reads = matches!(kind, ast::IoFileRedirectKind::Read) && fd.is_none_or(|fd| fd == 0);
        Ok(match target {
            ast::IoFileRedirectTarget::Fd(_) => None,
            ast::IoFileRedirectTarget::ProcessSubstitution(_, shell) => {
                let script = self.nested(&shell.list)?;
                Some(if reads {
                    Redirect::Commands(script)
                } else {
                    Redirect::Beside(script)
                })
            }
            ast::IoFileRedirectTarget::Filename(word) => {
                let atoms = self.word(word)?;
                let only_read = matches!(kind, ast::IoFileRedirectKind::Read);
                match (reads, only_read) {
                    (true, _) => Some(Redirect::From(atoms)),
                    (false, false) => Some(Redirect::To(atoms)),
                    // Another descriptor to read from; the scripts in its name still run.
                    (false, true) => Some(Redirect::Beside(
                        scripts_of(&atoms)
                            .iter()
                            .flat_map(|script| script.iter().cloned())
                            .collect::<Vec<_>>()
                            .into(),
                    )),
                }
            }
            // `>&2` is a number; `>&NAME` is a file.
            ast::IoFileRedirectTarget::Duplicate(word) => {
                let atoms = self.word(word)?;
                let number = super::expand::bare(&atoms)
                    .is_some_and(|text| text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit()));
                (!number).then_some(Redirect::To(atoms))
            }
        })
    }

    fn test(&mut self, test: &ast::ExtendedTestExpr, simple: &mut Simple) -> Result<(), Unreadable> {
        match test {
            ast::ExtendedTestExpr::And(one, two) | ast::ExtendedTestExpr::Or(one, two) => {
                self.test(one, simple)?;
                self.test(two, simple)
            }
            ast::ExtendedTestExpr::Not(one) | ast::ExtendedTestExpr::Parenthesized(one) => self.test(one, simple),
            ast::ExtendedTestExpr::UnaryTest(_, word) => self.tested(word, simple),
            ast::ExtendedTestExpr::BinaryTest(_, one, two) => {
                self.tested(one, simple)?;
                self.tested(two, simple)
            }
        }
    }

    /// An operand of `[[ ]]`: a quoted subscript in it is evaluated, too.
    fn tested(&mut self, word: &ast::Word, simple: &mut Simple) -> Result<(), Unreadable> {
        let atoms = self.word(word)?;
        if let Some(text) = super::expand::bare(&atoms).filter(|text| text.contains('[')) {
            simple.inside.extend(super::scripts_in(&text, self.fuel)?);
        }
        simple.inside.extend(scripts_of(&atoms));
        Ok(())
    }

    fn word(&self, word: &ast::Word) -> Result<Vec<Atom>, Unreadable> {
        lex::word(&word.value, self.fuel)
    }

    fn nested(&self, list: &ast::CompoundList) -> Result<Script, Unreadable> {
        let mut walk = Walk::new(self.fuel);
        walk.list(
            list,
            &Place {
                straight: true,
                ..Place::default()
            },
        )?;
        Ok(walk.commands.into())
    }
}
