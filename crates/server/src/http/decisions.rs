//! Questions that wait for a person, and their answers.

use super::{
    Shared, State,
    access::Caller,
    ask::{Args, Body, limit},
    problem::Refusal,
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
use maestria_kernel::{Command, DecisionId, RunId, decision::Decision};
use schemars::JsonSchema;
use serde::Deserialize;

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
    let wanted: fn(&Decision) -> bool = match state.as_str() {
        "open" => |d| d.is_open(),
        "answered" => |d| !d.is_open(),
        "all" => |_| true,
        other => {
            let what = format!("`state` is `{other}`; it is open, answered or all");
            return Err(Refusal::new(Code::BadValue, what).field("state"));
        }
    };
    let given = filter.cursor.take();
    let after = given.map(|given| behind(&filter, &given)).transpose()?;
    let runs = match &filter.run {
        Some(given) => vec![find(&shared, given).await?],
        None => {
            let rows = shared.app.engine.store().runs().await?;
            let may = rows.into_iter().filter(|row| state != "open" || row.decisions > 0);
            may.map(|row| row.id).collect()
        }
    };
    let mut lines = Vec::new();
    for id in runs {
        if let Some(view) = shared.views.get(id).await? {
            let fitting = view.run.decisions.iter().filter(|d| wanted(d));
            lines.extend(fitting.map(|decision| line(&shared, &view, decision)));
        }
    }
    lines.sort_by_key(|line| match &line.decision.answer {
        None => (0, line.decision.expires_at.0),
        Some(answer) => (1, -answer.at.0),
    });
    let begin = after
        .and_then(|last| lines.iter().position(|line| line.decision.id.to_string() == last))
        .map_or(0, |place| place + 1);
    let more = lines.len() > begin + most;
    let items: Vec<DecisionLine> = lines.into_iter().skip(begin).take(most).collect();
    let last = items.last().filter(|_| more);
    let next = last.map(|line| cursor(&filter, &line.decision.id.to_string()));
    reply::json(&headers, &Page { items, next })
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
    let mut rows = shared.app.engine.store().runs().await?;
    // Runs that wait for somebody come first: it is mostly one of them.
    rows.sort_by_key(|row| row.decisions == 0);
    for row in rows {
        if let Some(view) = shared.views.get(row.id).await?
            && let Some(decision) = view.run.decision(id)
        {
            return Ok((row.id, line(shared, &view, decision)));
        }
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
    Path(given): Path<String>,
    Body(body): Body<Decide>,
) -> Answer {
    let id = parse(&given)?;
    let (run, _) = seek(&shared, id).await?;
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
    if let Err(error) = shared.app.engine.send(run, command).await {
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
