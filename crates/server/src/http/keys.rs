//! The keys to the API: made, listed, revoked; by admins alone.

use super::{
    State,
    access::Revoked,
    ask::Body,
    problem::Refusal,
    reply::{self, Answer},
};
use crate::app::AppError;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use maestria_api::{
    Page,
    meta::{MadeKey, NewKey, Revoke},
    problem::Code,
    run::Nothing,
};
use std::time::Duration;

/// The longest life that can be wished for; more is none.
const MOST_DAYS: u32 = 3650;

/// `GET /keys`
pub(super) async fn list(shared: State, headers: HeaderMap) -> Answer {
    let keys = shared.access.keys().map_err(refusal)?;
    reply::json(&headers, &Page::whole(keys))
}

/// `POST /keys`
pub(super) async fn add(shared: State, Body(wish): Body<NewKey>) -> Answer {
    if wish.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        let what = format!("`days` is 1 to {MOST_DAYS}; a key without is good until it is revoked");
        return Err(Refusal::new(Code::BadValue, what).field("days"));
    }
    let life = wish.days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
    let made = shared.access.add_key(&wish.name, wish.role, crate::now(), life);
    let (key, line) = made.map_err(|error| refusal(error).field("name"))?;
    let mut response = reply::done(StatusCode::CREATED, &MadeKey { key, line })?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `POST /keys/revoke`
pub(super) async fn revoke(shared: State, Body(what): Body<Revoke>) -> Answer {
    let revoked = shared.access.revoke(&what.name, crate::now());
    match revoked.map_err(|error| refusal(error).field("name"))? {
        Revoked::Key(line) => reply::done(StatusCode::OK, &line),
        Revoked::Credential(_) => reply::done(StatusCode::OK, &Nothing {}),
    }
}

fn refusal(error: AppError) -> Refusal {
    match error {
        AppError::Config(what) | AppError::NotFound(what) => {
            Refusal::new(Code::BadValue, what).hint("`maestria token list` shows those there are")
        }
        other => Refusal::new(Code::StoreUnavailable, other.to_string()),
    }
}
