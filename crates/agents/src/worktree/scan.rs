//! A look at what a change adds: secrets, dangerous calls, and what may make the project slow; and at the files that it touches.
//! What is found is a [`Finding`] with its place; a secret blocks the delivery, a person has to agree to files that others run
//! unseen or are bound by, the rest is for people and reviewers to weigh.
//!
//! The rules are tables (`scan/rules.rs`, `scan/places.rs`). They look at single added lines, so they miss what is spread over
//! several, and they never judge what was there before.

mod places;
mod rules;

use super::git::Git;
use maestria_kernel::{
    finding::{Finding, Severity},
    port::RepositoryError,
};
use regex::Regex;
use rules::{RULES, Rule};
use std::sync::OnceLock;

/// Findings that are kept of one change.
const MOST: usize = 50;

/// The part of a diff that is looked at, in bytes.
const LONGEST: usize = 16 << 20;

/// A change that adds more lines to one file is worth a word.
const LARGE: u32 = 20_000;

/// Looks at what `to` adds to `from`.
///
/// # Errors
/// When git says no.
pub(super) async fn scan(git: &Git, from: &str, to: &str) -> Result<Vec<Finding>, RepositoryError> {
    let args = [
        "diff-tree",
        "-p",
        "-U0",
        "--no-color",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        from,
        to,
    ];
    let (diff, cut) = git.capped(&args, LONGEST).await?;
    let mut findings = look(&String::from_utf8_lossy(&diff));
    if cut {
        findings.push(Finding {
            severity: Severity::Warning,
            file: None,
            line: None,
            message: format!(
                "the change is longer than {} MiB; only that much was looked at",
                LONGEST >> 20
            ),
        });
    }
    Ok(findings)
}

/// Reads a diff without context lines.
fn look(diff: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut file, mut line, mut added) = (String::new(), 0u32, 0u32);
    for text in diff.lines() {
        findings.extend(places::judge(text));
        if let Some(name) = text.strip_prefix("+++ ") {
            name.strip_prefix("b/").unwrap_or(name).clone_into(&mut file);
            added = 0;
        } else if let Some(hunk) = text.strip_prefix("@@ ") {
            line = first_line(hunk);
        } else if let Some(text) = text.strip_prefix('+') {
            findings.extend(judge(&file, line, text));
            (line, added) = (line + 1, added + 1);
            if added == LARGE {
                findings.push(Finding {
                    severity: Severity::Info,
                    file: Some(file.clone()),
                    line: None,
                    message: format!("more than {LARGE} lines are added; should this file be in the repository?"),
                });
            }
        }
        if findings.len() >= MOST {
            findings.truncate(MOST);
            break;
        }
    }
    findings
}

/// `-1,2 +3,4 @@ …` begins at line 3 of the new file.
fn first_line(hunk: &str) -> u32 {
    let new = hunk.split_whitespace().find_map(|word| word.strip_prefix('+'));
    let number = new.and_then(|range| range.split(',').next()?.parse().ok());
    number.unwrap_or(0)
}

fn judge(file: &str, line: u32, text: &str) -> Option<Finding> {
    // What is a secret here is one wherever it goes, whatever it looks like.
    if let Some(name) = maestria_secrets::funnel().known_in(text.as_bytes()) {
        return Some(Finding {
            severity: Severity::Blocking,
            file: Some(file.to_owned()),
            line: Some(line),
            message: format!("a secret of this machine ({name}); take it out and replace it"),
        });
    }
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let fits = |(rule, pattern): &&(&Rule, Regex)| {
        let concerns = rule.files.is_empty() || rule.files.contains(&extension);
        // The vendors' documentation shows keys that say so themselves. What stands beside a key excuses nothing.
        concerns && pattern.find_iter(text).any(|found| !found.as_str().contains("EXAMPLE"))
    };
    let (rule, _) = compiled().iter().find(fits)?;
    Some(Finding {
        severity: rule.severity,
        file: Some(file.to_owned()),
        line: Some(line),
        message: rule.message.to_owned(),
    })
}

fn compiled() -> &'static [(&'static Rule, Regex)] {
    static COMPILED: OnceLock<Vec<(&'static Rule, Regex)>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let compile = |rule: &'static Rule| Some((rule, Regex::new(rule.pattern).ok()?));
        RULES.iter().filter_map(compile).collect()
    })
}

#[cfg(test)]
mod tests;
