//! The shape of a policy file, and how files add up.

mod examples;

use super::finding::Level;
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf};

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPolicy {
    /// It is there and cannot be read.
    #[error("{origin}: {error}")]
    Unreadable {
        /// The file.
        origin: String,
        /// Why not.
        error: std::io::Error,
    },
    /// It is no policy file.
    #[error("{origin}: {error}")]
    Shape {
        /// The file.
        origin: String,
        /// What is wrong, with line and column.
        error: Box<toml::de::Error>,
    },
    /// A rule lacks something.
    #[error("{origin}: the rule `{rule}` {wrong}")]
    Rule {
        /// The file.
        origin: String,
        /// The rule's id.
        rule: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// A rule does not do what its own examples say.
    #[error(
        "{origin}: the rule `{rule}` {should} match its example `{example}`, but the verdict is {verdict}; correct the rule or the example"
    )]
    Example {
        /// The file.
        origin: String,
        /// The rule's id.
        rule: String,
        /// `should`, or `should not`.
        should: &'static str,
        /// The example.
        example: String,
        /// What came of it.
        verdict: String,
    },
}

/// All rules in force.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Where files may be read and written.
    pub path: PathRules,
    /// Agents' tools by name.
    pub tool: ToolRules,
    pub(super) allow: Vec<Allow>,
    pub(super) command: Vec<CommandRule>,
    pub(super) check: Vec<Check>,
    pub(super) variable: Vec<VariableRule>,
    pub(super) wrapper: Vec<Wrapper>,
    pub(super) code: Code,
    pub(super) read_only: ReadOnly,
}

/// Rules about paths.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// Never read or written.
    pub secret: Vec<String>,
    /// May be read from outside the worktree.
    pub readable: Vec<String>,
    /// Changed by no worker, at any depth, whether it exists or not.
    pub protected: Vec<String>,
    /// Anything else that is read outside the worktree.
    pub read_outside: Option<Level>,
    /// Anything else that is written outside the worktree.
    pub write_outside: Option<Level>,
}

/// Rules about agents' tools.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolRules {
    /// They touch nothing but the agent itself.
    pub harmless: Vec<String>,
    /// They need a person beside the agent.
    pub useless: Vec<String>,
}

/// What a reader may run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReadOnly {
    pub(super) programs: Vec<String>,
    pub(super) git: Vec<String>,
}

/// Programs that run text, programs that fetch it, and what is suspicious in code of other languages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Code {
    pub(super) shells: Vec<String>,
    pub(super) languages: Vec<String>,
    pub(super) downloads: Vec<String>,
    pub(super) suspicious: Vec<String>,
    pub(super) bombs: Vec<String>,
}

/// A rule about a program; the policy file explains the fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandRule {
    pub(super) id: String,
    pub(super) programs: Vec<String>,
    #[serde(default)]
    pub(super) words: Vec<String>,
    #[serde(default)]
    pub(super) loose: bool,
    #[serde(default)]
    pub(super) unless: Vec<String>,
    #[serde(default)]
    pub(super) flags: Vec<String>,
    #[serde(default)]
    pub(super) operands: Vec<String>,
    #[serde(default)]
    pub(super) values: Vec<String>,
    pub(super) verdict: Level,
    pub(super) because: String,
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    pub(super) not_match: Vec<String>,
}

/// A command that a person has agreed to for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    pub(super) id: String,
    /// This very text, and no other.
    pub(super) command: String,
    /// The rule that would ask; what other rules say of the command stands.
    pub(super) rule: String,
    /// Only for work on this folder.
    #[serde(default)]
    pub(super) project: Option<PathBuf>,
    pub(super) because: String,
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    pub(super) not_match: Vec<String>,
}

/// A check that the program itself makes, told and tried like a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) id: String,
    pub(super) verdict: Level,
    pub(super) because: String,
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    pub(super) not_match: Vec<String>,
}

/// Variables that make other programs do something else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariableRule {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    /// Values that do no harm.
    #[serde(default)]
    pub(super) harmless: Vec<String>,
    pub(super) verdict: Level,
    pub(super) because: String,
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    pub(super) not_match: Vec<String>,
}

/// A program that runs another one; the policy file explains the fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wrapper {
    pub(super) programs: Vec<String>,
    pub(super) under: Vec<String>,
    pub(super) values: Vec<String>,
    pub(super) script: Vec<String>,
    pub(super) setting: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) program: Vec<String>,
    pub(super) stops: Vec<String>,
    pub(super) skip: usize,
    pub(super) assignments: bool,
    pub(super) joined: bool,
    pub(super) appends: bool,
    pub(super) opaque: bool,
    pub(super) after: bool,
    pub(super) stdin: bool,
}

