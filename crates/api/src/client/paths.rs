//! The paths, as methods.

use super::{Client, ClientError, Pieces, query::Query};
use crate::{
    Page,
    audit::{AuditLine, Checked},
    decision::{Decide, DecisionLine},
    meta::{ConfiguredAgent, DoctorLine, Health, Meta, Settings},
    money::{AdviceTable, Budgets, Models, RouteWish, Routed, UsageTable},
    policy::{AskedCommand, AskedPath, PathVerdict, RuleLine, Verdict},
    run::{Because, EventPage, Nothing, Planned, Rerun, RunLine, RunView, Runs, Submission, Tell},
    violation::ViolationLine,
    worker::Worker,
};
use maestria_kernel::{At, DecisionId, RunId, Seq, TaskId, agent::Agent, ledger::UsageBy, workflow::Workflow};

/// The most that one page holds.
const PAGE: u32 = 200;

/// Which runs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// States, and the groups `open` and `finished`.
    pub state: Option<String>,
    /// Looked for in text, id and target.
    pub q: Option<String>,
    /// The newest so many; all if not given.
    pub most: Option<u32>,
}

/// Which entries of the audit trail are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of who did it.
    pub who: Option<String>,
    /// Only what begins so.
    pub what: Option<String>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// The newest so many.
    pub most: u32,
}

/// What is done with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Hold it.
    Pause,
    /// Go on with it.
    Resume,
    /// End it.
    Abort {
        /// Why.
        because: String,
    },
    /// Start what failed again.
    Retry,
    /// Do a task and all that needs it again.
    Rerun {
        /// The first task.
        from: TaskId,
        /// What its agent is told.
        message: Option<String>,
    },
    /// Tell the agent of a task something.
    Tell {
        /// The task.
        task: TaskId,
        /// What is said.
        text: String,
        /// The file it is about.
        file: Option<String>,
        /// The line of the file.
        line: Option<u32>,
    },
    /// Have it reviewed.
    Review,
    /// Bring its work onto the person's branch.
    Apply,
    /// Throw its work away.
    Discard,
}

/// The server, and the machine it is on.
impl Client {
    /// How the server is.
    ///
    /// # Errors
    /// [`ClientError`], as all of them.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get(&Query::of("/api/v1/health")).await
    }

    /// The server, and who asks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn meta(&self) -> Result<Meta, ClientError> {
        self.get(&Query::of("/api/v1/meta")).await
    }

    /// The agents that are configured.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn agents(&self) -> Result<Vec<ConfiguredAgent>, ClientError> {
        self.pages(&Query::of("/api/v1/agents")).await
    }

    /// The agents, each started and asked what it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn probe_agents(&self) -> Result<Vec<Agent>, ClientError> {
        let page: Page<Agent> = self.post("/api/v1/agents/probe", &Nothing {}).await?;
        Ok(page.items)
    }

    /// The workflows.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn workflows(&self) -> Result<Vec<Workflow>, ClientError> {
        self.pages(&Query::of("/api/v1/workflows")).await
    }

    /// What the server's machine lacks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn doctor(&self) -> Result<Vec<DoctorLine>, ClientError> {
        self.pages(&Query::of("/api/v1/doctor")).await
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn config(&self) -> Result<Settings, ClientError> {
        self.get(&Query::of("/api/v1/config")).await
    }
}

/// Runs.
impl Client {
    /// Runs, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn runs(&self, wanted: &RunQuery) -> Result<Vec<RunLine>, ClientError> {
        let query = Query::of("/api/v1/runs")
            .and("state", wanted.state.as_ref())
            .and("q", wanted.q.as_ref())
            .with("limit", wanted.most.unwrap_or(PAGE).clamp(1, PAGE));
        let Some(most) = wanted.most.filter(|most| *most <= PAGE) else {
            return self.pages(&query).await;
        };
        let mut page: Runs = self.get(&query).await?;
        page.items.truncate(most as usize);
        Ok(page.items)
    }

    /// A run, whole.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run(&self, run: RunId) -> Result<RunView, ClientError> {
        self.get(&Query::of(&format!("/api/v1/runs/{run}"))).await
    }

    /// Stores a run; the server begins with it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit(&self, submission: &Submission) -> Result<RunLine, ClientError> {
        self.post("/api/v1/runs", submission).await
    }

    /// The run that a submission would become, up to its plan; nothing is stored.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn plan(&self, submission: &Submission) -> Result<Planned, ClientError> {
        self.post("/api/v1/plans", submission).await
    }

    /// Does something with a run: taken and durable when it returns.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act(&self, run: RunId, act: &Act) -> Result<RunLine, ClientError> {
        let path = |verb: &str| format!("/api/v1/runs/{run}/{verb}");
        match act {
            Act::Pause => self.post(&path("pause"), &Nothing {}).await,
            Act::Resume => self.post(&path("resume"), &Nothing {}).await,
            Act::Abort { because } => {
                let because = because.clone();
                self.post(&path("abort"), &Because { because }).await
            }
            Act::Retry => self.post(&path("retry"), &Nothing {}).await,
            Act::Rerun { from, message } => {
                let (from, message) = (from.to_string(), message.clone());
                self.post(&path("rerun"), &Rerun { from, message }).await
            }
            Act::Tell { task, text, file, line } => {
                let tell = Tell {
                    task: task.to_string(),
                    text: text.clone(),
                    file: file.clone(),
                    line: *line,
                };
                self.post(&path("messages"), &tell).await
            }
            Act::Review => self.post(&path("review"), &Nothing {}).await,
            Act::Apply => self.post(&path("apply"), &Nothing {}).await,
            Act::Discard => self.post(&path("discard"), &Nothing {}).await,
        }
    }

    /// A run's change as a unified diff, or one task's; empty when nothing is changed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn diff(&self, run: RunId, task: Option<TaskId>) -> Result<String, ClientError> {
        let query = Query::of(&format!("/api/v1/runs/{run}/diff")).and("task", task);
        self.text(&query, "text/x-diff").await
    }

    /// A page of a run's events after one of them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, run: RunId, after: Seq, kinds: &[&str]) -> Result<EventPage, ClientError> {
        let kinds = (!kinds.is_empty()).then(|| kinds.join(","));
        let query = Query::of(&format!("/api/v1/runs/{run}/events"))
            .with("after", after.0)
            .with("limit", 2000)
            .and("kinds", kinds);
        self.get(&query).await
    }

    /// Who is at work now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn workers(&self, run: Option<RunId>) -> Result<Vec<Worker>, ClientError> {
        self.pages(&Query::of("/api/v1/workers").and("run", run)).await
    }

    /// What a run's workers did or tried that they may not, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn violations(&self, run: RunId) -> Result<Vec<ViolationLine>, ClientError> {
        let query = Query::of("/api/v1/violations").with("run", run).with("limit", PAGE);
        self.pages(&query).await
    }
}

