//! Plans without runs.

use super::{
    State,
    access::Caller,
    ask::Body,
    graph,
    problem::Refusal,
    reply::{self, Answer},
    runs::app_refusal,
    shown, submissions,
};
use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header},
};
use maestria_api::{
    problem::Code,
    run::{Planned, Submission},
};
use std::time::Duration;

/// How long the plan may take; clients wait a little longer.
const PATIENCE: Duration = Duration::from_secs(100);

/// `POST /plans`
pub(super) async fn make(
    shared: State,
    Extension(caller): Extension<Caller>,
    Body(submission): Body<Submission>,
) -> Answer {
    let request = submissions::request(&shared, caller.name, submission)?;
    let planning = async {
        let _place = shared.plans.acquire().await;
        shared.app.plan(request).await
    };
    let planned = tokio::time::timeout(PATIENCE, planning).await;
    let late = |_| {
        Refusal::new(
            Code::NoPlan,
            format!("no plan was made within {} s", PATIENCE.as_secs()),
        )
    };
    let run = planned.map_err(late)?.map_err(app_refusal)?;
    let planned = Planned {
        graph: graph::lay_out(&run),
        estimate: shown::estimate(&run),
        run,
    };
    let mut response = reply::done(StatusCode::OK, &planned)?;
    // It changes nothing, so that it need not be remembered for who asks again.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
