//! Runs and their decisions: looked at, and acted on.

use super::{Feed, Here, News, Place};
use crate::command::{Failure, by};
use maestria_api::{
    client::{Act, RunQuery},
    decision::Decide,
    run::Submission,
};
use maestria_kernel::{
    Command, DecisionId, Event, Run, RunId, Seq, TaskId,
    decision::{Choice, Decision},
    message::Message,
    port::{Numbered, RunRow},
};
use maestria_server::{EngineError, Leave, Patience, States, Wish, named};
use std::{path::Path, time::Duration};
use tokio::sync::watch;

/// Events read at once.
const PAGE: u32 = 2048;

/// How long it is waited for what a command brings about.
const OUTCOME: Duration = Duration::from_secs(1800);

impl Place {
    /// Runs in these states, newest first, so many at most.
    pub(crate) async fn runs(&self, states: &States, most: usize) -> Result<Vec<RunRow>, Failure> {
        match self {
            Self::Here(here) => Ok(here.app().await?.runs(states, most).await?),
            Self::There(client) => {
                let query = RunQuery {
                    state: (!states.is_all()).then(|| states.to_string()),
                    most: u32::try_from(most).ok(),
                    ..RunQuery::default()
                };
                let lines = client.runs(&query).await?;
                Ok(lines.into_iter().map(|line| line.row).take(most).collect())
            }
        }
    }

    /// The run that a person means: its id, the end of it, or `last`.
    pub(crate) async fn find(&self, given: &str) -> Result<RunId, Failure> {
        let found = match self {
            Self::Here(here) => here.app().await?.find(given).await,
            Self::There(client) => {
                let is_last = given == "last";
                let query = RunQuery {
                    q: (!is_last).then(|| given.trim_start_matches("run_").to_owned()),
                    most: is_last.then_some(1),
                    ..RunQuery::default()
                };
                let lines = client.runs(&query).await?;
                let rows: Vec<RunRow> = lines.into_iter().map(|line| line.row).collect();
                named(&rows, given)
            }
        };
        found.map_err(|e| Failure::user(e.to_string(), "`maestria runs` lists them"))
    }

    /// The newest run that is not finished.
    pub(crate) async fn last_unfinished(&self) -> Result<Option<RunId>, Failure> {
        match self {
            Self::Here(here) => Ok(here.app().await?.last_unfinished().await?),
            Self::There(client) => {
                let query = RunQuery {
                    state: Some("open".to_owned()),
                    most: Some(1),
                    ..RunQuery::default()
                };
                Ok(client.runs(&query).await?.first().map(|line| line.row.id))
            }
        }
    }

    /// A run as it is now.
    pub(crate) async fn load(&self, run: RunId) -> Result<Run, Failure> {
        match self {
            Self::Here(here) => Ok(here.app().await?.engine.load(run).await?),
            Self::There(client) => Ok(client.run(run).await?.run),
        }
    }

