//! Runs: the list, one of them, and what a person can do with it.

use super::{
    Shared, State,
    access::Caller,
    ask::{Args, Body, limit, words},
    graph,
    problem::Refusal,
    reply::{self, Answer},
};
use crate::{Wish, app::AppError};
use axum::{
    Extension,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use maestria_api::{
    problem::Code,
    run::{Action, Because, Nothing, Rerun, RunLine, RunView, Runs, Submission},
};
use maestria_kernel::{
    AgentName, At, Command, Run, RunId, TaskId, TaskKey, decide, plan::Estimate, port::RunRow, progress::progress,
    request, state::RunState,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    path::PathBuf,
};

/// The parameters of the list.
#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// States, and the groups `open` and `finished`, with commas between.
    state: Option<String>,
    /// Looked for in text, id and target.
    q: Option<String>,
    /// The workflow's name.
    workflow: Option<String>,
    /// The target folder.
    target: Option<String>,
    /// Created then or later, milliseconds since 1970.
    since: Option<i64>,
    /// Created then or earlier, milliseconds since 1970.
    until: Option<i64>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

const FINISHED: [&str; 3] = ["completed", "failed", "aborted"];

impl Filter {
    /// Everything but the state.
    fn fits(&self, row: &RunRow) -> bool {
        let has = |text: &str, part: &String| text.to_lowercase().contains(&part.to_lowercase());
        self.q
            .as_ref()
            .is_none_or(|q| has(&row.text, q) || has(&row.id.to_string(), q) || has(&row.target, q))
            && self.workflow.as_ref().is_none_or(|w| &row.workflow == w)
            && self.target.as_ref().is_none_or(|t| &row.target == t)
            && self.since.is_none_or(|since| row.created_at >= At(since))
            && self.until.is_none_or(|until| row.created_at <= At(until))
    }

    fn states(&self) -> Result<Vec<String>, Refusal> {
        let words = words(self.state.as_deref());
        let known = |word: &String| {
            matches!(word.as_str(), "open" | "finished") || RunState::ALL.iter().any(|state| state.as_str() == word)
        };
        match words.iter().find(|word| !known(word)) {
            Some(word) => Err(Refusal::new(Code::BadValue, format!("there is no state `{word}`"))
                .field("state")
                .hint(
                    "open, finished, planning, executing, validating, escalated, paused, completed, failed, aborted",
                )),
            None => Ok(words),
        }
    }
}

fn takes(states: &[String], state: &str) -> bool {
    let finished = FINISHED.contains(&state);
    states.is_empty()
        || states.iter().any(|wanted| match wanted.as_str() {
            "open" => !finished,
            "finished" => finished,
            word => word == state,
        })
}

/// A place in a list that belongs to one query.
pub(super) fn cursor(query: &impl std::hash::Hash, last: &str) -> String {
    let mut hasher = DefaultHasher::new();
    query.hash(&mut hasher);
    format!("{:016x}.{last}", hasher.finish())
}

/// What a cursor of this query points behind.
pub(super) fn behind(query: &impl std::hash::Hash, given: &str) -> Result<String, Refusal> {
    let wrong = || {
        Refusal::new(Code::BadCursor, "the cursor is of another query")
            .field("cursor")
            .hint("repeat the request that gave it, with nothing else changed")
    };
    let (_, last) = given.split_once('.').ok_or_else(wrong)?;
    if cursor(query, last) == given {
        Ok(last.to_owned())
    } else {
        Err(wrong())
    }
}

/// `GET /runs`
pub(super) async fn list(shared: State, headers: HeaderMap, Args(mut filter): Args<Filter>) -> Answer {
    let most = limit(filter.limit, 50, 200)?;
    let states = filter.states()?;
    let given = filter.cursor.take();
    let after = given.map(|given| behind(&filter, &given)).transpose()?;
    let rows = shared.app.engine.store().runs().await?;
    let fitting: Vec<RunRow> = rows.into_iter().filter(|row| filter.fits(row)).collect();
    let mut counts = BTreeMap::new();
    for row in &fitting {
        *counts.entry(row.state.clone()).or_insert(0) += 1;
    }
    let wanted: Vec<RunRow> = fitting.into_iter().filter(|row| takes(&states, &row.state)).collect();
    let begin = match &after {
        Some(last) => wanted
            .iter()
            .position(|row| &row.id.to_string() == last)
            .map_or(0, |place| place + 1),
        None => 0,
    };
    let page = wanted.iter().skip(begin).take(most);
    let next = (wanted.len() > begin + most)
        .then(|| {
            wanted
                .get(begin + most - 1)
                .map(|row| cursor(&filter, &row.id.to_string()))
        })
        .flatten();
    let mut items = Vec::new();
    for row in page {
        items.extend(line(&shared, row.id).await?);
    }
    reply::json(&headers, &Runs { items, next, counts })
}

/// A run as lists show it.
async fn line(shared: &Shared, id: RunId) -> Result<Option<RunLine>, Refusal> {
    let view = shared.views.get(id).await?;
    Ok(view.map(|view| line_of(shared, &view.run)))
}

fn line_of(shared: &Shared, run: &Run) -> RunLine {
    let driven = shared.app.is_driven(run.id);
    RunLine {
        row: maestria_engine::row(run),
        driven,
        actions: actions(run, driven),
    }
}

/// What a run's state takes now, by asking the kernel.
fn actions(run: &Run, driven: bool) -> Vec<Action> {
    let now = crate::now();
    let by = String::new;
    let takes = |command: &Command| decide(run, command, now).is_ok();
    let first = run.ordered().first().map(|task| task.plan.id);
    let left = !run.state.is_finished() && !driven;
    let fits = [
        (Action::Pause, takes(&Command::Pause { by: by() })),
        (Action::Resume, takes(&Command::Resume { by: by() }) || left),
        (
            Action::Abort,
            takes(&Command::Abort {
                by: by(),
                because: String::new(),
            }),
        ),
        (Action::Retry, takes(&Command::Retry { by: by() })),
        (
            Action::Rerun,
            first.is_some_and(|from| takes(&Command::Rerun { from, by: by() })),
        ),
        (Action::Review, takes(&Command::RequestReview { by: by() })),
        (Action::Apply, takes(&Command::Apply { by: by() })),
        (Action::Discard, takes(&Command::Discard { by: by() })),
    ];
    fits.into_iter()
        .filter(|(_, fits)| *fits)
        .map(|(action, _)| action)
        .collect()
}

/// The run that a path names.
pub(super) async fn find(shared: &Shared, given: &str) -> Result<RunId, Refusal> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let tail = given.strip_prefix("run_").unwrap_or(given);
    let plausible = given == "last" || (tail.len() >= 4 && tail.bytes().all(|b| b.is_ascii_hexdigit()));
    if !plausible {
        let what = format!("`{given}` is no run's id");
        return Err(
            Refusal::new(Code::BadId, what).hint("`run_` and 32 hexadecimal digits, the end of that, or `last`")
        );
    }
    shared.app.find(given).await.map_err(|error| match error {
        AppError::Store(error) => error.into(),
        other => Refusal::new(Code::UnknownRun, other.to_string()),
    })
}

