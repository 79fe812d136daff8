//! A model request without its dialect: what a script needs to know.

use serde_json::Value;

use super::dialect::Dialect;

/// A tool the request declares.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its input; `None` for a free-form tool that takes plain text.
    pub parameters: Option<Value>,
}

impl Tool {
    /// The first of `names` that is a property of this tool's input.
    pub(crate) fn argument<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let properties = self.parameters.as_ref()?.get("properties")?;
        names.iter().copied().find(|name| properties.get(name).is_some())
    }
}

/// One message of the conversation.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Said by the user's side (tool results count as that).
    pub user: bool,
    /// All plain text in it.
    pub text: String,
    /// How many tool results it carries.
    pub results: usize,
}

/// What is asked of the model.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The dialect it was asked in.
    pub dialect: Dialect,
    /// The model's name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The system prompt.
    pub system: String,
    /// The conversation, oldest first.
    pub turns: Vec<Turn>,
    /// The tools declared.
    pub tools: Vec<Tool>,
    /// The JSON schema the answer must fit.
    pub schema: Option<Value>,
    /// The one tool that must be called.
    pub forced: Option<String>,
    /// Size of the request in bytes, for plausible usage figures.
    pub size: usize,
}

impl Ask {
    /// The last message of the user that is not just tool results.
    #[must_use]
    pub fn prompt(&self) -> &str {
        self.turns
            .iter()
            .rev()
            .find(|turn| turn.user && turn.results == 0)
            .map_or("", |turn| &turn.text)
    }

    /// Whether the system prompt or a user message holds `text`.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.system.contains(text) || self.turns.iter().any(|turn| turn.user && turn.text.contains(text))
    }

    /// Whether an answer in JSON is wanted, by schema or by a forced tool.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        self.schema.is_some() || self.forced.is_some()
    }

    /// The place of the last user message for which `is_it` holds.
    pub(crate) fn last_user(&self, is_it: impl Fn(&Turn) -> bool) -> Option<usize> {
        self.turns.iter().rposition(|turn| turn.user && is_it(turn))
    }

    /// How many tool results follow message `anchor`.
    pub(crate) fn results_after(&self, anchor: usize) -> usize {
        self.turns.iter().skip(anchor + 1).map(|turn| turn.results).sum()
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}
