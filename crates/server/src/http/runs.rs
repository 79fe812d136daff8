//! Runs: the list, one of them, and what a person can do with it.

use super::{
    Shared, State,
    access::Caller,
    ask::{Args, Body, limit},
    problem::Refusal,
    repeats::{self, Key},
    reply::{self, Answer},
    shown::{self, List, state_word},
};
use crate::{
    app::AppError,
    lists::{States, UnknownState},
    stream::rows::Kept,
};
use axum::{
    Extension,
    body::Bytes,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode},
};
use maestria_api::{
    problem::Code,
    run::{Because, Nothing, Rerun, RunLine, Runs, Tell},
};
use maestria_kernel::{At, Command, Run, RunId, TaskId, TaskKey, message::Message, port::RunRow, state::RunState};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
};

/// The parameters of the list.
#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// States, `queued`, and the groups `open` and `finished`, with commas between.
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

    fn states(&self) -> Result<States, Refusal> {
        let named = self.state.as_deref().unwrap_or_default();
        States::parse(named).map_err(|unknown| {
            Refusal::new(Code::BadValue, unknown.to_string())
                .field("state")
                .hint(UnknownState::HINT)
        })
    }
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
    let query = format!("{filter:?}");
    let given = filter.cursor.take();
    let after = given.map(|given| behind(&filter, &given)).transpose()?;
    let after = after.and_then(|id| id.parse().ok());
    let version = shared.host.version();
    let known = shared.gallery.list(&query);
    let picked = shared.rows.read(|kept| match known {
        Some(list) if list.made_of == (kept.number(), version) => Err(list),
        _ => Ok(pick(kept, &filter, &states, after, most, &shared.host.waits())),
    });
    let list = match picked.await? {
        // Other processes' drivers come and go without a word.
        Err(list) if list.runs.iter().all(|(id, was)| shared.host.standing(*id) == *was) => list,
        Err(list) => {
            let waits = |kept: &Kept| pick(kept, &filter, &states, after, most, &shared.host.waits());
            let picked = shared.rows.read(waits).await?;
            write(&shared, &filter, (picked.number, list.made_of.1), picked).await?
        }
        Ok(picked) => write(&shared, &filter, (picked.number, version), picked).await?,
    };
    let tag = HeaderValue::from_str(&list.tag).map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    let response = reply::tagged(&headers, tag, || list.body.clone());
    shared.gallery.keep(query, list);
    Ok(response)
}

/// The runs of a page.
struct Picked {
    number: u64,
    runs: Vec<(RunId, Option<u64>)>,
    is_last: bool,
    counts: BTreeMap<String, u32>,
}

fn pick(
    kept: &Kept,
    filter: &Filter,
    states: &States,
    after: Option<RunId>,
    most: usize,
    waits: &impl Fn(RunId) -> bool,
) -> Picked {
    let word = |row: &RunRow| state_word(&row.state, waits(row.id)).to_owned();
    let mut counts = BTreeMap::new();
    for row in kept.newest_first().filter(|row| filter.fits(row)) {
        *counts.entry(word(row)).or_insert(0) += 1;
    }
    let wanted = kept
        .older_than(after)
        .filter(|row| filter.fits(row) && states.take(&word(row)));
    let mut runs: Vec<_> = wanted.take(most + 1).map(|row| (row.id, kept.moved(row.id))).collect();
    let is_last = runs.len() <= most;
    runs.truncate(most);
    Picked {
        number: kept.number(),
        runs,
        is_last,
        counts,
    }
}

async fn write(shared: &Shared, filter: &Filter, made_of: (u64, u64), picked: Picked) -> Result<Arc<List>, Refusal> {
    let (mut items, mut runs) = (Vec::new(), Vec::new());
    for (id, moved) in picked.runs {
        let Some(view) = shared.views.known(id, picked.number, moved).await? else {
            continue;
        };
        let standing = shared.host.standing(id);
        items.push(shared.gallery.run(&view).line(standing));
        runs.push((id, standing));
    }
    let next = match items.last() {
        Some(last) if !picked.is_last => Some(cursor(filter, &last.row.id.to_string())),
        _ => None,
    };
    let body = reply::encode(&Runs {
        items,
        next,
        counts: picked.counts,
    })?;
    Ok(Arc::new(List {
        tag: shown::tag(&(made_of, &runs)),
        made_of,
        runs,
        body: Bytes::from(body),
    }))
}

/// A run as lists show it.
async fn line(shared: &Shared, id: RunId) -> Result<Option<RunLine>, Refusal> {
    let view = shared.views.get(id).await?;
    Ok(view.map(|view| shared.gallery.run(&view).line(shared.host.standing(id))))
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
    let found = shared.rows.read(|kept| named(kept, given, tail)).await?;
    found.map_err(|what| Refusal::new(Code::UnknownRun, what))
}

