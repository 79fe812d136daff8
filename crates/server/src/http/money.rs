//! What was used, what it cost, what models there are, and which of them would answer.

use super::{
    State,
    ask::{Args, Body, limit, text},
    problem::Refusal,
    reply::{self, Answer},
    runs::{app_refusal, find},
};
use crate::gateway::{self, RouteError};
use axum::http::{HeaderMap, StatusCode};
use maestria_api::{
    Page,
    money::{RouteWish, UsageTable},
    problem::Code,
};
use maestria_kernel::{
    At,
    ledger::{UsageBy, UsageLine, UsageOf},
};
use schemars::JsonSchema;
use serde::Deserialize;

const DAY: i64 = 86_400_000;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Query {
    /// What it is grouped by.
    #[schemars(extend("enum" = UsageBy::ALL.map(UsageBy::as_str)))]
    by: Option<String>,
    /// Since then, milliseconds since 1970.
    since: Option<i64>,
    /// Only of this run.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
}

/// `GET /usage`
pub(super) async fn usage(shared: State, headers: HeaderMap, Args(query): Args<Query>) -> Answer {
    let name = query.by.unwrap_or_else(|| "model".to_owned());
    let Some(by) = UsageBy::ALL.into_iter().find(|by| by.as_str() == name) else {
        let what = format!("`by` is `{name}`");
        let names = UsageBy::ALL.map(UsageBy::as_str).join(", ");
        return Err(Refusal::new(Code::BadValue, what)
            .field("by")
            .hint(format!("one of {names}")));
    };
    let since = query.since.map_or(At(crate::now().0 - 30 * DAY), At);
    let run = match query.run {
        Some(given) => Some(
            find(&shared, &given)
                .await
                .map_err(|refusal| refusal.field("run"))?
                .to_string(),
        ),
        None => None,
    };
    let items = shared.books.usage(by, UsageOf { since, run }).await?;
    if text(&headers, "accept").is_some_and(|accept| accept.starts_with("text/csv")) {
        let csv = maestria_api::money::csv(&name, &items);
        return Ok(reply::plain(StatusCode::OK, csv, "text/csv; charset=utf-8"));
    }
    let total = items.iter().fold(UsageLine::default(), |sum, line| UsageLine {
        calls: sum.calls + line.calls,
        failed: sum.failed + line.failed,
        input: sum.input + line.input,
        cached: sum.cached + line.cached,
        output: sum.output + line.output,
        cost: sum.cost.plus(line.cost),
        hits: sum.hits + line.hits,
        ..sum
    });
    let table = UsageTable {
        by: name,
        since,
        items,
        next: None,
        total,
    };
    reply::json(&headers, &table)
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Since {
    /// Since then, milliseconds since 1970.
    since: Option<i64>,
}

/// `GET /usage/advice`
pub(super) async fn advice(shared: State, headers: HeaderMap, Args(query): Args<Since>) -> Answer {
    let since = query.since.map_or(At(crate::now().0 - 30 * DAY), At);
    let advice = gateway::advice(&shared.app.config, &*shared.books, since).await;
    reply::json(&headers, &advice.map_err(app_refusal)?)
}

/// `GET /budgets`
pub(super) async fn budgets(shared: State, headers: HeaderMap) -> Answer {
    let budgets = gateway::budgets(&shared.app.config, &*shared.books).await?;
    reply::json(&headers, &budgets)
}

/// `GET /models`
pub(super) async fn models(shared: State, headers: HeaderMap) -> Answer {
    let models = gateway::models(&shared.app.config).map_err(app_refusal)?;
    reply::json(&headers, &models)
}

/// `GET /gateway/lanes`: of this process's gateway; none before its first call.
pub(super) async fn lanes(shared: State, headers: HeaderMap) -> Answer {
    reply::json(&headers, &Page::whole(shared.app.lanes()))
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Most {
    /// The most that are told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// `GET /gateway/calls`
pub(super) async fn calls(shared: State, headers: HeaderMap, Args(most): Args<Most>) -> Answer {
    let most = limit(most.limit, 50, 200)?;
    let rows = shared.books.calls(At(0), u32::try_from(most).unwrap_or(50)).await?;
    reply::json(&headers, &Page::whole(rows))
}

/// `POST /gateway/route`: decides and calls nobody.
pub(super) async fn route(shared: State, Body(wish): Body<RouteWish>) -> Answer {
    let routed = gateway::route(&shared.app.config, wish).map_err(|error| match error {
        RouteError::App(error) => app_refusal(error),
        lost @ RouteError::Lost(_) => {
            Refusal::new(Code::NoRoute, lost.to_string()).hint("`maestria models` lists what is configured")
        }
    });
    reply::done(StatusCode::OK, &routed?)
}