/// A rule as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Described {
    /// Its id.
    pub id: String,
    /// How strict it is.
    pub verdict: Level,
    /// What it is about: programs, variables, or a check of the program's own.
    pub about: String,
    /// Why it is there.
    pub because: String,
    /// Commands that it fits.
    pub matches: Vec<String>,
    /// Commands that it does not fit.
    pub not_match: Vec<String>,
}

impl Rules {
    /// Reads one file and tries its examples. `origin` names it in errors.
    ///
    /// # Errors
    /// [`BadPolicy`] says where and what.
    pub fn parse(text: &str, origin: &str) -> Result<Self, BadPolicy> {
        let rules: Self = toml::from_str(text).map_err(|error| BadPolicy::Shape {
            origin: origin.to_owned(),
            error: Box::new(error),
        })?;
        rules.have_examples(origin)?;
        Ok(rules)
    }

    /// Adds another file's rules. Nothing that is there goes away: the strictest finding wins.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.allow.extend(other.allow);
        self.command.extend(other.command);
        self.check.extend(other.check);
        self.variable.extend(other.variable);
        self.wrapper.extend(other.wrapper);
        self.path.secret.extend(other.path.secret);
        self.path.protected.extend(other.path.protected);
        let stricter = |here: Option<Level>, there: Option<Level>| here.max(there);
        self.path.read_outside = stricter(self.path.read_outside, other.path.read_outside);
        self.path.write_outside = stricter(self.path.write_outside, other.path.write_outside);
        self.tool.useless.extend(other.tool.useless);
        self
    }

    /// All rules that find fault with commands.
    pub(super) fn ruled(&self) -> Vec<Described> {
        let commands = self.command.iter().map(|rule| Described {
            id: rule.id.clone(),
            verdict: rule.verdict,
            about: about(rule),
            because: rule.because.clone(),
            matches: rule.matches.clone(),
            not_match: rule.not_match.clone(),
        });
        let variables = self.variable.iter().map(|rule| Described {
            id: rule.id.clone(),
            verdict: rule.verdict,
            about: format!("variables {}", rule.names.join(", ")),
            because: rule.because.clone(),
            matches: rule.matches.clone(),
            not_match: rule.not_match.clone(),
        });
        let checks = self.check.iter().map(|check| Described {
            id: check.id.clone(),
            verdict: check.verdict,
            about: "a check of the program's own".to_owned(),
            because: check.because.clone(),
            matches: check.matches.clone(),
            not_match: check.not_match.clone(),
        });
        checks.chain(commands).chain(variables).collect()
    }

    /// All rules, as people are told of them, with what a person has agreed to for ever.
    pub fn described(&self) -> Vec<Described> {
        let agreed = self.allow.iter().map(Allow::described);
        self.ruled().into_iter().chain(agreed).collect()
    }

    fn have_examples(&self, origin: &str) -> Result<(), BadPolicy> {
        for rule in self.described() {
            let wrong = if rule.id.is_empty() || rule.id.contains(char::is_whitespace) {
                "has no id of its own, such as `deploy.production`"
            } else if rule.matches.is_empty() {
                "has no example under `match`; write a command that it must fit"
            } else if rule.not_match.is_empty() {
                "has no example under `not_match`; write a command that it must leave alone"
            } else {
                continue;
            };
            return Err(BadPolicy::Rule {
                origin: origin.to_owned(),
                rule: rule.id,
                wrong: wrong.to_owned(),
            });
        }
        Ok(())
    }

    /// The ids in use.
    pub fn ids(&self) -> BTreeSet<String> {
        self.described().into_iter().map(|rule| rule.id).collect()
    }
}

impl Allow {
    fn described(&self) -> Described {
        let only = self
            .project
            .as_ref()
            .map(|project| format!(", in {}", project.display()));
        Described {
            id: self.id.clone(),
            verdict: Level::Monitor,
            about: format!(
                "`{}`, where {} asks{}",
                self.command,
                self.rule,
                only.unwrap_or_default()
            ),
            because: self.because.clone(),
            matches: self.matches.clone(),
            not_match: self.not_match.clone(),
        }
    }
}

fn about(rule: &CommandRule) -> String {
    let mut about = rule.programs.join(", ");
    for (name, list) in [("", &rule.words), ("with ", &rule.flags), ("on ", &rule.operands)] {
        if !list.is_empty() {
            about.push_str(&format!(": {name}{}", list.join(" | ")));
        }
    }
    about
}

/// Whether text is one of `names`, in which `*` stands for anything.
pub(super) fn named(names: &[String], text: &str) -> bool {
    names.iter().any(|name| fits(name, text))
}

fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('*').collect();
    let (last, middle) = parts
        .split_last()
        .map_or(("", &[][..]), |(last, middle)| (*last, middle));
    for part in middle {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}
