//! What is told of models and money, in the API's shapes: handlers and the command line say the same.

use super::{Decision, Gateway, Wish, catalogue, sample, setup};
use crate::{
    app::{AppError, Options, now},
    config::Config,
};
use maestria_api::money::{
    AdviceTable, Budgets, Candidate, ModelLine, Models, PriceLine, QualityLine, RouteDecision, RouteWish, Routed,
};
use maestria_gateway::advise;
use maestria_kernel::{
    At,
    ledger::{Ledger, Scope},
    port::StoreError,
};

/// Why no model is chosen.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// What is configured cannot be used.
    #[error(transparent)]
    App(#[from] AppError),
    /// Nobody can answer.
    #[error("{0}")]
    Lost(String),
}

/// Limits in force, and what is spent.
///
/// # Errors
/// When the books cannot be read.
pub async fn budgets(config: &Config, books: &dyn Ledger) -> Result<Budgets, StoreError> {
    let limits = &config.gateway.budget;
    let balances = books.balances(Scope::Day.day(now())).await?;
    let day = balances.iter().find(|balance| balance.scope == Scope::Day.to_string());
    Ok(Budgets {
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
    })
}

/// Calls that advice is drawn from at most, the newest.
const MOST_CALLS: u32 = 100_000;

/// What calls since a moment would have cost on other models that did as well.
///
/// # Errors
/// When the books or the person's own catalogue cannot be read.
pub async fn advice(config: &Config, books: &dyn Ledger, since: At) -> Result<AdviceTable, AppError> {
    let rows = books.calls(since, MOST_CALLS).await?;
    let catalogue = catalogue(config)?;
    let calls = rows.len();
    let drawn = tokio::task::spawn_blocking(move || advise(&rows, &catalogue)).await;
    Ok(AdviceTable {
        since,
        calls,
        items: drawn.map_err(|e| AppError::Config(e.to_string()))?,
        next: None,
    })
}

/// The models that are configured; those of the catalogue when no provider is.
///
/// # Errors
/// When the person's own catalogue cannot be read.
pub fn models(config: &Config) -> Result<Models, AppError> {
    let catalogue = catalogue(config)?;
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
        for provider in &sample(setup(config, &Options::default())?).providers {
            let models = provider.models.iter();
            items.extend(models.map(|model| line(&provider.name, model, false, false)));
        }
    }
    let named = config.gateway.routes.keys().filter(|route| *route != "default");
    Ok(Models {
        items,
        next: None,
        routes: std::iter::once("auto".to_owned()).chain(named.cloned()).collect(),
    })
}

/// Which model would answer; nobody is called.
///
/// # Errors
/// [`RouteError`].
pub fn route(config: &Config, wish: RouteWish) -> Result<Routed, RouteError> {
    let mut set_up = setup(config, &Options::default())?;
    let sampled = config.providers.is_empty();
    if sampled {
        set_up = sample(set_up);
    }
    let gateway = Gateway::new(set_up).map_err(|error| RouteError::Lost(error.to_string()))?;
    let decision = gateway.explain(&Wish {
        prompt: wish.prompt,
        system: wish.system,
        route: wish.route.unwrap_or_else(|| "auto".to_owned()),
        tools: wish.tools,
        vision: wish.vision,
        json: wish.json,
        context: wish.context,
        max_tokens: wish.max_tokens,
    });
    let decision = decision.map_err(|lost| RouteError::Lost(lost.to_string()))?;
    Ok(Routed {
        decision: told(decision),
        sampled,
    })
}

fn told(decision: Decision) -> RouteDecision {
    let candidates = decision.candidates.into_iter().map(|candidate| Candidate {
        model: candidate.model,
        score: candidate.score,
        quality: candidate.quality,
        expected_cost: candidate.expected_cost,
        latency_millis: candidate.latency_millis,
        p95_millis: candidate.p95_millis,
        warm_saves: candidate.warm_saves,
        left_out: candidate.left_out,
    });
    RouteDecision {
        model: decision.model,
        fallbacks: decision.fallbacks,
        confidence: decision.confidence,
        reason: decision.reason,
        kind: decision.kind.to_owned(),
        difficulty: decision.difficulty,
        expected_cost: decision.expected_cost,
        candidates: candidates.collect(),
    }
}
