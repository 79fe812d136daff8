//! The rules about programs, from the policy files.

use super::{Call, Finding, Judge, Word};
use crate::policy::rules::{CommandRule, named};

impl Judge<'_> {
    pub(super) fn ruled(&self, program: &str, call: &Call<'_>) -> Finding {
        let about = self.about(program);
        about
            .rules
            .iter()
            .map(|rule| self.rule_on(rule, call.words))
            .fold(Finding::allow(), Finding::or)
    }

    fn rule_on(&self, rule: &CommandRule, words: &[Word]) -> Finding {
        let fits = || self.found(rule.verdict, &rule.id, rule.because.clone());
        if rule.flags.is_empty() && rule.words.is_empty() && rule.operands.is_empty() {
            return fits();
        }
        let arguments = || words.iter().skip(1);
        let listed = |word: &Word| {
            let text = word.text.as_deref().unwrap_or(&word.head);
            named(&rule.flags, text) || named(&rule.operands, text)
        };
        if arguments().any(listed) {
            return fits();
        }
        if rule.words.is_empty() {
            return Finding::allow();
        }
        let values: Vec<&str> = rule.values.iter().map(String::as_str).collect();
        let plain = plain(words, &values);
        let at = |from: usize| {
            rule.words
                .iter()
                .any(|wanted| phrase(wanted, plain.get(from..).unwrap_or_default()))
        };
        let first = plain.first().copied().flatten();
        let excused = first.is_some_and(|first| rule.unless.iter().any(|unless| unless == first));
        if at(0) || (rule.loose && !excused && (at(1) || at(2))) {
            return fits();
        }
        match plain.first() {
            Some(None) => self.undecided(format!("it cannot be told what {} is to do", words[0].shown)),
            Some(Some(_)) | None => Finding::allow(),
        }
    }
}

/// The words that are no options; `None` for one that is not known.
pub(super) fn plain<'w>(words: &'w [Word], values: &[&str]) -> Vec<Option<&'w str>> {
    let mut found = Vec::new();
    let mut rest = words.iter().skip(1);
    let mut open = true;
    // An option's value that may be several words: the first of them is the value, the next is what the program is to do.
    let mut crowded = false;
    while let Some(word) = rest.next() {
        match word.text.as_deref() {
            Some("--") if open => open = false,
            Some(option) if open && values.contains(&option) => {
                crowded |= rest.next().is_some_and(|value| value.many);
            }
            Some(option) if open && option.starts_with('-') && option.len() > 1 => {}
            // `+toolchain` of cargo and its like.
            Some(option) if open && option.starts_with('+') && found.is_empty() => {}
            None if open && word.head.starts_with("--") && !word.many => {}
            text => found.push(text),
        }
    }
    if found.is_empty() && crowded {
        found.push(None);
    }
    found
}

/// Whether the words begin with a rule's phrase.
pub(super) fn phrase(wanted: &str, words: &[Option<&str>]) -> bool {
    let mut words = words.iter();
    wanted.split(' ').all(|wanted| words.next() == Some(&Some(wanted)))
}
