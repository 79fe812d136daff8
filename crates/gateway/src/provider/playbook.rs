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

use maestria_kernel::{
    Cost, Tokens, Usage,
    model::{ModelError, ModelReply, ModelRequest, Part, Speaker, Stop},
};
use serde::Deserialize;
use serde_json::Value;

/// A parsed script.
#[derive(Debug, Clone)]
pub struct Playbook {
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
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
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
    /// [`ModelError::Invalid`] when none does, with the beginning of the prompt.
    pub fn answer(
        &self,
        request: &ModelRequest,
        on_text: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let words = words(request);
        let rule = self
            .rules
            .iter()
            .find(|r| r.when.iter().all(|w| words.contains(w.as_str())));
        let Some(rule) = rule else {
            let start: String = last_text(request).chars().take(200).collect();
            let detail = format!("the playbook has no rule for a prompt that begins with: {start}");
            return Err(ModelError::Invalid {
                provider: self.name.clone(),
                detail,
            });
        };
        let index = answers_since_last_text(request);
        let step = rule
            .steps
            .get(index)
            .or_else(|| rule.steps.iter().rev().find(|s| s.call.is_none()));
        let part = match step {
            Some(Step {
                call: Some(name), with, ..
            }) => {
                let arguments = with.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                Part::Call {
                    id: format!("call_{index}"),
                    name: name.clone(),
                    arguments,
                }
            }
            Some(Step { text, json, .. }) => {
                let text = text.clone().or_else(|| json.clone()).unwrap_or_default();
                on_text(&text);
                Part::Text { text }
            }
            None => Part::Text {
                text: "Done.".to_owned(),
            },
        };
        let stop = if matches!(part, Part::Call { .. }) {
            Stop::Tools
        } else {
            Stop::End
        };
        let usage = Usage {
            // About four characters a token; nothing is charged.
            input: Tokens(words.len() as u64 / 4),
            cached: Tokens(0),
            output: Tokens(serde_json::to_string(&part).map_or(0, |s| s.len() as u64 / 4)),
            cost: Cost::ZERO,
        };
        Ok(ModelReply {
            parts: vec![part],
            stop,
            usage,
            scripted: true,
        })
    }
}

/// All words of a conversation that a rule may look for.
fn words(request: &ModelRequest) -> String {
    let mut text = request.system.clone();
    for part in request.messages.iter().flat_map(|m| &m.parts) {
        text.push('\n');
        match part {
            Part::Text { text: said } => text.push_str(said),
            Part::Call { name, .. } => text.push_str(name),
            // What a tool answers is not the script's matter.
            Part::Answer { .. } => {}
        }
    }
    text
}

fn last_text(request: &ModelRequest) -> &str {
    let texts = request
        .messages
        .iter()
        .rev()
        .flat_map(|m| &m.parts)
        .find_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::Call { .. } | Part::Answer { .. } => None,
        });
    texts.unwrap_or_default()
}

fn answers_since_last_text(request: &ModelRequest) -> usize {
    let is_text = |m: &&maestria_kernel::model::Message| {
        m.speaker == Speaker::User && m.parts.iter().any(|p| matches!(p, Part::Text { .. }))
    };
    let since = request.messages.iter().rposition(|m| is_text(&m)).unwrap_or(0);
    let parts = request.messages[since..].iter().flat_map(|m| &m.parts);
    parts.filter(|p| matches!(p, Part::Answer { .. })).count()
}
