//! Calls in the gateway's books as spans: the client's request, and in it the call of the model.

use super::{
    convention::{self, gen_ai, maestria},
    span::{Kind, Span, Value},
    weave::{Loom, dollars},
};
use maestria_kernel::{
    At,
    ledger::CallRow,
    trace::{Place, SpanId, TraceId},
};

/// The spans of a call; none when its trace is not kept. `loom` is the run that it was made for.
pub(super) fn spans(row: &CallRow, loom: Option<&Loom>, percent: u8) -> Vec<Span> {
    let Some((trace, parent)) = whereabouts(row, loom, percent) else {
        return Vec::new();
    };
    let model = (is_sent(row)).then(|| called(row, trace));
    if row.door.is_empty() {
        return model.map(|span| span.under(parent)).into_iter().collect();
    }
    let request = asked(row, trace).under(parent);
    let model = model.map(|span| span.under(request.id));
    std::iter::once(request).chain(model).collect()
}

/// The trace it belongs to, and the span that it happened in: what the client has said, else its run's, else its own.
fn whereabouts(row: &CallRow, loom: Option<&Loom>, percent: u8) -> Option<(TraceId, Option<SpanId>)> {
    if let Some(place) = row.trace.as_deref().and_then(Place::parse) {
        return place.sampled.then_some((place.trace, Some(place.span)));
    }
    let (trace, parent) = match loom {
        Some(loom) => {
            let task = row.task.as_deref().and_then(|task| task.parse().ok());
            (loom.trace(), Some(loom.place(task, row.agent.as_deref(), row.at)))
        }
        None => (TraceId::parse(&row.request)?, None),
    };
    trace.is_sampled(percent).then_some((trace, parent))
}

/// Whether a provider was asked: not for answers of the cache, nor for calls that were not made.
fn is_sent(row: &CallRow) -> bool {
    !row.provider.is_empty() && row.outcome != "refused" && cached(row).is_none()
}

/// How the cache answered, if it did.
pub(crate) fn cached(row: &CallRow) -> Option<&str> {
    row.code.strip_prefix("cache_")
}

/// What a request was answered with, if it was.
fn status(row: &CallRow) -> Option<u16> {
    match row.outcome.as_str() {
        "ok" => Some(200),
        "failed" | "refused" => maestria_gateway::status_of(&row.code),
        _ => None,
    }
}

/// The kind of failure, if it was one.
fn failure(row: &CallRow) -> Option<String> {
    match row.outcome.as_str() {
        "ok" => None,
        "cancelled" => Some("cancelled".to_owned()),
        _ => Some(row.code.clone()),
    }
}

fn after(at: At, millis: u64) -> At {
    At(at.0.saturating_add(i64::try_from(millis).unwrap_or(0)))
}

fn asked(row: &CallRow, trace: TraceId) -> Span {
    let id = SpanId::of("request", &row.request, 0);
    let time = (row.at, after(row.at, row.waited_millis.saturating_add(row.millis)));
    Span::new(trace, id, format!("POST {}", row.door), time)
        .of_kind(Kind::Server)
        .with(convention::HTTP_METHOD, "POST")
        .with(convention::HTTP_ROUTE, row.door.as_str())
        .maybe(convention::HTTP_STATUS, status(row))
        .with(maestria::CLIENT, row.client.as_str())
        .with(gen_ai::REQUEST_MODEL, row.asked.as_str())
        .maybe(maestria::CACHE, cached(row))
        .maybe(maestria::RUN, row.run.clone())
        .maybe(maestria::PROJECT, row.project.clone())
        .maybe(
            maestria::WAITED,
            (row.waited_millis > 0).then(|| seconds(row.waited_millis)),
        )
        .failing(failure(row))
}

fn called(row: &CallRow, trace: TraceId) -> Span {
    let operation = if row.operation.is_empty() {
        gen_ai::CHAT
    } else {
        &row.operation
    };
    let begun = after(row.at, row.waited_millis);
    let id = SpanId::of("model", &row.request, 0);
    Span::new(
        trace,
        id,
        format!("{operation} {}", row.model),
        (begun, after(begun, row.millis)),
    )
    .of_kind(Kind::Client)
    .with(gen_ai::OPERATION, operation)
    .with(gen_ai::PROVIDER, row.provider.as_str())
    .with(gen_ai::REQUEST_MODEL, row.asked.as_str())
    .with(gen_ai::RESPONSE_MODEL, row.model.as_str())
    .with(gen_ai::RESPONSE_ID, row.request.as_str())
    .maybe(
        gen_ai::FINISH_REASONS,
        (!row.finish.is_empty()).then(|| Value::Texts(vec![row.finish.clone()])),
    )
    .maybe(
        gen_ai::FIRST_CHUNK,
        (row.first_millis > 0).then(|| seconds(row.first_millis)),
    )
    .with(gen_ai::INPUT_TOKENS, row.input)
    .with(gen_ai::OUTPUT_TOKENS, row.output)
    .with(gen_ai::CACHE_READ_TOKENS, row.cached)
    .with(gen_ai::CACHE_WRITTEN_TOKENS, row.written)
    .with(gen_ai::REASONING_TOKENS, row.reasoning)
    .maybe(gen_ai::AGENT_NAME, row.agent.clone())
    .with(maestria::COST, dollars(row.cost))
    .with(maestria::ROUTE_REASON, row.reason.as_str())
    .with(maestria::RETRIES, row.retries)
    .maybe(maestria::RUN, row.run.clone())
    .maybe(maestria::TASK, row.task.clone())
    .failing(failure(row))
}

#[expect(clippy::cast_precision_loss, reason = "times of calls are far below 2^52 ms")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests;
