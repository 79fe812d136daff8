//! The scripted provider: a user chooses it by name, and every face labels its answers as scripted.
//!
//! A script is TOML, a list of rules. The first rule whose `when` texts all occur in the conversation answers it; its
//! steps are taken one after the other, counted by the tool answers since the last text of the user, so that a
//! conversation that is resumed or forked goes on where it was.
//!
//! ```toml
//! [[rule]]
//! when = ["greet.sh", "A reviewer asks for changes"]
//! steps = [
//!     { call = "write_file", with = { path = "greet.sh", content = "…" } },
//!     { text = "Done." },
//! ]
//! [[rule]]
//! when = ["JSON Schema of a plan"]
//! steps = [{ json = '{"summary": "…"}' }]
//! ```

use super::{Failure, Pieces};
use crate::wire::{Ask, Counts, Piece, Stop, ask::Part};
use maestria_kernel::model::Speaker;
use serde::Deserialize;
use serde_json::Value;

/// A parsed script.
#[derive(Debug, Clone)]
pub(crate) struct Playbook {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    rule: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    when: Vec<String>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    call: Option<String>,
    #[serde(default)]
    with: Option<Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    json: Option<String>,
}

impl Playbook {
    /// Reads a script.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let script: Script = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        for (number, rule) in script.rule.iter().enumerate() {
            let complete = |s: &Step| {
                [s.call.is_some(), s.text.is_some(), s.json.is_some()]
                    .iter()
                    .filter(|b| **b)
                    .count()
                    == 1
            };
            if rule.steps.is_empty() || !rule.steps.iter().all(complete) {
                return Err(format!(
                    "rule {}: every step has exactly one of call, text, json",
                    number + 1
                ));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            rules: script.rule,
        })
    }

    /// Answers a request by the first rule that fits.
    ///
    /// # Errors
    /// When none does, with the beginning of the prompt.
    pub(crate) fn answer(&self, ask: &Ask) -> Result<Pieces, Failure> {
        let words = words(ask);
        let rule = self
            .rules
            .iter()
            .find(|r| r.when.iter().all(|w| words.contains(w.as_str())));
        let Some(rule) = rule else {
            let start: String = last_text(ask).chars().take(200).collect();
            let what = format!("the playbook has no rule for a prompt that begins with: {start}");
            return Err(Failure::request(what).named(&self.name, None));
        };
        let index = answers_since_last_text(ask);
        let step = rule
            .steps
            .get(index)
            .or_else(|| rule.steps.iter().rev().find(|s| s.call.is_none()));
        let mut pieces = vec![Piece::Begin {
            id: String::new(),
            model: "script".to_owned(),
        }];
        let said = match step {
            Some(Step {
                call: Some(name), with, ..
            }) => {
                let arguments = with.as_ref().map_or_else(|| "{}".to_owned(), Value::to_string);
                pieces.push(Piece::Call {
                    id: format!("call_{index}"),
                    name: name.clone(),
                    proof: None,
                });
                pieces.push(Piece::Arguments(arguments.clone()));
                pieces.push(Piece::Stop(Stop::Tools));
                arguments
            }
            Some(Step { text, json, .. }) => {
                let text = text.clone().or_else(|| json.clone()).unwrap_or_default();
                pieces.push(Piece::Text(text.clone()));
                pieces.push(Piece::Stop(Stop::End));
                text
            }
            None => {
                pieces.push(Piece::Text("Done.".to_owned()));
                pieces.push(Piece::Stop(Stop::End));
                String::new()
            }
        };
        // About four characters a token; nothing is charged.
        pieces.push(Piece::Counts(Counts {
            input: words.len() as u64 / 4,
            output: said.len() as u64 / 4 + 1,
            ..Counts::default()
        }));
        Ok(pieces)
    }
}

/// All words of a conversation that a rule may look for. What a tool answers is not the script's matter.
fn words(ask: &Ask) -> String {
    let mut text = ask.system_text();
    for part in ask.turns.iter().flat_map(|t| &t.parts) {
        text.push('\n');
        match part {
            Part::Text { text: said, .. } => text.push_str(said),
            Part::Call { name, .. } => text.push_str(name),
            Part::Result { .. } | Part::Media { .. } | Part::Thought { .. } => {}
        }
    }
    text
}

fn last_text(ask: &Ask) -> &str {
    let parts = ask.turns.iter().rev().flat_map(|t| &t.parts);
    parts.into_iter().find_map(Part::as_text).unwrap_or_default()
}

fn answers_since_last_text(ask: &Ask) -> usize {
    let said = ask.turns.iter().flat_map(|t| t.parts.iter().map(|p| (t.speaker, p)));
    let mut answers = 0;
    for (speaker, part) in said {
        match part {
            Part::Text { .. } if speaker == Speaker::User => answers = 0,
            Part::Result { .. } => answers += 1,
            _ => {}
        }
    }
    answers
}

#[cfg(test)]
mod tests;