    /// Events of a run after one of them, of these kinds or of all; none at the end.
    pub(crate) async fn events(&self, run: RunId, mut after: Seq, kinds: &[&str]) -> Result<Vec<Numbered>, Failure> {
        let store = match self {
            Self::Here(here) => here.app().await?.engine.store(),
            Self::There(client) => return Ok(client.events(run, after, kinds).await?.items),
        };
        loop {
            let mut page = store.numbered(run, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(page) };
            after = last.stored.seq;
            page.retain(|event| kinds.is_empty() || kinds.contains(&event.stored.event.kind()));
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// What a run, or one of its tasks, has changed; empty when nothing is.
    pub(crate) async fn diff(&self, run: &Run, task: Option<TaskId>) -> Result<String, Failure> {
        match self {
            Self::Here(_) if run.ground.is_none() => Ok(String::new()),
            Self::Here(here) => {
                let repository = &here.app().await?.engine.ports().repository;
                match repository.diff(run, task).await {
                    Err(error) if error.what.contains("no change yet") => Ok(String::new()),
                    read => read.map_err(|e| Failure::user(e.what, e.hint)),
                }
            }
            Self::There(client) => Ok(client.diff(run.id, task).await?),
        }
    }

    /// Stores a run. Here nobody drives it yet; a server begins at once.
    pub(crate) async fn submit(&self, wish: Wish) -> Result<RunId, Failure> {
        match self {
            Self::Here(here) => {
                let app = here.app().await?;
                let request = app.request(wish)?;
                app.check_day_budget().await?;
                Ok(app.engine.submit(request).await?)
            }
            Self::There(client) => Ok(client.submit(&submission(&wish)).await?.row.id),
        }
    }

    /// The run that a wish would become, up to its plan: nothing is stored, no branch is made.
    pub(crate) async fn plan(&self, wish: Wish) -> Result<Run, Failure> {
        match self {
            Self::Here(here) => {
                let app = here.app().await?;
                let request = app.request(wish)?;
                if !Path::new(&request.target).is_dir() {
                    let what = format!("the target {} is not a folder", request.target);
                    return Err(Failure::user(what, "name an existing folder with --target"));
                }
                Ok(app.plan(request).await?)
            }
            Self::There(client) => Ok(client.plan(&submission(&wish)).await?.run),
        }
    }

    /// Does something with a run; what comes of it is in its events.
    pub(crate) async fn act(&self, run: RunId, act: Act) -> Result<(), Failure> {
        match self {
            Self::Here(here) => Ok(here.app().await?.engine.send(run, command(act)).await?),
            Self::There(client) => Ok(client.act(run, &act).await.map(drop)?),
        }
    }

    /// The event that a command has brought about after `since`; none when somebody else is still at it.
    pub(crate) async fn outcome(
        &self,
        run: RunId,
        since: Seq,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<Option<Event>, Failure> {
        if let Self::Here(here) = self {
            settle(here, run).await?;
        }
        let mut feed = Feed::of_run(self, run, since).await?;
        let looking = async {
            loop {
                match feed.next().await? {
                    News::Events(page) => {
                        if let Some(found) = page.into_iter().find(|event| is_it(&event.stored.event)) {
                            return Ok(Some(found.stored.event));
                        }
                    }
                    News::UpToDate if matches!(self, Self::Here(_)) => return Ok(None),
                    News::UpToDate => {}
                }
            }
        };
        tokio::time::timeout(OUTCOME, looking).await.unwrap_or(Ok(None))
    }

    /// Decisions that wait for a person, those that expire first first.
    pub(crate) async fn open_decisions(&self) -> Result<Vec<(RunId, Decision)>, Failure> {
        let mut open: Vec<(RunId, Decision)> = match self {
            Self::Here(here) => {
                let open = here.app().await?.open_decisions().await?;
                open.into_iter().map(|(run, decision)| (run.id, decision)).collect()
            }
            Self::There(client) => {
                let lines = client.decisions("open", None).await?;
                lines.into_iter().map(|line| (line.run, line.decision)).collect()
            }
        };
        open.sort_by_key(|(_, decision)| decision.expires_at);
        Ok(open)
    }

    /// Answers a decision: with a choice, or by the first option or the last. Whether somebody goes on with the run now.
    pub(crate) async fn answer(
        &self,
        run: RunId,
        decision: DecisionId,
        choice: Option<Choice>,
        approve: bool,
        because: String,
    ) -> Result<bool, Failure> {
        match self {
            Self::Here(here) => {
                let app = here.app().await?;
                let by = by();
                let command = Command::Answer {
                    decision,
                    choice,
                    approve,
                    by,
                    because,
                };
                app.engine.send(run, command).await?;
                Ok(app.is_driven(run))
            }
            Self::There(client) => {
                let answer = Decide {
                    choice,
                    approve: choice.is_none().then_some(approve),
                    because,
                };
                client.decide(decision, &answer).await?;
                Ok(true)
            }
        }
    }
}

/// Performs what a command owes, when nobody else does.
async fn settle(here: &Here, run: RunId) -> Result<(), Failure> {
    let (_stay, leave) = watch::channel(Leave::No);
    match here.app().await?.engine.drive(run, Patience::Leave, leave).await {
        Ok(_) | Err(EngineError::Lease(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn command(act: Act) -> Command {
    let by = by();
    match act {
        Act::Pause => Command::Pause { by },
        Act::Resume => Command::Resume { by },
        Act::Abort { because } => Command::Abort { by, because },
        Act::Retry => Command::Retry { by },
        Act::Rerun { from, message } => Command::Rerun {
            from,
            message: message.map(|text| said(&by, text, None, None)),
            by,
        },
        Act::Tell { task, text, file, line } => Command::Tell {
            task,
            message: said(&by, text, file, line),
        },
        Act::Review => Command::RequestReview { by },
        Act::Apply => Command::Apply { by },
        Act::Discard => Command::Discard { by },
    }
}

fn said(by: &str, text: String, file: Option<String>, line: Option<u32>) -> Box<Message> {
    let by = by.to_owned();
    Box::new(Message { by, text, file, line })
}

/// A wish as a server takes it: folders are on the server's machine, and named absolutely.
fn submission(wish: &Wish) -> Submission {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .display()
            .to_string()
    };
    Submission {
        text: wish.text.clone(),
        target: absolute(&wish.target),
        workspace: wish.workspace.as_deref().map(absolute),
        workflow: Some(wish.workflow.clone()),
        agents: wish.agents.iter().map(ToString::to_string).collect(),
        budget: wish.budget,
    }
}
