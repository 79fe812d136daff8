//! What a person's leave is bound to: the very action, the folder it starts in, and the environment it starts with.

use maestria_kernel::permission::{Bound, Question};
use maestria_sandbox::audit::fingerprint;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

/// The fingerprint of an environment; of a variable that is there twice, the last counts.
pub(crate) fn of_environment(env: &[(OsString, OsString)]) -> String {
    let env: BTreeMap<&OsStr, &OsStr> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
    // As text, each in quotes: no name or value can pass for two.
    fingerprint(&format!("{env:?}"))
}

/// A question, bound to the folder and the environment.
pub(crate) fn bound(question: &Question, cwd: &Path, environment: &str) -> Question {
    let cwd = cwd.display().to_string();
    let whole = format!("{:?}", (&question.tool, &question.action, &cwd, environment));
    let sha256 = fingerprint(&whole);
    Question {
        bound: Some(Bound { cwd, sha256 }),
        ..question.clone()
    }
}

#[cfg(test)]
mod tests;
