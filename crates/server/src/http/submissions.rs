//! Submissions: a request becomes a run, once, however often it is sent.

use super::{
    Shared, State,
    access::Caller,
    ask::Body,
    problem::Refusal,
    repeats::{self, Key},
    reply::{self, Answer},
    runs::{app_refusal, unknown},
    shown::Shown,
};
use crate::Wish;
use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header},
};
use maestria_api::{problem::Code, run::Submission};
use maestria_engine::EngineError;
use maestria_kernel::{
    AgentName, Run, RunId,
    port::StoreError,
    request::{Request, check_task},
};
use std::path::PathBuf;

/// `POST /runs`
pub(super) async fn submit(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Body(submission): Body<Submission>,
) -> Answer {
    let run = begin(&shared, caller.name, key, submission).await?;
    let id = run.id;
    let line = Shown::new(&run).line(shared.host.standing(id));
    let mut response = reply::done(StatusCode::CREATED, &line)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/runs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Stores a new run and begins to drive it; of a submission that came before it is the run that this became.
pub(super) async fn begin(shared: &Shared, by: String, key: Key, submission: Submission) -> Result<Run, Refusal> {
    if let Some(id) = repeats::known(shared, &key).await? {
        return load(shared, id).await;
    }
    let once = key.map(|Extension(once)| once);
    let request = accept(shared, by, submission).await?;
    match (shared.app.engine.enlist(request, once.clone()).await, once) {
        (Ok(run), _) => {
            shared.host.enlist(run.id);
            Ok(run)
        }
        (Err(EngineError::Store(StoreError::Repeated(sent))), Some(once)) => {
            load(shared, repeats::same(&once, &sent)?).await
        }
        (Err(error), _) => Err(error.into()),
    }
}

async fn load(shared: &Shared, id: RunId) -> Result<Run, Refusal> {
    let view = shared.views.get(id).await?.ok_or_else(|| unknown(id))?;
    Ok(view.run.clone())
}

/// What is asked of the engine, if the submission can be taken now.
async fn accept(shared: &Shared, by: String, submission: Submission) -> Result<Request, Refusal> {
    if !shared.host.takes_runs() {
        let what = "this server goes with the run it stands beside and drives no other";
        return Err(Refusal::new(Code::WrongState, what).hint("`maestria serve` starts one that stays"));
    }
    let request = request(shared, by, submission)?;
    if shared.app.config.day_budget.is_some() {
        let spent = shared.rows.read_lately(|kept| kept.spent_today(crate::now())).await?;
        shared.app.check_spent(spent).map_err(app_refusal)?;
    }
    Ok(request)
}

/// A submission as the engine takes it.
pub(super) fn request(shared: &Shared, by: String, submission: Submission) -> Result<Request, Refusal> {
    check_task(&submission.text).map_err(|bad| Refusal::new(Code::BadTask, bad.to_string()).field("text"))?;
    let target = PathBuf::from(&submission.target);
    if !target.is_absolute() || !target.is_dir() {
        let what = format!("`{}` is no folder that is named absolutely", submission.target);
        return Err(Refusal::new(Code::BadTarget, what)
            .field("target")
            .hint("it is a folder on the server's machine, from `/` on"));
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
    shared.app.request(wish).map_err(app_refusal)
}
