//! What was used, what it cost, what models there are, and which of them would answer.

use super::{
    State,
    ask::{Args, Body, limit, text},
    problem::Refusal,
    reply::{self, Answer},
    runs::{app_refusal, find},
};
use crate::gateway::{Decision, Gateway, Wish, catalogue, sample, setup};
use axum::http::{HeaderMap, StatusCode};
use maestria_api::{
    Page,
    money::{Budgets, ModelLine, Models, PriceLine, QualityLine, UsageTable},
    problem::Code,
};
use maestria_kernel::{
    At,
    ledger::{Scope, UsageBy, UsageLine, UsageOf},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// `GET /budgets`
pub(super) async fn budgets(shared: State, headers: HeaderMap) -> Answer {
    let limits = &shared.app.config.gateway.budget;
    let balances = shared.books.balances(Scope::Day.day(crate::now())).await?;
    let day = balances.iter().find(|balance| balance.scope == Scope::Day.to_string());
    let answer = Budgets {
        day: limits.day,
        run: limits.run,
        task: limits.task,
        client: limits.client,
        project: limits.project,
        model: limits.model,
        alert_percent: limits.alert_percent,
        on_exhausted: limits.exhausted.as_str().to_owned(),
        spent_today: day.map(|balance| balance.spent).unwrap_or_default(),
        held_today: day.map(|balance| balance.held).unwrap_or_default(),
        balances,
    };
    reply::json(&headers, &answer)
}

/// `GET /models`
pub(super) async fn models(shared: State, headers: HeaderMap) -> Answer {
    let config = &shared.app.config;
    let catalogue = catalogue(config).map_err(app_refusal)?;
    let line = |provider: &str, name: &str, local: bool, configured: bool| {
        let known = catalogue.model(name);
        ModelLine {
            model: format!("{provider}/{name}"),
            provider: provider.to_owned(),
            price: PriceLine {
                input: known.price.input,
                cached: known.price.cached,
                written: known.price.written,
                output: known.price.output,
            },
            context: known.context,
            output: known.output,
            tools: known.tools,
            vision: known.vision,
            json: known.json,
            quality: QualityLine {
                plan: known.quality.plan,
                edit: known.quality.edit,
                review: known.quality.review,
                chat: known.quality.chat,
            },
            listed: known.listed,
            local,
            configured,
        }
    };
    let mut items = Vec::new();
    for (name, table) in &config.providers {
        items.extend(table.models.iter().map(|model| line(name, model, table.local, true)));
    }
    if config.providers.is_empty() {
        let sampled = sample(setup(config, &crate::Options::default()).map_err(app_refusal)?);
        for provider in &sampled.providers {
            items.extend(
                provider
                    .models
                    .iter()
                    .map(|model| line(&provider.name, model, false, false)),
            );
        }
    }
    let named = config.gateway.routes.keys().filter(|route| *route != "default");
    let models = Models {
        items,
        next: None,
        routes: std::iter::once("auto".to_owned()).chain(named.cloned()).collect(),
    };
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

/// What a route is wished for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    prompt: String,
    #[serde(default)]
    system: String,
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    tools: bool,
    #[serde(default)]
    vision: bool,
    #[serde(default)]
    json: bool,
    #[serde(default)]
    context: u64,
    #[serde(default)]
    max_tokens: Option<u64>,
}

/// Which model would answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Routed {
    #[serde(flatten)]
    decision: Decision,
    /// No provider is configured; the catalogue stood in.
    sampled: bool,
}

/// `POST /gateway/route`: decides and calls nobody.
pub(super) async fn route(shared: State, Body(asked): Body<Asked>) -> Answer {
    let config = &shared.app.config;
    let mut set_up = setup(config, &crate::Options::default()).map_err(app_refusal)?;
    let sampled = config.providers.is_empty();
    if sampled {
        set_up = sample(set_up);
    }
    let no_route = |what: String| Refusal::new(Code::NoRoute, what).hint("`maestria models` lists what is configured");
    let gateway = Gateway::new(set_up).map_err(|e| no_route(e.to_string()))?;
    let decision = gateway.explain(&Wish {
        prompt: asked.prompt,
        system: asked.system,
        route: asked.route.unwrap_or_else(|| "auto".to_owned()),
        tools: asked.tools,
        vision: asked.vision,
        json: asked.json,
        context: asked.context,
        max_tokens: asked.max_tokens,
    });
    let decision = decision.map_err(|lost| no_route(lost.to_string()))?;
    reply::done(StatusCode::OK, &Routed { decision, sampled })
}
