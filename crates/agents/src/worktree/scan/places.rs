//! Files that a change touches and a person has to agree to: what others run without having read it, and what binds them.

use maestria_kernel::finding::{Finding, Severity};
use regex::Regex;
use std::sync::OnceLock;

/// Paths, and what about them.
const PLACES: &[(&str, &str)] = &[
    (
        r"(?i)(^|/)(licen[cs]e|copying|copyright|notice)(-[a-z0-9.]+)?(\.(md|txt|rst|adoc|html?|mit|apache|bsd|l?gpl|lesser))?$|(^|/)licenses/",
        "this says under which licence the project is given away",
    ),
    (
        r"^\.(github/(workflows|actions)|circleci|buildkite|forgejo|gitea|woodpecker)/|^\.(gitlab-ci|travis|drone|appveyor|cirrus)\.ya?ml$|(^|/)(Jenkinsfile|azure-pipelines\.ya?ml|bitbucket-pipelines\.ya?ml)$",
        "a build server runs this, with the project's own rights",
    ),
    (
        r"(^|/)(\.husky|\.githooks|\.git-hooks|git-hooks)/|(^|/)\.(pre-commit-config|lefthook|pre-commit-hooks)\.ya?ml$|(^|/)lefthook\.ya?ml$|(^|/)\.(gitattributes|gitmodules|lfsconfig)$",
        "git runs or fetches this on the machine of everybody who works on the project",
    ),
    (
        r"(^|/)\.(vscode|idea|cursor|claude|codex|gemini|qwen|devcontainer|maestria)/|(^|/)\.(envrc|mcp\.json|npmrc|yarnrc(\.yml)?|cargo/config(\.toml)?)$",
        "editors, agents or package managers run what is written here, on the machine of whoever opens the folder",
    ),
];

/// What a line of a diff says of a file, if it says something that a person has to agree to. Each file says it once.
pub(super) fn judge(line: &str) -> Option<Finding> {
    if let Some(pair) = line
        .strip_prefix("Binary files ")
        .and_then(|rest| rest.strip_suffix(" differ"))
    {
        let (_, new) = pair.split_once(" and ")?;
        let file = new.strip_prefix("b/")?;
        return Some(finding(file, "a binary file, which nobody can read"));
    }
    // Both sides have the same name: renames are told as a file that goes and one that comes.
    let names = line.strip_prefix("diff --git ")?;
    let file = named_twice(names)?;
    let (_, because) = compiled().iter().find(|(pattern, _)| pattern.is_match(&file))?;
    Some(finding(&file, because))
}

/// The name in `a/NAME b/NAME`, quoted by git or not.
fn named_twice(names: &str) -> Option<String> {
    let name = match names.strip_prefix("\"a/") {
        Some(quoted) => quoted.split_once("\" \"b/")?.0,
        // "a/", "b/" and the space between are five.
        None => names.get(2..2 + names.len().checked_sub(5)? / 2)?,
    };
    Some(name.to_owned())
}

fn finding(file: &str, because: &str) -> Finding {
    Finding {
        severity: Severity::Confirm,
        file: Some(file.to_owned()),
        line: None,
        message: because.to_owned(),
    }
}

fn compiled() -> &'static [(Regex, &'static str)] {
    static COMPILED: OnceLock<Vec<(Regex, &'static str)>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let compile = |(pattern, because): &(&str, &'static str)| Some((Regex::new(pattern).ok()?, *because));
        PLACES.iter().filter_map(compile).collect()
    })
}

#[cfg(test)]
pub(super) fn compiles() -> bool {
    compiled().len() == PLACES.len()
}
