//! What a person agrees to for ever: one command, where one rule asks, in one project. Nothing that blocks gives way.

use super::{BadPolicy, CommandPolicy, Judgement, Level, rules::Allow};
use crate::audit::fingerprint;
use std::{path::Path, sync::Arc};

impl CommandPolicy {
    /// Without what was agreed for other projects.
    pub(super) fn only_of(mut self, project: Option<&Path>) -> Self {
        let here = |allow: &Allow| allow.project.is_none() || allow.project.as_deref() == project;
        if !self.rules.allow.iter().all(here) {
            Arc::make_mut(&mut self.rules).allow.retain(here);
        }
        self
    }

    /// A judgement, milder where a person has agreed to this very command.
    pub(super) fn agreed(&self, mut judgement: Judgement, command: &str) -> Judgement {
        let verdict = &mut judgement.verdict;
        let fits = |allow: &&Allow| allow.command == command && allow.rule == verdict.rule;
        if verdict.level == Level::Confirm
            && let Some(allow) = self.rules.allow.iter().find(fits)
        {
            verdict.level = Level::Monitor;
            verdict.rule.clone_from(&allow.id);
            verdict.reason.clone_from(&allow.because);
        }
        judgement
    }

    /// Tries the examples of what was agreed: what matches must not be asked about any more, and what does not must not be let
    /// through by it.
    pub(super) fn try_allowed(&self, allowed: &[Allow], origin: &str) -> Result<(), BadPolicy> {
        for allow in allowed {
            let must = allow.matches.iter().map(|example| (example, true));
            let must_not = allow.not_match.iter().map(|example| (example, false));
            for (example, wanted) in must.chain(must_not) {
                let verdict = self.judge(example);
                let comes_out = if wanted {
                    verdict.level <= Level::Monitor
                } else {
                    verdict.rule != allow.id
                };
                if !comes_out {
                    return Err(BadPolicy::Example {
                        origin: origin.to_owned(),
                        rule: allow.id.clone(),
                        should: if wanted { "should" } else { "should not" },
                        example: super::shown(example),
                        verdict: format!("{} by {}", verdict.level.word(), verdict.rule),
                    });
                }
            }
        }
        Ok(())
    }

    /// The id and the text of the rule by which `command` is never asked about again in `project`; nothing where it is not
    /// asked about, or where no such rule would help.
    pub fn lasting(&self, command: &str, project: &Path) -> Option<(String, String)> {
        let verdict = self.judge(command);
        let project = project.to_str()?;
        // What could not be read or decided may be something else the next time.
        let is_known = !matches!(verdict.rule.as_str(), "command.unreadable" | "command.undecided");
        if verdict.level != Level::Confirm || !is_known {
            return None;
        }
        let hash = fingerprint(&format!("{command}\0{}\0{project}", verdict.rule));
        let id = format!("always.{}", hash.get(..12)?);
        // TOML's strings are written as JSON's are.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (text, other) = (quoted(command), quoted(&format!("{command} --and-more")));
        let rule = format!(
            "[[allow]]\nid = {}\ncommand = {text}\nrule = {}\nproject = {}\nbecause = \"a person agreed to it for ever\"\n\
             match = [{text}]\nnot_match = [{other}]\n",
            quoted(&id),
            quoted(&verdict.rule),
            quoted(project),
        );
        let tried = self.with_file(&rule, "the rule").ok()?;
        (tried.judge(command).rule == id).then_some((id, rule))
    }
}

#[cfg(test)]
mod tests;
