//! Rules carry examples of what they must and must not fit; these run when a file is loaded.

use super::{BadPolicy, Rules};
use crate::policy::judge::Judge;

impl Rules {
    /// Tries the examples of the rules that `own` names, with all rules in force.
    ///
    /// # Errors
    /// [`BadPolicy::Example`] is the first that comes out otherwise.
    pub(in crate::policy) fn try_examples(&self, own: &Self, origin: &str) -> Result<(), BadPolicy> {
        for rule in own.ruled() {
            let must = rule.matches.iter().map(|example| (example, true));
            let must_not = rule.not_match.iter().map(|example| (example, false));
            for (example, wanted) in must.chain(must_not) {
                let judge = Judge::new(self, false);
                let finding = judge.whole(example);
                if judge.fired(&rule.id) != wanted {
                    return Err(BadPolicy::Example {
                        origin: origin.to_owned(),
                        rule: rule.id,
                        should: if wanted { "should" } else { "should not" },
                        example: crate::policy::shown(example),
                        verdict: format!("{} by {}", finding.0.level.word(), finding.0.rule),
                    });
                }
            }
        }
        Ok(())
    }
}