pub(super) fn unknown(id: RunId) -> Refusal {
    Refusal::new(Code::UnknownRun, format!("there is no run {id}")).hint("`maestria runs` lists them")
}

/// The task that somebody means: its id or its key.
pub(super) fn task(run: &Run, given: &str) -> Result<TaskId, Refusal> {
    let by_id = given.parse().ok().filter(|id| run.tasks.contains_key(id));
    let by_key = || run.by_key(&TaskKey::new(given.to_uppercase())).map(|task| task.plan.id);
    by_id.or_else(by_key).ok_or_else(|| {
        let keys: Vec<String> = run.ordered().iter().map(|t| t.plan.key.to_string()).collect();
        Refusal::new(Code::UnknownTask, format!("{} has no task `{given}`", run.id))
            .hint(format!("it has {}", keys.join(", ")))
    })
}

/// `GET /runs/{run}`
pub(super) async fn show(shared: State, headers: HeaderMap, Path(given): Path<String>) -> Answer {
    let id = find(&shared, &given).await?;
    // Asked before the run is read: whatever comes later is in the stream.
    let number = shared.app.engine.store().newest().await?;
    let view = shared.views.get(id).await?.ok_or_else(|| unknown(id))?;
    let run = view.run.clone();
    drop(view);
    let line = line_of(&shared, &run);
    let (driven, actions) = (line.driven, line.actions.clone());
    let answer = RunView {
        progress: progress(&run, crate::now()),
        graph: graph::lay_out(&run),
        estimate: estimate(&run),
        line,
        number,
        driven,
        actions,
        run,
    };
    reply::json(&headers, &answer)
}

