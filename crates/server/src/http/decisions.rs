//! Questions that wait for a person, and their answers.

use super::{
    Shared, State,
    access::Caller,
    ask::{Args, Body, limit},
    problem::Refusal,
    repeats::{self, Key},
    reply::{self, Answer},
    runs::{behind, cursor, find},
};
use crate::stream::view::View;
use axum::{
    Extension,
    extract::Path,
    http::{HeaderMap, StatusCode},
};
use maestria_api::{
    Page,
    decision::{Decide, DecisionLine},
    problem::Code,
};
use maestria_kernel::{Command, DecisionId, RunId, decision::Decision, port::Asked};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// `open`, `answered` or `all`.
    #[schemars(extend("enum" = ["open", "answered", "all"]))]
    state: Option<String>,
    /// Only of this run.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /decisions`
pub(super) async fn list(shared: State, headers: HeaderMap, Args(mut filter): Args<Filter>) -> Answer {
    let most = limit(filter.limit, 50, 200)?;
    let state = filter.state.clone().unwrap_or_else(|| "open".to_owned());
    let closed = match state.as_str() {
        "open" => Some(false),
        "answered" => Some(true),
        "all" => None,
        other => {
            let what = format!("`state` is `{other}`; it is open, answered or all");
            return Err(Refusal::new(Code::BadValue, what).field("state"));
        }
    };
    let given = filter.cursor.take();
    let after = given.map(|given| place(&behind(&filter, &given)?)).transpose()?;
    let mut places = match &filter.run {
        Some(given) => of_run(&shared, find(&shared, given).await?, closed, after).await?,
        None => {
            let one_more = u32::try_from(most + 1).unwrap_or(u32::MAX);
            shared.app.engine.store().asked(closed, after, one_more).await?
        }
    };
    let more = places.len() > most;
    places.truncate(most);
    let next = places
        .last()
        .filter(|_| more)
        .map(|last| cursor(&filter, &written(last)));
    let mut items = Vec::new();
    for place in places {
        if let Some(view) = shared.views.get(place.run).await?
            && let Some(decision) = view.run.decision(place.decision)
        {
            items.push(line(&shared, &view, decision));
        }
    }
    reply::json(&headers, &Page { items, next })
}

/// The places of a run's own decisions.
async fn of_run(
    shared: &Shared,
    run: RunId,
    closed: Option<bool>,
    after: Option<Asked>,
) -> Result<Vec<Asked>, Refusal> {
    let Some(view) = shared.views.get(run).await? else {
        return Ok(Vec::new());
    };
    let place = |decision: &Decision| match &decision.answer {
        None => Asked::waits(run, decision),
        Some(answer) => Asked::ended(run, decision.id, answer.at),
    };
    let all: BTreeSet<Asked> = view.run.decisions.iter().map(place).collect();
    let wanted =
        |one: &Asked| closed.is_none_or(|closed| closed == one.closed) && after.is_none_or(|after| after < *one);
    Ok(all.into_iter().filter(wanted).collect())
}

/// A place as cursors have it.
fn written(place: &Asked) -> String {
    format!(
        "{}.{}.{}.{}",
        u8::from(place.closed),
        place.place,
        place.decision,
        place.run
    )
}

fn place(written: &str) -> Result<Asked, Refusal> {
    let parts: Vec<&str> = written.split('.').collect();
    let read = |[closed, place, decision, run]: [&str; 4]| {
        Some(Asked {
            closed: closed == "1",
            place: place.parse().ok()?,
            decision: decision.parse().ok()?,
            run: run.parse().ok()?,
        })
    };
    let place = <[&str; 4]>::try_from(parts).ok().and_then(read);
    place.ok_or_else(|| Refusal::new(Code::BadCursor, "the cursor is of another list").field("cursor"))
}

fn line(shared: &Shared, view: &View, decision: &Decision) -> DecisionLine {
    let run = &view.run;
    let row = maestria_engine::row(run);
    let task = decision.task().and_then(|id| run.tasks.get(&id));
    DecisionLine {
        decision: decision.clone(),
        run: run.id,
        run_text: row.text,
        run_state: row.state,
        key: task.map(|task| task.plan.key.clone()),
        asked_at: view.asked.get(&decision.id).copied(),
        driven: shared.app.is_driven(run.id),
    }
}

/// The run that asks a decision, and the decision as it is now.
async fn seek(shared: &Shared, id: DecisionId) -> Result<(RunId, DecisionLine), Refusal> {
    if let Some(run) = shared.app.engine.store().asker(id).await?
        && let Some(view) = shared.views.get(run).await?
        && let Some(decision) = view.run.decision(id)
    {
        return Ok((run, line(shared, &view, decision)));
    }
    Err(
        Refusal::new(Code::UnknownDecision, format!("there is no decision {id}"))
            .hint("`maestria decisions` lists them"),
    )
}

fn parse(given: &str) -> Result<DecisionId, Refusal> {
    given
        .parse()
        .map_err(|bad: maestria_kernel::id::BadId| Refusal::new(Code::BadId, bad.to_string()))
}

/// `GET /decisions/{decision}`
pub(super) async fn show(shared: State, headers: HeaderMap, Path(given): Path<String>) -> Answer {
    let (_, line) = seek(&shared, parse(&given)?).await?;
    reply::json(&headers, &line)
}

/// `POST /decisions/{decision}`
pub(super) async fn decide(
    shared: State,
    Extension(caller): Extension<Caller>,
    key: Key,
    Path(given): Path<String>,
    Body(body): Body<Decide>,
) -> Answer {
    let id = parse(&given)?;
    let (run, line) = seek(&shared, id).await?;
    if repeats::known(&shared, &key).await?.is_some() {
        return reply::done(StatusCode::OK, &line);
    }
    let (choice, approve) = match (body.choice, body.approve) {
        (Some(choice), None) => (Some(choice), true),
        (None, Some(approve)) => (None, approve),
        _ => {
            let what = "exactly one of `choice` and `approve` is needed";
            return Err(Refusal::new(Code::BadValue, what).field("choice"));
        }
    };
    let command = Command::Answer {
        decision: id,
        choice,
        approve,
        by: caller.name,
        because: body.because,
    };
    if let Err(error) = repeats::send(&shared, run, command, key).await {
        let refusal = Refusal::from(error);
        if refusal.code != Code::AlreadyDecided {
            return Err(refusal);
        }
        let (_, line) = seek(&shared, id).await?;
        return Err(Refusal {
            answer: line.decision.answer.map(Box::new),
            ..refusal
        });
    }
    shared.host.drive(run);
    let (_, line) = seek(&shared, id).await?;
    reply::done(StatusCode::OK, &line)
}
