//! What is shown of runs, made once: of a run for each state that it is in, of a list for each change of anything. A tag
//! names what its answer was made of, so that who has the answer is told so without its being made again.

use super::{graph, problem::Refusal, reply};
use crate::{
    host::{Standing, works},
    lists::QUEUED,
    stream::view::View,
};
use axum::body::Bytes;
use maestria_api::run::{Action, Graph, RunLine};
use maestria_kernel::{
    Command, Run, RunId, Seq, TaskId, decide,
    message::Message,
    plan::Estimate,
    port::RunRow,
    progress::{Progress, progress},
};
use serde::Serialize;
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Runs that are kept, and lists.
const MOST_RUNS: usize = 512;
const MOST_LISTS: usize = 64;

/// The state that lists show.
pub(super) fn state_word(state: &str, queued: bool) -> &str {
    if queued && works(state) { QUEUED } else { state }
}

/// A run as its newest event left it.
#[derive(Debug)]
pub(super) struct Shown {
    seq: Seq,
    row: RunRow,
    is_finished: bool,
    /// What its state takes, whoever drives it.
    takes: [(Action, bool); 9],
    /// The part of the whole run that only events change, as JSON without the last brace.
    lasting: OnceLock<String>,
    /// The last whole answer, and its tag.
    whole: Mutex<Option<(String, Bytes)>>,
}

/// What of a run only events change.
#[derive(Serialize)]
struct Lasting<'a> {
    #[serde(flatten)]
    run: &'a Run,
    graph: Graph,
    estimate: Option<Estimate>,
}

/// What else may change.
#[derive(Serialize)]
struct Passing {
    line: RunLine,
    number: u64,
    progress: Progress,
    driven: bool,
    actions: Vec<Action>,
}

impl Shown {
    pub(super) fn new(run: &Run) -> Self {
        Self {
            seq: run.seq,
            row: maestria_engine::row(run),
            is_finished: run.state.is_finished(),
            takes: takes(run),
            lasting: OnceLock::new(),
            whole: Mutex::default(),
        }
    }

    /// The run as lists show it.
    pub(super) fn line(&self, standing: Standing) -> RunLine {
        let mut row = self.row.clone();
        let queued = standing.queued && works(&row.state);
        if queued {
            QUEUED.clone_into(&mut row.state);
        }
        let left = !self.is_finished && !standing.driven && !queued;
        let fits = self
            .takes
            .iter()
            .filter(|(action, fits)| *fits || (left && *action == Action::Resume));
        RunLine {
            row,
            driven: standing.driven,
            actions: fits.map(|(action, _)| *action).collect(),
        }
    }

    /// The whole run, with what is known up to a number, and the tag of that.
    pub(super) fn whole(&self, run: &Run, number: u64, standing: Standing) -> Result<(String, Bytes), Refusal> {
        let now = crate::now();
        // How far a run is that goes on is another thing at each moment.
        let moment = if self.is_finished { 0 } else { now.0 };
        let tag = tag(&(self.seq.0, number, moment, standing));
        if let Some((kept, body)) = &*self.whole.lock().unwrap_or_else(PoisonError::into_inner)
            && *kept == tag
        {
            return Ok((tag, body.clone()));
        }
        let line = self.line(standing);
        let passing = reply::encode(&Passing {
            number,
            progress: progress(run, now),
            driven: line.driven,
            actions: line.actions.clone(),
            line,
        })?;
        let lasting = self.lasting(run)?;
        let body = Bytes::from([lasting, ",", passing.trim_start_matches('{')].concat());
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = Some((tag.clone(), body.clone()));
        Ok((tag, body))
    }

    fn lasting(&self, run: &Run) -> Result<&str, Refusal> {
        if let Some(text) = self.lasting.get() {
            return Ok(text);
        }
        let mut text = reply::encode(&Lasting {
            run,
            graph: graph::lay_out(run),
            estimate: estimate(run),
        })?;
        text.pop();
        Ok(self.lasting.get_or_init(|| text))
    }
}

/// What a run's state takes now, by asking the kernel.
fn takes(run: &Run) -> [(Action, bool); 9] {
    let now = crate::now();
    let by = String::new;
    let takes = |command: &Command| decide(run, command, now).is_ok();
    let first = run.ordered().first().map(|task| task.plan.id);
    let because = String::new();
    [
        (Action::Pause, takes(&Command::Pause { by: by() })),
        (Action::Resume, takes(&Command::Resume { by: by() })),
        (Action::Abort, takes(&Command::Abort { by: by(), because })),
        (Action::Retry, takes(&Command::Retry { by: by() })),
        (
            Action::Rerun,
            first.is_some_and(|from| {
                takes(&Command::Rerun {
                    from,
                    message: None,
                    by: by(),
                })
            }),
        ),
        (Action::Tell, run.tasks.keys().any(|task| takes(&tell(*task)))),
        (Action::Review, takes(&Command::RequestReview { by: by() })),
        (Action::Apply, takes(&Command::Apply { by: by() })),
        (Action::Discard, takes(&Command::Discard { by: by() })),
    ]
}

/// Whether somebody would hear of it.
fn tell(task: TaskId) -> Command {
    let message = Message {
        by: String::new(),
        text: "?".to_owned(),
        file: None,
        line: None,
    };
    Command::Tell {
        task,
        message: Box::new(message),
    }
}

/// What a run's whole plan is expected to take.
pub(super) fn estimate(run: &Run) -> Option<Estimate> {
    let (summary, source) = run.plan.clone()?;
    let plan = maestria_kernel::plan::Plan {
        summary,
        source,
        tasks: run.ordered().into_iter().map(|task| (*task.plan).clone()).collect(),
    };
    Some(plan.estimate())
}

/// A strong tag of what an answer was made of. Another process may write the same things otherwise.
pub(super) fn tag(of: &impl Hash) -> String {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    let keys = KEYS.get_or_init(RandomState::new);
    format!("\"{:016x}{:016x}\"", keys.hash_one((0, of)), keys.hash_one((1, of)))
}

/// What was shown last.
#[derive(Debug, Default)]
pub(crate) struct Gallery {
    runs: Mutex<HashMap<RunId, Arc<Shown>>>,
    lists: Mutex<HashMap<String, Arc<List>>>,
}

/// A page of a list, and what it was made of.
#[derive(Debug)]
pub(super) struct List {
    /// Up to this number, and this change of who is at work.
    pub(super) made_of: (u64, u64),
    pub(super) runs: Vec<(RunId, Standing)>,
    pub(super) tag: String,
    pub(super) body: Bytes,
}

impl Gallery {
    /// A run as it is.
    pub(super) fn run(&self, view: &View) -> Arc<Shown> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = runs.get(&view.run.id)
            && shown.seq == view.run.seq
        {
            return shown.clone();
        }
        if runs.len() >= MOST_RUNS && !runs.contains_key(&view.run.id) {
            // Ids sort by age: the oldest is wanted least.
            let oldest = runs.keys().min().copied();
            oldest.map(|oldest| runs.remove(&oldest));
        }
        let shown = Arc::new(Shown::new(&view.run));
        runs.insert(view.run.id, shown.clone());
        shown
    }

    /// The list that a query gave last.
    pub(super) fn list(&self, query: &str) -> Option<Arc<List>> {
        self.lists
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(query)
            .cloned()
    }

    /// Keeps a list for the next who asks the same.
    pub(super) fn keep(&self, query: String, list: Arc<List>) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= MOST_LISTS {
            lists.clear();
        }
        lists.insert(query, list);
    }
}

#[cfg(test)]
mod tests;
