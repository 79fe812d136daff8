//! The grammar of scripts: steps, faults, rules, and the directive inside a prompt.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::dialect::Dialect;

/// What introduces a script inside a prompt.
pub(crate) const DIRECTIVE: &str = "@script";

/// A script that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("script is not readable: {0} (see the grammar in maestria_testkit::model)")]
pub struct ScriptError(#[from] serde_json::Error);

/// One answer of the scripted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Write a whole file.
    Write {
        /// Relative to the agent's working directory, or absolute.
        path: String,
        /// The whole content.
        content: String,
    },
    /// Replace `old` by `new` in a file.
    Edit {
        /// Relative to the agent's working directory, or absolute.
        path: String,
        /// The text to find.
        old: String,
        /// What takes its place.
        new: String,
    },
    /// Read a file.
    Read {
        /// Relative to the agent's working directory, or absolute.
        path: String,
    },
    /// Run a shell command.
    Shell(String),
    /// Call one tool with exactly this input.
    Call {
        /// The tool's name as declared.
        name: String,
        /// Its input; a string for free-form tools.
        input: Value,
    },
    /// Several calls in one answer.
    All(Vec<Step>),
    /// Say something and end the turn.
    Text(String),
    /// End the turn with structured output.
    Json(Value),
}

impl Step {
    /// How many tool results this step brings back.
    pub(crate) fn results(&self) -> usize {
        match self {
            Self::Text(_) | Self::Json(_) => 0,
            Self::All(steps) => steps.iter().map(Self::results).sum(),
            Self::Write { .. } | Self::Edit { .. } | Self::Read { .. } | Self::Shell(_) | Self::Call { .. } => 1,
        }
    }
}

/// How often a fault strikes, or how many conversations a rule serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many times.
    Count(u32),
    /// Every time.
    Forever,
}

impl Times {
    /// True while `used` has not reached the limit.
    pub(crate) fn allows(self, used: u32) -> bool {
        match self {
            Self::Count(limit) => used < limit,
            Self::Forever => true,
        }
    }

    fn once() -> Self {
        Self::Count(1)
    }

    fn forever() -> Self {
        Self::Forever
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(word) if word == "forever" => Ok(Self::Forever),
            Value::Number(number) => number
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .map(Self::Count)
                .ok_or_else(|| serde::de::Error::custom(format!("times must be a small whole number, not {number}"))),
            other => Err(serde::de::Error::custom(format!(
                "times must be a number or \"forever\", not {other}"
            ))),
        }
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => to.serialize_u32(*count),
            Self::Forever => to.serialize_str("forever"),
        }
    }
}

/// Something that goes wrong between the model and its client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// How often; once unless told.
    #[serde(default = "Times::once")]
    pub times: Times,
    /// Only at this step (0 = the first); any unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
}

impl Fault {
    /// A fault that strikes once, at any step.
    #[must_use]
    pub fn once(kind: FaultKind) -> Self {
        Self {
            kind,
            times: Times::once(),
            at: None,
        }
    }

    /// A fault that strikes every time.
    #[must_use]
    pub fn forever(kind: FaultKind) -> Self {
        Self {
            kind,
            times: Times::Forever,
            at: None,
        }
    }
}

/// The kinds of fault; the table in the module documentation says what each does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// An HTTP error status with the vendor's error body.
    Status {
        /// 401, 429, 500, 529, …
        status: u16,
        /// Seconds for a `Retry-After` header; no header when absent.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Text inside the error body.
        #[serde(default)]
        message: Option<String>,
    },
    /// The connection breaks after so many events.
    Cut {
        /// Events sent before.
        after: usize,
    },
    /// Tool arguments that do not parse.
    BadToolJson,
    /// No byte of an answer for a while.
    Silence {
        /// Milliseconds; for ever when absent.
        #[serde(default)]
        ms: Option<u64>,
    },
    /// A pause before every event.
    Drip {
        /// Milliseconds.
        ms: u64,
    },
    /// The vendor's error event after a 200.
    ErrorEvent {
        /// Events sent before.
        #[serde(default)]
        after: usize,
        /// Text inside the event.
        #[serde(default)]
        message: Option<String>,
    },
    /// Usage left out.
    NoUsage,
    /// A 200 whose body is an error document.
    ErrorBody {
        /// Text inside the document.
        #[serde(default)]
        message: Option<String>,
    },
}

/// Steps in order, and what goes wrong on the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The answers, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The first fault whose `at` fits and whose `times` are not used up strikes.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

impl Script {
    /// A script without faults.
    #[must_use]
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            faults: Vec::new(),
        }
    }

    /// The same script with one more fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The words that put this script into a prompt.
    #[must_use]
    pub fn directive(&self) -> String {
        let body = serde_json::to_string(self).unwrap_or_default();
        format!("{DIRECTIVE} {body}")
    }

    /// The script in `text`, if its last directive can be read.
    pub(crate) fn in_text(text: &str) -> Option<Result<Self, ScriptError>> {
        let (_, after) = text.rsplit_once(DIRECTIVE)?;
        let after = after.trim_start();
        after.starts_with('{').then(|| {
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<Self>();
            // `starts_with('{')` promises one value or an error.
            values
                .next()
                .unwrap_or_else(|| Ok(Self::default()))
                .map_err(ScriptError)
        })
    }

    /// The step to play after `results` tool results; `None` once all are used up.
    pub(crate) fn step_after(&self, results: usize) -> Option<(usize, &Step)> {
        let mut seen = 0;
        for (index, step) in self.steps.iter().enumerate() {
            // A step that brings no result ends the turn, so it is played for ever after.
            if results < seen + step.results() || step.results() == 0 {
                return Some((index, step));
            }
            seen += step.results();
        }
        None
    }

    /// True if some step needs a tool.
    pub(crate) fn needs_tools(&self) -> bool {
        self.steps.iter().any(|step| step.results() > 0)
    }
}

/// A script and the requests it is meant for. Conditions left out hold for every request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A piece of the system prompt or of a user message.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Only requests that want JSON (true) or do not (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<bool>,
    /// A piece of the model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only this dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// How many conversations it serves; for ever unless told.
    #[serde(default = "Times::forever")]
    pub times: Times,
    /// The answers, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What goes wrong on the way.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

impl Rule {
    /// For requests that hold `text`, played for ever.
    #[must_use]
    pub fn on(text: impl Into<String>, script: Script) -> Self {
        Self {
            contains: Some(text.into()),
            ..Self::always(script)
        }
    }

    /// For every request.
    #[must_use]
    pub fn always(script: Script) -> Self {
        Self {
            contains: None,
            schema: None,
            model: None,
            dialect: None,
            times: Times::Forever,
            steps: script.steps,
            faults: script.faults,
        }
    }

    /// Only for requests that want JSON (`true`) or do not (`false`).
    #[must_use]
    pub fn wanting_json(mut self, wanted: bool) -> Self {
        self.schema = Some(wanted);
        self
    }

    /// Serves only so many conversations.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Times::Count(count);
        self
    }

    /// Reads a JSON list of rules.
    ///
    /// # Errors
    /// When it is not one; the message names the line and the field.
    pub fn list(json: &str) -> Result<Vec<Self>, ScriptError> {
        Ok(serde_json::from_str(json)?)
    }

    pub(crate) fn script(&self) -> Script {
        Script {
            steps: self.steps.clone(),
            faults: self.faults.clone(),
        }
    }
}
