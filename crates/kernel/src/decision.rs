//! Decisions: questions that only a person may answer.

use crate::{
    id::{DecisionId, TaskId},
    permission::Question,
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum About {
    /// A worker waits for leave to do something.
    Permission {
        /// The worker's task.
        task: TaskId,
        /// What it wants to do. `question` is the decision's own sentence, which stands beside this on the wire.
        #[serde(rename = "wants")]
        question: Box<Question>,
    },
    /// A task cannot go on by itself.
    Task {
        /// The task.
        task: TaskId,
        /// What it is stuck on.
        stuck: Stuck,
    },
    /// The finished work is not trusted enough.
    Confidence,
    /// The run's checks failed on the combined tree.
    Validation,
    /// No plan could be made.
    Planning,
    /// The budget is spent.
    Budget,
}

/// What a task is stuck on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stuck {
    /// All attempts with all agents failed.
    Attempts,
    /// Reviewers reject it, or rework did not satisfy them.
    Review,
    /// It conflicts with other work.
    Conflict,
    /// Its change breaks the checks on the combined tree.
    Checks,
    /// Its change holds what a person has to agree to.
    Consent,
    /// Its worker did or tried too often what it may not.
    Violations,
}

/// What a choice leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Let it happen (permissions), or take the work as it is.
    Accept,
    /// Do not let it happen.
    Refuse,
    /// Try again from the start of what failed.
    Retry,
    /// Leave this part out and go on with the rest.
    Skip,
    /// Give the run as much budget again.
    Raise,
    /// Stop the run.
    Stop,
}

impl Choice {
    /// The word on every face.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Refuse => "refuse",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Raise => "raise",
            Self::Stop => "stop",
        }
    }
}

/// One way to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opt {
    /// What it leads to.
    pub choice: Choice,
    /// What that means here, for people.
    pub label: String,
}

/// The answer to a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// What was chosen.
    pub choice: Choice,
    /// Who chose; `expiry` when nobody did.
    pub by: String,
    /// Why, in their words.
    #[serde(default)]
    pub because: String,
    /// When.
    pub at: At,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// The question, one sentence.
    pub question: String,
    /// What a person needs to know to answer.
    pub context: String,
    /// The ways to answer; the first is what `approve` chooses, the last what `deny` chooses.
    pub options: Vec<Opt>,
    /// The way that is recommended.
    pub recommended: Choice,
    /// When it is answered for want of a person.
    pub expires_at: At,
    /// With what.
    pub on_expiry: Choice,
    /// The answer, once there is one.
    #[serde(default)]
    pub answer: Option<Answer>,
}

impl Decision {
    /// Whether it still waits for a person.
    pub const fn is_open(&self) -> bool {
        self.answer.is_none()
    }

    /// The task it holds up, if it holds up just one.
    pub const fn task(&self) -> Option<TaskId> {
        match &self.about {
            About::Permission { task, .. } | About::Task { task, .. } => Some(*task),
            About::Confidence | About::Validation | About::Planning | About::Budget => None,
        }
    }

    /// What `approve` chooses.
    pub fn approval(&self) -> Choice {
        self.options.first().map_or(self.recommended, |o| o.choice)
    }

    /// What `deny` chooses.
    pub fn denial(&self) -> Choice {
        self.options.last().map_or(self.on_expiry, |o| o.choice)
    }
}

/// The ways to answer each kind of question, approval first, denial last.
pub fn options(about: &About) -> Vec<Opt> {
    let opt = |choice, label: &str| Opt {
        choice,
        label: label.to_owned(),
    };
    match about {
        About::Permission { .. } => vec![
            opt(Choice::Accept, "let the worker do it, this once"),
            opt(Choice::Refuse, "refuse; the worker goes on without it"),
        ],
        About::Task {
            stuck: Stuck::Attempts, ..
        } => vec![
            opt(Choice::Retry, "try again, with your reason as guidance"),
            opt(Choice::Skip, "leave this task and what needs it out"),
            opt(Choice::Stop, "stop the run"),
        ],
        About::Task {
            stuck: Stuck::Review | Stuck::Conflict | Stuck::Checks,
            ..
        } => vec![
            opt(Choice::Retry, "let the author rework it, with your reason as guidance"),
            opt(Choice::Accept, "take the change as it is"),
            opt(Choice::Skip, "leave this task and what needs it out"),
            opt(Choice::Stop, "stop the run"),
        ],
        About::Task {
            stuck: Stuck::Consent, ..
        } => vec![
            opt(Choice::Accept, "agree to it, and take the change"),
            opt(
                Choice::Retry,
                "let the author take it out, with your reason as guidance",
            ),
            opt(Choice::Skip, "leave this task and what needs it out"),
            opt(Choice::Stop, "stop the run"),
        ],
        About::Task {
            stuck: Stuck::Violations,
            ..
        } => vec![
            opt(
                Choice::Retry,
                "go on with a fresh attempt, which is told what not to do",
            ),
            opt(Choice::Skip, "leave this task and what needs it out"),
            opt(Choice::Stop, "stop the run"),
        ],
        About::Confidence | About::Validation => vec![
            opt(Choice::Accept, "take the work as it is"),
            opt(Choice::Retry, "let an agent work on the reasons given"),
            opt(Choice::Stop, "stop the run; the work stays on its branch"),
        ],
        About::Planning => vec![opt(Choice::Retry, "plan again"), opt(Choice::Stop, "stop the run")],
        About::Budget => {
            vec![
                opt(Choice::Raise, "give the run as much again"),
                opt(Choice::Stop, "stop the run"),
            ]
        }
    }
}
