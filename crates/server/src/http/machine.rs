//! The server itself and the machine it is on.

use super::{
    State,
    access::Caller,
    ask::Body,
    contract::document,
    operations,
    problem::Refusal,
    reply::{self, Answer},
};
use axum::{
    Extension,
    http::{HeaderMap, StatusCode},
};
use maestria_api::{
    Page,
    meta::{ConfiguredAgent, Health, Lengths, Meta, Role, SignIn, SignedIn},
    problem::Code,
    run::Nothing,
};
use serde_json::Value;
use std::sync::LazyLock;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /health`. Asks nothing of the store: what the tail met last is known.
pub(super) async fn health(shared: State, headers: HeaderMap) -> Answer {
    let trouble = shared.tail.trouble();
    let status = match (*shared.stopping.borrow(), &trouble) {
        (true, _) => "stopping",
        (false, Some(_)) => "degraded",
        (false, None) => "ok",
    };
    let (at_work, queued) = shared.host.lengths();
    let health = Health {
        status: status.to_owned(),
        version: VERSION.to_owned(),
        store: trouble.unwrap_or_else(|| "ok".to_owned()),
        uptime_seconds: shared.started.elapsed().as_secs(),
        runs: Lengths { at_work, queued },
    };
    reply::json(&headers, &health)
}

/// Written once; it is the same for everybody.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document::write(&operations::all()));

/// `GET /openapi.json`
pub(super) async fn openapi(headers: HeaderMap) -> Answer {
    reply::json(&headers, &*DOCUMENT)
}

/// `GET /meta`
pub(super) async fn meta(shared: State, headers: HeaderMap, Extension(caller): Extension<Caller>) -> Answer {
    let meta = Meta {
        version: VERSION.to_owned(),
        started_at: shared.started_at,
        now: crate::now(),
        number: shared.rows.newest().await?,
        name: caller.name,
        role: caller.role,
        features: ["audit", "gateway", "messages"].map(str::to_owned).to_vec(),
        listen: shared.site.listen().to_string(),
    };
    reply::json(&headers, &meta)
}

/// `POST /sign-in`
pub(super) async fn sign_in(shared: State, Body(body): Body<SignIn>) -> Answer {
    let Some(issued) = shared.access.redeem(&body.code, crate::now()) else {
        let what = "the code is used, older than ten minutes, or none of this server's";
        return Err(Refusal::new(Code::BadCode, what).hint("`maestria open` makes a new link"));
    };
    let answer = SignedIn {
        token: issued.credential,
        name: "dashboard".to_owned(),
        role: Role::Admin,
        expires_at: Some(issued.end),
    };
    reply::done(StatusCode::OK, &answer)
}

/// `GET /agents`
pub(super) async fn agents(shared: State, headers: HeaderMap) -> Answer {
    let agents = crate::configured_agents(&shared.app.config);
    let items = agents.into_iter().map(|(name, how)| ConfiguredAgent { name, how });
    reply::json(&headers, &Page::whole(items.collect()))
}

/// `POST /agents/probe`
pub(super) async fn probe(shared: State, Body(Nothing {}): Body<Nothing>) -> Answer {
    let agents = shared.app.engine.ports().agents.probe(&[]).await;
    reply::done(StatusCode::OK, &Page::whole(agents))
}

/// `GET /workflows`
pub(super) async fn workflows(shared: State, headers: HeaderMap) -> Answer {
    reply::json(&headers, &Page::whole(shared.app.workflows()))
}

/// `GET /doctor`
pub(super) async fn doctor(shared: State, headers: HeaderMap) -> Answer {
    reply::json(&headers, &Page::whole(crate::doctor(&shared.sources).await))
}

/// `GET /config`
pub(super) async fn config(shared: State, headers: HeaderMap) -> Answer {
    let settings = shared.app.config.settings(&shared.sources.path());
    reply::json(&headers, &settings)
}
