//! What the rules say about a program by its name alone, looked up once for each name.

use super::Judge;
use crate::policy::rules::{CommandRule, Wrapper, named};
use std::rc::Rc;

/// The rules in which a program is named.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) rules: Vec<&'a CommandRule>,
    pub(super) wrappers: Vec<&'a Wrapper>,
    /// It reads text as a shell does.
    pub(super) is_shell: bool,
    /// It fetches text from the network.
    pub(super) downloads: bool,
    /// The language that it is an interpreter of.
    pub(super) language: Option<&'a str>,
}

impl<'a> Judge<'a> {
    /// What the rules say about the program of that name.
    pub(super) fn about(&self, program: &str) -> Rc<About<'a>> {
        if let Some(about) = self.met.borrow().get(program) {
            return Rc::clone(about);
        }
        let about = Rc::new(self.looked_up(program));
        self.met.borrow_mut().insert(program.to_owned(), Rc::clone(&about));
        about
    }

    fn looked_up(&self, program: &str) -> About<'a> {
        let rules = self.rules;
        let is_version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '.');
        let mut languages = rules.code.languages.iter().map(String::as_str);
        About {
            rules: rules
                .command
                .iter()
                .filter(|rule| named(&rule.programs, program))
                .collect(),
            wrappers: rules
                .wrapper
                .iter()
                .filter(|wrapper| named(&wrapper.programs, program))
                .collect(),
            is_shell: named(&rules.code.shells, program),
            downloads: named(&rules.code.downloads, program),
            language: languages.find(|language| program.strip_prefix(*language).is_some_and(is_version)),
        }
    }
}
