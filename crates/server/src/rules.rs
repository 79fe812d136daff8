//! What the rules make of commands and paths, in the API's shapes: handlers and the command line say the same.

use crate::{
    path::{Op, PathPolicy},
    policy::{self, CommandPolicy, shown},
};
use maestria_api::policy::{AskedPath, Level, PathVerdict, RuleLine, Verdict};

/// Why a path cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// No such operation.
    #[error("there is no operation `{0}`")]
    Op(String),
    /// A relative folder.
    #[error("`cwd` is named absolutely")]
    Relative,
    /// A folder that cannot be a root.
    #[error("{0}")]
    Root(String),
}

/// The names of the operations, for people.
pub fn operations() -> String {
    Op::ALL.map(|(name, _)| name).join(", ")
}

/// What the rules make of a command.
pub fn judge(policy: &CommandPolicy, command: &str) -> Verdict {
    let verdict = policy.judge(command);
    Verdict {
        level: level(verdict.level),
        rule: verdict.rule,
        part: verdict.part,
        reason: verdict.reason,
    }
}

/// What the rules make of a path.
///
/// # Errors
/// [`BadQuestion`].
pub fn judge_path(policy: &CommandPolicy, asked: &AskedPath) -> Result<PathVerdict, BadQuestion> {
    let Some((_, op)) = Op::ALL.into_iter().find(|(name, _)| *name == asked.op) else {
        return Err(BadQuestion::Op(asked.op.clone()));
    };
    if !asked.cwd.is_absolute() {
        return Err(BadQuestion::Relative);
    }
    let roots = PathPolicy::new(&asked.rw, &asked.ro, &policy.rules().path.protected);
    let roots = roots.map_err(|error| BadQuestion::Root(error.to_string()))?;
    Ok(match roots.permit(op, &asked.cwd, &asked.path) {
        Ok(grant) => PathVerdict {
            verdict: Level::Allow,
            rule: "path.inside".to_owned(),
            reason: format!("it is {}", shown(&grant.path().to_string_lossy())),
        },
        Err(refused) => PathVerdict {
            verdict: Level::Block,
            rule: refused.rule.to_owned(),
            reason: refused.reason,
        },
    })
}

/// All rules.
pub fn lines(policy: &CommandPolicy) -> Vec<RuleLine> {
    let rules = policy.rules().described().into_iter();
    rules
        .map(|rule| RuleLine {
            id: rule.id,
            verdict: level(rule.verdict),
            about: rule.about,
            because: rule.because,
            matches: rule.matches,
            not_match: rule.not_match,
        })
        .collect()
}

const fn level(level: policy::Level) -> Level {
    match level {
        policy::Level::Allow => Level::Allow,
        policy::Level::Monitor => Level::Monitor,
        policy::Level::Confirm => Level::Confirm,
        policy::Level::Block => Level::Block,
    }
}
