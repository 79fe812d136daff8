//! What has happened so far, as families: models, agents, reviews, decisions.

use super::{
    exposition::Family,
    meter::Sums,
    tally::{Model, ModelKey, OTHER},
};

const BY_MODEL: &[&str] = &["provider", "model", "operation"];

pub(super) fn families(sums: &Sums) -> Vec<Family> {
    let mut all = of_models(sums);
    all.extend(of_gateway(sums));
    all.extend(of_work(sums));
    all
}

fn of_models(sums: &Sums) -> Vec<Family> {
    let by_model = |family: Family, figure: fn(&Model) -> f64| {
        let each = sums.models.all();
        each.fold(family, |family, (key, model)| {
            family.with(&ModelKey::labels(key), figure(model))
        })
    };
    let mut calls = Family::counter(
        "model_calls_total",
        "Calls of models, by how they ended.",
        &["provider", "model", "operation", "outcome"],
    );
    let mut tokens = Family::counter(
        "model_tokens_total",
        "Tokens sent and received; cached ones are among those sent, reasoning among those received.",
        &["provider", "model", "operation", "direction"],
    );
    let mut times = Family::histogram(
        "model_call_duration_seconds",
        "How long calls take that end well, in all.",
        BY_MODEL,
    );
    let mut first = Family::histogram(
        "model_first_token_seconds",
        "How long it takes until there is content.",
        BY_MODEL,
    );
    for (key, model) in sums.models.all() {
        let [provider, name, operation] = ModelKey::labels(key);
        for (outcome, count) in &model.outcomes {
            calls = calls.with(&[provider, name, operation, outcome], *count as f64);
        }
        let directions = [
            ("input", model.input),
            ("cached", model.cached),
            ("output", model.output),
            ("reasoning", model.reasoning),
        ];
        for (direction, count) in directions {
            tokens = tokens.with(&[provider, name, operation, direction], count as f64);
        }
        times = times.with_times(&[provider, name, operation], &model.times);
        first = first.with_times(&[provider, name, operation], &model.first);
    }
    let cost = Family::counter("model_cost_dollars_total", "What calls have cost.", BY_MODEL);
    let retries = Family::counter(
        "model_retries_total",
        "Tries that failed before a call was answered.",
        BY_MODEL,
    );
    vec![
        calls,
        tokens,
        by_model(cost, |model| model.cost.0 as f64 / 1e6),
        by_model(retries, |model| model.retries as f64),
        times,
        first,
    ]
}

fn of_gateway(sums: &Sums) -> Vec<Family> {
    let hits = Family::counter(
        "cache_hits_total",
        "Answers that were given again: the same, joined while under way, or similar.",
        &["kind"],
    );
    let hits = ["same", "joined", "similar"].into_iter().fold(hits, |family, kind| {
        family.with(&[kind], sums.cache_hits.get(kind).copied().unwrap_or(0) as f64)
    });
    let errors = sums.errors.iter();
    let errors = errors.fold(
        Family::counter(
            "model_errors_total",
            "Calls that were not answered, by code.",
            &["code"],
        ),
        |family, (code, count)| family.with(&[code], *count as f64),
    );
    vec![
        hits,
        errors,
        Family::counter(
            "rate_limit_waits_total",
            "Calls that had to wait for their client's rate.",
            &[],
        )
        .with(&[], sums.waits as f64),
        Family::counter("rate_limit_wait_seconds_total", "How long they have waited.", &[])
            .with(&[], sums.waited.as_secs_f64()),
    ]
}

fn of_work(sums: &Sums) -> Vec<Family> {
    let mut attempts = Family::counter(
        "task_attempts_total",
        "Attempts at tasks, by agent and how they ended.",
        &["agent", "verdict"],
    );
    for (agent, counted) in sums.agents.all() {
        for (verdict, count) in &counted.verdicts {
            attempts = attempts.with(&[agent.map_or(OTHER, String::as_str), verdict], *count as f64);
        }
    }
    let ended = Family::counter("runs_ended_total", "Runs that have ended, by how.", &["state"]);
    let ended = ["completed", "failed", "aborted"]
        .into_iter()
        .fold(ended, |family, state| {
            family.with(&[state], sums.ended.get(state).copied().unwrap_or(0) as f64)
        });
    let reviews = sums.reviews.iter().fold(
        Family::counter("reviews_total", "Reviews that came back, by verdict.", &["verdict"]),
        |family, (verdict, count)| family.with(&[verdict], *count as f64),
    );
    let decisions = sums.decisions.iter().fold(
        Family::counter("decisions_total", "Decisions that were made, by choice.", &["choice"]),
        |family, (choice, count)| family.with(&[choice], *count as f64),
    );
    let violations = sums.violations.iter().fold(
        Family::counter(
            "violations_total",
            "What workers did or tried that they may not.",
            &["kind"],
        ),
        |family, (kind, count)| family.with(&[kind], *count as f64),
    );
    let times = Family::histogram("task_attempt_duration_seconds", "How long attempts at tasks take.", &[]);
    vec![
        ended,
        attempts,
        times.with_times(&[], &sums.attempts),
        reviews,
        decisions,
        violations,
    ]
}
