//! The flat paths that clients of earlier systems use: thin translations of what `/api/v1` answers, and nothing else. They act
//! on the run that `?run=` names, or on the newest. `docs/api.md` lists them with their shapes.

use super::{
    Shared, State,
    access::Caller,
    ask::{Args, Body},
    problem::Refusal,
    repeats::Key,
    reply::{self, Answer},
    runs, submissions, workers,
};
use crate::stream::{
    rows::Kept,
    tail::{Follower, Wanted},
};
use axum::{
    Extension,
    extract::Path,
    http::{HeaderMap, StatusCode},
};
use maestria_api::{problem::Code, run::Submission};
use maestria_kernel::{Cost, Event, Run, RunId, Seq, port::RunRow, progress::progress, state::RunState};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest that `POST /operations` waits for the end; then it answers with how far it is.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The most in a list: the newest, or those that are wanted first. `/api/v1` has the rest, in pages.
const MOST: usize = 100;

/// The run that is meant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    /// The run; the newest if not given.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
}

async fn newest(shared: &Shared, which: &Which) -> Result<Run, Refusal> {
    load(shared, which.run.as_deref().unwrap_or("last")).await
}

async fn load(shared: &Shared, given: &str) -> Result<Run, Refusal> {
    let id = runs::find(shared, given).await?;
    let view = shared.views.get(id).await?.ok_or_else(|| runs::unknown(id))?;
    Ok(view.run.clone())
}

pub(super) async fn status(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    let progress = progress(&run, crate::now());
    let active = run
        .tasks
        .values()
        .filter(|t| t.state == maestria_kernel::state::TaskState::Running);
    let answer = json!({
        "run": run.id, "status": run.state.as_str(), "progress": progress.percent, "running": progress.running,
        "elapsed_ms": progress.elapsed_millis, "active_agents": active.count(),
        "pending_decisions": run.open_decisions().count(), "paused": matches!(run.state, RunState::Paused(_)),
    });
    reply::json(&headers, &answer)
}

pub(super) async fn session(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    let request = run.request.as_deref();
    let answer = json!({
        "session_id": run.id, "status": run.state.as_str(), "started_at": run.created_at, "updated_at": run.updated_at,
        "workspace": request.map(|r| &r.workspace), "target": request.map(|r| &r.target),
        "requirement": request.map(|r| &r.text),
        "agents": run.agents.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>(),
    });
    reply::json(&headers, &answer)
}

pub(super) async fn requirements(shared: State, headers: HeaderMap) -> Answer {
    let line = |row: &RunRow| json!({"id": row.id, "requirement": row.text, "status": row.state, "submitted_at": row.created_at});
    let newest = |kept: &Kept| kept.newest_first().take(MOST).map(line).collect::<Vec<Value>>();
    let all = shared.rows.read(newest).await?;
    reply::json(&headers, &json!({"requirements": all}))
}

/// What earlier clients submit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(alias = "text", alias = "prompt", alias = "description", alias = "input")]
    requirement: String,
    #[serde(alias = "project", alias = "cwd")]
    target: String,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    agents: Vec<String>,
    /// Dollars.
    #[serde(default)]
    budget: Option<f64>,
}

async fn submit(shared: &Shared, by: String, key: Key, wish: Wish) -> Result<RunId, Refusal> {
    let submission = Submission {
        text: wish.requirement,
        target: wish.target,
        workspace: None,
        workflow: wish.workflow,
        agents: wish.agents,
        budget: wish.budget.map(|dollars| Cost((dollars * 1e6) as i64)),
    };
    Ok(submissions::begin(shared, by, key, submission).await?.id)
}

pub(super) async fn require(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Body(wish): Body<Wish>,
) -> Answer {
    let id = submit(&shared, caller.name, key, wish).await?;
    reply::done(StatusCode::CREATED, &json!({"id": id, "status": "submitted"}))
}

pub(super) async fn tasks(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    let of = |task: &maestria_kernel::Task| {
        json!({
            "id": task.plan.id, "key": task.plan.key, "title": task.plan.title, "status": task.state.as_str(),
            "agent": task.agent, "attempt": task.attempt, "depends_on": task.plan.needs, "last_action": task.last_action,
        })
    };
    let all: Vec<Value> = run.ordered().into_iter().map(of).collect();
    reply::json(&headers, &json!({"run": run.id, "tasks": all}))
}

pub(super) async fn at_work(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let (items, _) = workers::page(&shared, which.run.as_deref(), None, MOST).await?;
    reply::json(&headers, &json!({"workers": items}))
}

pub(super) async fn reviews(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    reply::json(&headers, &json!({"run": run.id, "reviews": run.reviews}))
}

pub(super) async fn waiting(shared: State, headers: HeaderMap) -> Answer {
    let count = shared.rows.read(|kept| kept.totals().decisions).await?;
    let most = u32::try_from(MOST).unwrap_or(u32::MAX);
    let mut all = Vec::new();
    for asked in shared.app.engine.store().asked(Some(false), None, most).await? {
        if let Some(view) = shared.views.get(asked.run).await?
            && let Some(decision) = view.run.decision(asked.decision)
        {
            all.push(json!({
                "id": decision.id, "run": asked.run, "question": decision.question, "context": decision.context,
                "options": decision.options.iter().map(|o| o.choice.as_str()).collect::<Vec<_>>(),
                "recommended": decision.recommended.as_str(), "expires_at": decision.expires_at,
            }));
        }
    }
    reply::json(&headers, &json!({"decisions": all, "count": count}))
}

