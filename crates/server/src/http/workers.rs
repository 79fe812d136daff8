//! Who is at work now.

use super::{
    Shared, State,
    ask::{Args, limit},
    problem::Refusal,
    reply::{self, Answer},
    runs::{behind, cursor, find},
};
use crate::stream::{
    rows::Kept,
    view::{Seen, View},
};
use axum::http::HeaderMap;
use maestria_api::{
    Page,
    problem::Code,
    worker::{Worker, WorkerState},
};
use maestria_kernel::{
    Run, RunId, Task,
    review::Review,
    state::{RunState, TaskState},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Of {
    /// Only of this run.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The most on a page.
pub(super) const MOST: u32 = 200;

/// A worker's place: its run, and how many workers of that come before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(RunId, usize);

/// `GET /workers`
pub(super) async fn list(shared: State, headers: HeaderMap, Args(mut of): Args<Of>) -> Answer {
    let most = limit(of.limit, MOST, MOST)?;
    let given = of.cursor.take();
    let from = given.map(|given| read(&behind(&of, &given)?)).transpose()?;
    let (items, next) = page(&shared, of.run.as_deref(), from, most).await?;
    let next = next.map(|Place(run, before)| cursor(&of, &format!("{run}.{before}")));
    reply::json(&headers, &Page { items, next })
}

fn read(written: &str) -> Result<Place, Refusal> {
    let place = written
        .split_once('.')
        .and_then(|(run, before)| Some(Place(run.parse().ok()?, before.parse().ok()?)));
    place.ok_or_else(|| Refusal::new(Code::BadCursor, "the cursor is of another list").field("cursor"))
}

/// So many workers of a run, or of all, from a place on, and the place of the next one.
pub(super) async fn page(
    shared: &Shared,
    run: Option<&str>,
    from: Option<Place>,
    most: usize,
) -> Result<(Vec<Worker>, Option<Place>), Refusal> {
    let runs = match run {
        Some(given) => vec![find(shared, given).await?],
        None => {
            let first = from.map(|Place(run, _)| run);
            let open = |kept: &Kept| kept.open(first).map(|row| row.id).collect();
            shared.rows.read(open).await?
        }
    };
    let mut items = Vec::new();
    for id in runs {
        // A run that nobody drives has no workers, whatever its log says last.
        if !shared.host.standing(id).driven {
            continue;
        }
        let Some(view) = shared.views.get(id).await? else {
            continue;
        };
        let told = from.map_or(0, |Place(run, before)| if run == id { before } else { 0 });
        for (place, worker) in of_run(shared, &view).into_iter().enumerate().skip(told) {
            if items.len() == most {
                return Ok((items, Some(Place(id, place))));
            }
            items.push(worker);
        }
    }
    Ok((items, None))
}

fn of_run(shared: &Shared, view: &View) -> Vec<Worker> {
    let run = &view.run;
    let tasks = run
        .ordered()
        .into_iter()
        .filter(|task| task.state == TaskState::Running);
    let reviews = run.reviews.iter().filter(|review| review.opinion.is_none());
    tasks
        .map(|task| of_task(shared, view, task))
        .chain(reviews.map(|review| of_review(shared, run, review)))
        .collect()
}

fn of_task(shared: &Shared, view: &View, task: &Task) -> Worker {
    let run = &view.run;
    let seen = view.workers.get(&task.plan.id).cloned().unwrap_or_default();
    Worker {
        task: Some(task.plan.id),
        key: Some(task.plan.key.clone()),
        title: task.plan.title.clone(),
        attempt: task.attempt,
        state: frozen(run).unwrap_or(WorkerState::Running),
        since: task.dispatched_at,
        last_action: task.last_action.clone(),
        usage: task.usage,
        estimate: Some(task.plan.estimate),
        worktree: worktree(run, task),
        agent: task.agent.clone().unwrap_or_else(|| "".into()),
        ..blank(shared, run, task.agent.as_ref(), seen)
    }
}

fn of_review(shared: &Shared, run: &Run, review: &Review) -> Worker {
    let task = review.task.and_then(|id| run.tasks.get(&id));
    Worker {
        task: review.task,
        key: task.map(|task| task.plan.key.clone()),
        title: task.map_or_else(|| "the whole run".to_owned(), |task| task.plan.title.clone()),
        review: Some(review.id),
        state: frozen(run).unwrap_or(WorkerState::Reviewing),
        since: Some(review.asked_at),
        agent: review.reviewer.clone(),
        ..blank(shared, run, Some(&review.reviewer), Seen::default())
    }
}

fn frozen(run: &Run) -> Option<WorkerState> {
    matches!(run.state, RunState::Paused(_)).then_some(WorkerState::Frozen)
}

/// What an agent's name, the newest measures and the configuration say.
fn blank(shared: &Shared, run: &Run, agent: Option<&maestria_kernel::AgentName>, seen: Seen) -> Worker {
    let known = run.agents.iter().find(|known| Some(&known.name) == agent);
    let config = &shared.app.config;
    Worker {
        run: run.id,
        task: None,
        key: None,
        title: String::new(),
        review: None,
        agent: "".into(),
        vendor: known.map(|agent| agent.vendor.clone()),
        scripted: known.is_some_and(|agent| agent.scripted),
        attempt: 0,
        state: WorkerState::Running,
        since: None,
        last_action: None,
        model: seen.model,
        usage: maestria_kernel::Usage::default(),
        estimate: None,
        pid: seen.pid,
        contained: seen.contained,
        limits: seen.limits,
        cpu_millis: seen.cpu_millis,
        memory_bytes: seen.memory_bytes,
        processes: seen.processes,
        measured_at: seen.measured_at,
        memory_limit_bytes: Some(config.worker_memory),
        cpu_limit_percent: Some(config.worker_cpu_percent),
        processes_limit: Some(config.worker_processes),
        worktree: None,
    }
}

/// The task's folder, when it is where it usually is.
fn worktree(run: &Run, task: &Task) -> Option<String> {
    let workspace = &run.request.as_ref()?.workspace;
    let folder = Path::new(workspace).join("worktrees").join(task.plan.key.as_str());
    folder.is_dir().then(|| folder.display().to_string())
}