/// Decisions.
impl Client {
    /// Decisions in a state: `open`, `answered` or `all`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn decisions(&self, state: &str, run: Option<RunId>) -> Result<Vec<DecisionLine>, ClientError> {
        let query = Query::of("/api/v1/decisions").with("state", state).and("run", run);
        self.pages(&query.with("limit", PAGE)).await
    }

    /// A decision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn decision(&self, decision: DecisionId) -> Result<DecisionLine, ClientError> {
        self.get(&Query::of(&format!("/api/v1/decisions/{decision}"))).await
    }

    /// Answers a decision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn decide(&self, decision: DecisionId, answer: &Decide) -> Result<DecisionLine, ClientError> {
        self.post(&format!("/api/v1/decisions/{decision}"), answer).await
    }
}

/// Money and models.
impl Client {
    /// What was used since a moment.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn usage(&self, by: UsageBy, since: At, run: Option<&str>) -> Result<UsageTable, ClientError> {
        let query = Query::of("/api/v1/usage")
            .with("by", by.as_str())
            .with("since", since.0);
        self.get(&query.and("run", run)).await
    }

    /// What calls since a moment would have cost on other models that did as well.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn advice(&self, since: At) -> Result<AdviceTable, ClientError> {
        self.get(&Query::of("/api/v1/usage/advice").with("since", since.0))
            .await
    }

    /// Limits in force, and what is spent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn budgets(&self) -> Result<Budgets, ClientError> {
        self.get(&Query::of("/api/v1/budgets")).await
    }

    /// The models there are.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn models(&self) -> Result<Models, ClientError> {
        self.get(&Query::of("/api/v1/models")).await
    }

    /// Which model would answer; none is called.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn route(&self, wish: &RouteWish) -> Result<Routed, ClientError> {
        self.post("/api/v1/gateway/route", wish).await
    }
}

/// Rules and the audit trail.
impl Client {
    /// The rules in force.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rules(&self) -> Result<Vec<RuleLine>, ClientError> {
        self.pages(&Query::of("/api/v1/policies")).await
    }

    /// What the rules make of a command.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn test_command(&self, command: &str) -> Result<Verdict, ClientError> {
        let command = command.to_owned();
        self.post("/api/v1/policies/test", &AskedCommand { command }).await
    }

    /// What the rules make of a path.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn test_path(&self, asked: &AskedPath) -> Result<PathVerdict, ClientError> {
        self.post("/api/v1/policies/path", asked).await
    }

    /// Entries of the audit trail, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, wanted: &AuditQuery) -> Result<Vec<AuditLine>, ClientError> {
        let query = Query::of("/api/v1/audit")
            .and("who", wanted.who.as_ref())
            .and("what", wanted.what.as_ref())
            .and("run", wanted.run);
        let (mut lines, mut next): (Vec<AuditLine>, Option<String>) = (Vec::new(), None);
        while lines.len() < wanted.most as usize {
            let left = wanted.most - u32::try_from(lines.len()).unwrap_or(wanted.most);
            let query = query.clone().with("limit", left.min(PAGE)).and("cursor", next.as_ref());
            let page: Page<AuditLine> = self.get(&query).await?;
            lines.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        Ok(lines)
    }

    /// The audit trail as it stands, an entry with its seal a line.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_audit(&self) -> Result<Pieces, ClientError> {
        self.pieces(&Query::of("/api/v1/audit"), "application/jsonl").await
    }

    /// Whether the audit trail is as it was written.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn verify_audit(&self) -> Result<Checked, ClientError> {
        self.get(&Query::of("/api/v1/audit/verify")).await
    }
}
