//! Workflows: what stages a run goes through. Workflows are data; the run keeps the one it was started with.

use crate::violation::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A stage of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Makes the plan.
    Plan,
    /// Executes the plan's tasks.
    Edit,
    /// Has each change reviewed by another agent.
    Review,
    /// Runs the project's own checks on the combined tree.
    Validate,
}

/// A workflow: its stages and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Its name, as given to `--workflow`.
    pub name: String,
    /// What it is for, in one sentence.
    pub description: String,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// The plan is one review of an existing change instead of a decomposition of the task.
    #[serde(default)]
    pub reviews_existing: bool,
    /// Its limits.
    #[serde(default)]
    pub limits: Limits,
}

/// The limits of a workflow; all have defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Tasks that run at the same time.
    pub parallel: u16,
    /// Attempts at a task with one agent.
    pub retries: u16,
    /// Rounds of rework after reviews, failed checks or conflicts.
    pub rework_rounds: u16,
    /// Below this confidence, in percent, a person is asked.
    pub confidence_percent: u8,
    /// A task that has run so long without a review gets one, in seconds.
    pub review_after_secs: u64,
    /// First wait before a retry, in milliseconds; doubles each time.
    pub backoff_millis: u64,
    /// Violations of a task after which its worker is stopped and a person decides; 0: never.
    pub violations: u16,
    /// Of one kind, after which its worker is stopped whatever the others are; 0: recorded, and never counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub violations_of: BTreeMap<Kind, u16>,
    /// A decision nobody makes expires after so many seconds.
    pub decision_expires_secs: u64,
    /// Leave that a worker has not made use of expires after so many seconds.
    pub approval_expires_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 4,
            retries: 3,
            rework_rounds: 2,
            confidence_percent: 70,
            review_after_secs: 15 * 60,
            backoff_millis: 2_000,
            violations: 5,
            violations_of: BTreeMap::new(),
            decision_expires_secs: 7 * 24 * 3600,
            approval_expires_secs: 3600,
        }
    }
}

impl Limits {
    /// The wait before attempt number `attempt` (from 2 on): doubled each time, at most five minutes.
    pub fn backoff(&self, attempt: u16) -> Duration {
        let doublings = u32::from(attempt.saturating_sub(2)).min(16);
        Duration::from_millis(self.backoff_millis.saturating_mul(1 << doublings).min(300_000))
    }
}

/// A workflow that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowError {
    /// The first stage must be `plan`.
    #[error("workflow `{0}` must begin with the stage `plan`")]
    NoPlan(String),
    /// A stage twice, or out of order.
    #[error("workflow `{name}` has the stages out of order at `{stage:?}`; the order is plan, edit, review, validate")]
    Order {
        /// The workflow.
        name: String,
        /// The stage that is out of place.
        stage: Stage,
    },
    /// A limit of zero.
    #[error("workflow `{name}`: `{limit}` must be at least 1")]
    Zero {
        /// The workflow.
        name: String,
        /// The limit.
        limit: &'static str,
    },
    /// More than a hundred percent.
    #[error("workflow `{name}`: confidence_percent is {given}; it is a percentage from 0 to 100")]
    Confidence {
        /// The workflow.
        name: String,
        /// What was given.
        given: u8,
    },
}

impl Workflow {
    /// Whether it has a stage.
    pub fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }

    /// Checks that the workflow makes sense.
    ///
    /// # Errors
    /// [`WorkflowError`] names what contradicts what.
    pub fn check(&self) -> Result<(), WorkflowError> {
        let name = || self.name.clone();
        if self.stages.first() != Some(&Stage::Plan) {
            return Err(WorkflowError::NoPlan(name()));
        }
        if let Some(pair) = self.stages.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(WorkflowError::Order {
                name: name(),
                stage: pair[1],
            });
        }
        let positive = [("parallel", self.limits.parallel), ("retries", self.limits.retries)];
        if let Some((limit, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(WorkflowError::Zero { name: name(), limit });
        }
        if self.limits.confidence_percent > 100 {
            return Err(WorkflowError::Confidence {
                name: name(),
                given: self.limits.confidence_percent,
            });
        }
        Ok(())
    }
}