fn estimate(run: &Run) -> Option<Estimate> {
    let (summary, source) = run.plan.clone()?;
    let plan = maestria_kernel::plan::Plan {
        summary,
        source,
        tasks: run.ordered().into_iter().map(|task| (*task.plan).clone()).collect(),
    };
    Some(plan.estimate())
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Part {
    /// Only this task's: its id or key.
    task: Option<String>,
}

/// `GET /runs/{run}/diff`
pub(super) async fn diff(shared: State, Path(given): Path<String>, Args(part): Args<Part>) -> Answer {
    let id = find(&shared, &given).await?;
    let run = shared.views.get(id).await?.ok_or_else(|| unknown(id))?.run.clone();
    let task = part.task.map(|given| task(&run, &given)).transpose()?;
    if run.ground.is_none() {
        return Ok(reply::plain(StatusCode::OK, String::new(), DIFF));
    }
    match shared.app.engine.ports().repository.diff(&run, task).await {
        Ok(text) => Ok(reply::plain(StatusCode::OK, text, DIFF)),
        // Nothing is changed yet, or nothing any more.
        Err(error) if error.what.contains("no change yet") => Ok(reply::plain(StatusCode::OK, String::new(), DIFF)),
        Err(error) => Err(Refusal::new(Code::WrongState, error.what).hint(error.hint)),
    }
}

const DIFF: &str = "text/x-diff; charset=utf-8";

/// `POST /runs`
pub(super) async fn submit(
    shared: State,
    Extension(caller): Extension<Caller>,
    Body(submission): Body<Submission>,
) -> Answer {
    let id = begin(&shared, caller.name, submission).await?;
    let line = line(&shared, id).await?.ok_or_else(|| unknown(id))?;
    let mut response = reply::done(StatusCode::CREATED, &line)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/runs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Stores a new run and begins to drive it.
pub(super) async fn begin(shared: &Shared, by: String, submission: Submission) -> Result<RunId, Refusal> {
    if !shared.host.takes_runs() {
        let what = "this server goes with the run it stands beside and drives no other";
        return Err(Refusal::new(Code::WrongState, what).hint("`maestria serve` starts one that stays"));
    }
    request::check_task(&submission.text).map_err(|bad| Refusal::new(Code::BadTask, bad.to_string()).field("text"))?;
    let target = PathBuf::from(&submission.target);
    if !target.is_absolute() || !target.is_dir() {
        let what = format!("`{}` is no folder that is named absolutely", submission.target);
        return Err(Refusal::new(Code::BadTarget, what).field("target"));
    }
    let workspace = submission.workspace.map(PathBuf::from);
    if workspace.as_ref().is_some_and(|folder| !folder.is_absolute()) {
        return Err(Refusal::new(Code::BadValue, "the workspace is named absolutely").field("workspace"));
    }
    if submission.budget.is_some_and(|budget| budget.0 <= 0) {
        return Err(Refusal::new(Code::BadValue, "a budget is more than nothing").field("budget"));
    }
    let wish = Wish {
        text: submission.text,
        target,
        workspace,
        workflow: submission.workflow.unwrap_or_else(|| "develop".to_owned()),
        agents: submission.agents.into_iter().map(AgentName::new).collect(),
        budget: submission.budget,
        by,
    };
    let request = shared.app.request(wish).map_err(app_refusal)?;
    shared.app.check_day_budget().await.map_err(app_refusal)?;
    let id = shared.app.engine.submit(request).await?;
    shared.host.drive(id);
    Ok(id)
}

/// What the product says no to, as the API does.
pub(super) fn app_refusal(error: AppError) -> Refusal {
    match error {
        AppError::Store(error) => error.into(),
        AppError::Engine(error) => error.into(),
        AppError::NotFound(what) => Refusal::new(Code::BadValue, what),
        other @ (AppError::Config(_) | AppError::Folder { .. }) => Refusal::new(Code::WrongState, other.to_string()),
    }
}

/// Sends a command and sees to it that what it owes is done.
async fn act(shared: &Shared, given: &str, command: impl FnOnce(&Run) -> Result<Option<Command>, Refusal>) -> Answer {
    let id = find(shared, given).await?;
    let run = shared.views.get(id).await?.ok_or_else(|| unknown(id))?.run.clone();
    if let Some(command) = command(&run)? {
        shared.app.engine.send(id, command).await?;
    }
    shared.host.drive(id);
    let line = line(shared, id).await?.ok_or_else(|| unknown(id))?;
    reply::done(StatusCode::ACCEPTED, &line)
}

/// `POST /runs/{run}/pause`
pub(super) async fn pause(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |_| Ok(Some(Command::Pause { by: caller.name }))).await
}

/// `POST /runs/{run}/resume`: after a pause, or when nobody drives it.
pub(super) async fn resume(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |run| {
        let left = !run.state.is_finished() && !matches!(run.state, RunState::Paused(_));
        let command = Command::Resume { by: caller.name };
        Ok((!left).then_some(command))
    })
    .await
}

/// `POST /runs/{run}/abort`
pub(super) async fn abort(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(why): Body<Because>,
) -> Answer {
    let command = Command::Abort {
        by: caller.name,
        because: why.because,
    };
    act(&shared, &run, |_| Ok(Some(command))).await
}

/// `POST /runs/{run}/retry`
pub(super) async fn retry(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |_| Ok(Some(Command::Retry { by: caller.name }))).await
}

/// `POST /runs/{run}/rerun`
pub(super) async fn rerun(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(rerun): Body<Rerun>,
) -> Answer {
    act(&shared, &run, |run| {
        let from = task(run, &rerun.from)?;
        Ok(Some(Command::Rerun { from, by: caller.name }))
    })
    .await
}

/// `POST /runs/{run}/review`
pub(super) async fn review(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |_| Ok(Some(Command::RequestReview { by: caller.name }))).await
}

/// `POST /runs/{run}/apply`
pub(super) async fn apply(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |_| Ok(Some(Command::Apply { by: caller.name }))).await
}

/// `POST /runs/{run}/discard`
pub(super) async fn discard(
    shared: State,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, |_| Ok(Some(Command::Discard { by: caller.name }))).await
}
