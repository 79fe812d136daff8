//! A request: what a person asked for, as it was understood when the run was submitted.

use crate::{
    id::{AgentName, CommitId},
    money::Cost,
    plan::shares::Band,
    workflow::Workflow,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest task text taken, in bytes.
pub const LONGEST_TASK: usize = 256 * 1024;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// The task in the person's words.
    pub text: String,
    /// The folder to work on, absolute.
    pub target: String,
    /// The session workspace (capability O5), absolute.
    pub workspace: String,
    /// The stages to go through.
    pub workflow: Workflow,
    /// Only these agents, in this order of preference; empty: all that are configured and usable.
    #[serde(default)]
    pub agents: Vec<AgentName>,
    /// The most the run may cost.
    #[serde(default)]
    pub budget: Option<Cost>,
    /// The shares the vendors should have.
    #[serde(default)]
    pub shares: Vec<Band>,
    /// Who asked, for the log.
    pub by: String,
}

impl Request {
    /// The project that its calls count for: the name of the target folder, nothing for a root.
    pub fn project(&self) -> Option<String> {
        let name = std::path::Path::new(&self.target).file_name()?;
        Some(name.to_string_lossy().into_owned())
    }
}

/// Why a task text is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTask {
    /// Nothing but white space.
    #[error("the task is empty; say what is to be done, for example: maestria run \"Add a --json flag to status\"")]
    Empty,
    /// Longer than [`LONGEST_TASK`].
    #[error(
        "the task text is {0} bytes long; at most {LONGEST_TASK} are taken (put the details into a file and name it)"
    )]
    TooLong(usize),
    /// A NUL byte.
    #[error("the task text contains a NUL byte")]
    Nul,
}

/// Checks a task text.
///
/// # Errors
/// [`BadTask`] says what is wrong with it.
pub fn check_task(text: &str) -> Result<(), BadTask> {
    if text.trim().is_empty() {
        return Err(BadTask::Empty);
    }
    if text.len() > LONGEST_TASK {
        return Err(BadTask::TooLong(text.len()));
    }
    if text.contains('\0') {
        return Err(BadTask::Nul);
    }
    Ok(())
}

/// The ground a run stands on: where its work starts and where it is gathered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ground {
    /// The repository's top folder (the target itself, or the copy made of a folder without git).
    pub repository: String,
    /// The commit all work starts from: the target's HEAD, or a snapshot of its dirty tree.
    pub base: CommitId,
    /// The branch the person was on; `None` when HEAD was detached.
    pub branch: Option<String>,
    /// The branch that gathers the work.
    pub integration: String,
    /// Things a person should know: a dirty tree was included, submodules are not filled in, …
    #[serde(default)]
    pub notes: Vec<String>,
}
