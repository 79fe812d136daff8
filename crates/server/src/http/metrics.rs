//! `GET /metrics`: what Prometheus reads; docs/observability.md tells of each figure. What counts is added up from what is
//! stored, so a restart loses nothing, and the number of series is bounded whatever models, runs and agents there are.

mod exposition;
mod meter;
mod now;
mod sums;
mod tally;

pub(crate) use meter::Meter;

use super::{State, problem::Refusal, reply};
use axum::{http::StatusCode, response::Response};

/// `GET /metrics`
pub(super) async fn show(shared: State) -> Result<Response, Refusal> {
    let store = shared.app.engine.store();
    let mut families = now::of_runs(&shared).await?;
    families.extend(shared.meter.read(&*store, &*shared.books, sums::families).await?);
    families.extend(now::of_budgets(&shared).await?);
    families.extend(now::of_server(&shared).await?);
    let mut text = String::new();
    families.iter().for_each(|family| family.write(&mut text));
    Ok(reply::plain(
        StatusCode::OK,
        text,
        "text/plain; version=0.0.4; charset=utf-8",
    ))
}