/// What was repaired, from the log.
pub(super) async fn recovery(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    let (store, mut after, mut all) = (shared.app.engine.store(), Seq(0), Vec::new());
    loop {
        let page = store.events(run.id, after, 4096).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        all.extend(
            page.into_iter()
                .filter(|e| matches!(e.event, Event::TaskRecovered { .. })),
        );
    }
    reply::json(&headers, &json!({"run": run.id, "recovery": all}))
}

pub(super) async fn summary(shared: State, headers: HeaderMap, Args(which): Args<Which>) -> Answer {
    let run = newest(&shared, &which).await?;
    let answer = json!({
        "run": run.id, "status": run.state.as_str(), "summary": result(&run),
        "confidence_score": confidence(&run), "cost": dollars(run.usage.cost),
    });
    reply::json(&headers, &answer)
}

pub(super) async fn metrics(shared: State, headers: HeaderMap) -> Answer {
    let totals = shared.rows.read(|kept| kept.totals().clone()).await?;
    let count = |state: &str| totals.states.get(state).copied().unwrap_or_default();
    let (completed, failed) = (count("completed"), count("failed"));
    let ended = completed + failed;
    let answer = json!({
        "runs": totals.states.values().sum::<usize>(), "completed": completed, "failed": failed,
        "success_rate": if ended == 0 { Value::Null } else { json!(completed as f64 / ended as f64) },
        "tokens": totals.tokens, "cost": dollars(totals.cost), "uptime_seconds": shared.started.elapsed().as_secs(),
    });
    reply::json(&headers, &answer)
}

/// `pause`, `resume`, `stop`, `review`.
pub(super) async fn control(
    shared: State,
    caller: Extension<Caller>,
    key: Key,
    Path(verb): Path<String>,
    Args(which): Args<Which>,
    body: Body<maestria_api::run::Nothing>,
) -> Answer {
    let run = Path(which.run.unwrap_or_else(|| "last".to_owned()));
    match verb.as_str() {
        "pause" => runs::pause(shared, caller, key, run, body).await,
        "resume" => runs::resume(shared, caller, key, run, body).await,
        "stop" => runs::abort(shared, caller, key, run, Body(maestria_api::run::Because::default())).await,
        "review" => runs::review(shared, caller, key, run, body).await,
        other => Err(
            Refusal::new(Code::UnknownPath, format!("there is no control `{other}`"))
                .hint("pause, resume, stop or review"),
        ),
    }
}

pub(super) async fn operations(shared: State, headers: HeaderMap) -> Answer {
    let newest = |kept: &Kept| kept.newest_first().take(MOST).map(|row| row.id).collect::<Vec<RunId>>();
    let mut all = Vec::new();
    for run in shared.rows.read(newest).await? {
        if let Some(view) = shared.views.get(run).await? {
            all.push(as_operation(&view.run));
        }
    }
    reply::json(&headers, &json!({"operations": all}))
}

pub(super) async fn operation(shared: State, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    reply::json(&headers, &as_operation(&load(&shared, &id).await?))
}

/// Runs an operation to its end, or until a person must decide.
pub(super) async fn operate(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Body(wish): Body<Wish>,
) -> Answer {
    let id = submit(&shared, caller.name, key, wish).await?;
    let wanted = Wanted {
        runs: vec![id],
        kinds: vec!["run.transitioned".to_owned()],
    };
    let mut follower = Follower::new(shared.tail.clone(), wanted, Some(shared.tail.at()));
    let settled = async {
        loop {
            let run = load(&shared, &id.to_string()).await?;
            if run.state.is_finished() || matches!(run.state, RunState::Escalated(_) | RunState::Paused(_)) {
                return Ok::<Run, Refusal>(run);
            }
            while follower.next().await?.is_some() {}
            follower.wait().await;
        }
    };
    let run = match tokio::time::timeout(PATIENCE, settled).await {
        Ok(run) => run?,
        Err(_) => load(&shared, &id.to_string()).await?,
    };
    reply::done(StatusCode::OK, &as_operation(&run))
}

fn as_operation(run: &Run) -> Value {
    let status = match run.state {
        RunState::Escalated(_) => "waiting",
        RunState::Active(_) | RunState::Aborting => "running",
        other => other.as_str(),
    };
    json!({
        "id": run.id, "status": status, "result": result(run), "confidence_score": confidence(run),
        "requires_human": run.open_decisions().next().is_some(),
        "execution_time_ms": progress(run, crate::now()).elapsed_millis,
        "token_usage": {"input": run.usage.input, "output": run.usage.output, "total": run.usage.tokens()},
        "cost": dollars(run.usage.cost),
    })
}

/// What the tasks have reported, a line each.
fn result(run: &Run) -> String {
    let line = |task: &maestria_kernel::Task| {
        let outcome = task.outcome.as_deref()?;
        let said = outcome.report.lines().next().unwrap_or(&outcome.reason);
        Some(format!("{} {}: {said}", task.plan.key, task.plan.title))
    };
    let lines: Vec<String> = run.ordered().into_iter().filter_map(line).collect();
    lines.join("\n")
}

fn confidence(run: &Run) -> Option<f64> {
    run.confidence
        .as_ref()
        .map(|confidence| f64::from(confidence.score.0) / 1000.0)
}

fn dollars(cost: Cost) -> f64 {
    cost.0 as f64 / 1e6
}
