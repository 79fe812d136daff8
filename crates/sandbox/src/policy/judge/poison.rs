//! Variables that make other programs do something else than their words say.

use super::{Finding, Judge};
use crate::policy::{rules::named, shell};

impl Judge<'_> {
    /// Decides on a variable that is given a value.
    pub(super) fn variable(&self, name: &str, value: Option<&str>) -> Finding {
        let rules = self.rules.variable.iter().filter(|rule| named(&rule.names, name));
        let harmful = rules.filter(|rule| !value.is_some_and(|value| named(&rule.harmless, value)));
        let found = harmful.map(|rule| self.found(rule.verdict, &rule.id, rule.because.clone()));
        found.fold(self.subscript(value.unwrap_or_default()), Finding::or)
    }

    /// A subscript in a value is evaluated where the value is used in arithmetic: `x='a[$(…)]'; echo $((x))`.
    pub(super) fn subscript(&self, value: &str) -> Finding {
        if !(value.contains('[') && (value.contains("$(") || value.contains('`'))) {
            return Finding::allow();
        }
        self.expanded(value)
    }

    /// Text that a shell expands: the scripts in it run.
    pub(super) fn expanded(&self, text: &str) -> Finding {
        match shell::scripts_in(text, &self.fuel) {
            Err(unreadable) => self.unreadable(&unreadable),
            Ok(scripts) => {
                let inner = scripts
                    .iter()
                    .map(|script| self.script(script, shell::Scope::default(), 1));
                inner.fold(Finding::allow(), Finding::or)
            }
        }
    }
}
