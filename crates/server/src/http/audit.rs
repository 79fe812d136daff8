//! The audit trail: who did what, on whose leave.

use super::{
    Shared, State,
    ask::{Args, limit, text},
    problem::Refusal,
    reply::{self, Answer},
    runs::{behind, cursor, find},
};
use crate::audit::{self, Wanted};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
};
use futures_util::stream;
use maestria_api::{Page, problem::Code};
use maestria_sandbox::audit::Audit;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Read as _},
};

/// Read of the trail at once.
const PIECE: u64 = 64 << 10;

#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// Only of who did or decided it.
    who: Option<String>,
    /// Only what begins so, such as `decision.`.
    what: Option<String>,
    /// Only of this run.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /audit`
pub(super) async fn list(shared: State, headers: HeaderMap, Args(mut filter): Args<Filter>) -> Answer {
    if text(&headers, "accept").is_some_and(|accept| accept.starts_with("application/jsonl")) {
        return export(&shared, &filter).await;
    }
    let most = limit(filter.limit, 50, 200)?;
    let given = filter.cursor.take();
    let before = given.map(|given| behind(&filter, &given)).transpose()?;
    let before = before.map(|place| {
        place
            .parse::<u64>()
            .map_err(|_| Refusal::new(Code::BadCursor, "the cursor is of another list"))
    });
    let before = before.transpose()?.unwrap_or(u64::MAX);
    let wanted = Wanted {
        who: filter.who.clone(),
        what: filter.what.clone(),
        run: match &filter.run {
            Some(given) => Some(find(&shared, given).await?.to_string()),
            None => None,
        },
    };
    let page = read(&shared, move |trail| audit::newest(&trail, &wanted, before, most)).await?;
    let (items, place) = page?;
    let next = place.map(|place| cursor(&filter, &place.to_string()));
    reply::json(&headers, &Page { items, next })
}

/// The trail as it stands, for files: a filter would tear the chain.
async fn export(shared: &Shared, filter: &Filter) -> Answer {
    if [&filter.who, &filter.what, &filter.run, &filter.cursor]
        .iter()
        .any(|part| part.is_some())
        || filter.limit.is_some()
    {
        return Err(Refusal::new(
            Code::BadValue,
            "the trail is exported whole, without any parameter",
        ));
    }
    let trail = read(shared, |trail| trail.export()).await??;
    let pieces = stream::try_unfold(trail, |trail| async {
        let Some(trail) = trail else { return Ok(None) };
        // An error tears the connection, so that half a trail is not taken for a whole one.
        tokio::task::spawn_blocking(|| piece(trail))
            .await
            .map_err(io::Error::other)?
    });
    let body = Body::from_stream(pieces);
    Ok(reply::plain(StatusCode::OK, body, "application/jsonl; charset=utf-8"))
}

/// What comes next of the trail, and the rest of it; none at its end.
fn piece(mut trail: io::Take<File>) -> io::Result<Option<(Bytes, Option<io::Take<File>>)>> {
    let mut piece = Vec::new();
    trail.by_ref().take(PIECE).read_to_end(&mut piece)?;
    let rest = (!piece.is_empty()).then_some(Some(trail));
    Ok(rest.map(|rest| (Bytes::from(piece), rest)))
}

/// `GET /audit/verify`
pub(super) async fn verify(shared: State, headers: HeaderMap) -> Answer {
    let checked = read(&shared, |trail| audit::check(&trail)).await?;
    reply::json(&headers, &checked)
}

/// Reads the trail once it has caught up with what is stored.
async fn read<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(Audit) -> T + Send + 'static,
) -> Result<T, Refusal> {
    shared.app.audited.follow().await;
    let trail = audit::trail(&shared.app.config.store);
    let done = tokio::task::spawn_blocking(move || read(trail)).await;
    done.map_err(|e| Refusal::new(Code::Internal, e.to_string()))
}