/// The run whose id ends so, or the newest.
fn named(kept: &Kept, given: &str, tail: &str) -> Result<RunId, String> {
    if given == "last" {
        let newest = kept.newest_first().next();
        return newest
            .map(|row| row.id)
            .ok_or_else(|| "there are no runs yet".to_owned());
    }
    let mut found = kept.newest_first().filter(|row| row.id.to_string().ends_with(tail));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.id),
        (None, _) => Err(format!("there is no run `{given}`")),
        (Some(_), Some(_)) => Err(format!("`{given}` fits several runs; give more of the id")),
    }
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
    let (number, moved) = shared.rows.read(|kept| (kept.number(), kept.moved(id))).await?;
    let view = shared
        .views
        .known(id, number, moved)
        .await?
        .ok_or_else(|| unknown(id))?;
    let shown = shared.gallery.run(&view);
    let (tag, body) = shown.whole(&view.run, number, shared.host.standing(id))?;
    drop(view);
    let tag = HeaderValue::from_str(&tag).map_err(|e| Refusal::new(Code::Internal, e.to_string()))?;
    Ok(reply::tagged(&headers, tag, || body))
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

/// What the product says no to, as the API does.
pub(super) fn app_refusal(error: AppError) -> Refusal {
    match error {
        AppError::Store(error) => error.into(),
        AppError::Engine(error) => error.into(),
        AppError::NotFound(what) => Refusal::new(Code::BadValue, what),
        AppError::Plan(why) => Refusal::new(Code::NoPlan, why),
        other @ (AppError::Config(_) | AppError::Folder { .. }) => Refusal::new(Code::WrongState, other.to_string()),
    }
}

/// Sends a command and sees to it that what it owes is done; of a command that came before it is the run as it is by now.
async fn act(
    shared: &Shared,
    given: &str,
    key: Key,
    command: impl FnOnce(&Run) -> Result<Option<Command>, Refusal>,
) -> Answer {
    let id = match repeats::known(shared, &key).await? {
        Some(id) => id,
        None => {
            let id = find(shared, given).await?;
            let run = shared.views.get(id).await?.ok_or_else(|| unknown(id))?.run.clone();
            if let Some(command) = command(&run)? {
                repeats::send(shared, id, command, key).await?;
            }
            id
        }
    };
    shared.host.drive(id);
    let line = line(shared, id).await?.ok_or_else(|| unknown(id))?;
    reply::done(StatusCode::ACCEPTED, &line)
}

/// `POST /runs/{run}/pause`
pub(super) async fn pause(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |_| Ok(Some(Command::Pause { by: caller.name }))).await
}

/// `POST /runs/{run}/resume`: after a pause, or when nobody drives it.
pub(super) async fn resume(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |run| {
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
    key: Key,
    Path(run): Path<String>,
    Body(why): Body<Because>,
) -> Answer {
    let command = Command::Abort {
        by: caller.name,
        because: why.because,
    };
    act(&shared, &run, key, |_| Ok(Some(command))).await
}

/// `POST /runs/{run}/retry`
pub(super) async fn retry(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |_| Ok(Some(Command::Retry { by: caller.name }))).await
}

/// `POST /runs/{run}/rerun`
pub(super) async fn rerun(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(rerun): Body<Rerun>,
) -> Answer {
    act(&shared, &run, key, |run| {
        let from = task(run, &rerun.from)?;
        let by = caller.name;
        let message = rerun.message.map(|text| {
            let by = by.clone();
            Box::new(Message {
                by,
                text,
                file: None,
                line: None,
            })
        });
        Ok(Some(Command::Rerun { from, message, by }))
    })
    .await
}

/// `POST /runs/{run}/messages`
pub(super) async fn tell(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(tell): Body<Tell>,
) -> Answer {
    act(&shared, &run, key, |run| {
        let task = task(run, &tell.task)?;
        let message = Box::new(Message {
            by: caller.name,
            text: tell.text,
            file: tell.file,
            line: tell.line,
        });
        Ok(Some(Command::Tell { task, message }))
    })
    .await
}

/// `POST /runs/{run}/review`
pub(super) async fn review(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |_| {
        Ok(Some(Command::RequestReview { by: caller.name }))
    })
    .await
}

/// `POST /runs/{run}/apply`
pub(super) async fn apply(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |_| Ok(Some(Command::Apply { by: caller.name }))).await
}

/// `POST /runs/{run}/discard`
pub(super) async fn discard(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(run): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    act(&shared, &run, key, |_| Ok(Some(Command::Discard { by: caller.name }))).await
}
