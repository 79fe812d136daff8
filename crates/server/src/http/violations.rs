//! What workers did or tried that they may not.

use super::{
    State,
    ask::{Args, limit},
    problem::Refusal,
    reply::{self, Answer},
    runs::{behind, cursor, find},
};
use crate::stream::view::View;
use axum::http::HeaderMap;
use maestria_api::{Page, problem::Code, violation::ViolationLine};
use maestria_kernel::port::Stored;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, Hash, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// The run; `last` if not given.
    #[schemars(regex(pattern = r"^(last|(run_)?[0-9a-f]{4,32})$"))]
    run: Option<String>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /violations`
pub(super) async fn list(shared: State, headers: HeaderMap, Args(mut filter): Args<Filter>) -> Answer {
    let most = limit(filter.limit, 50, 200)?;
    let given = filter.cursor.take();
    let before = given.map(|given| behind(&filter, &given)).transpose()?;
    let before = match before.map(|seq| seq.parse::<u64>()) {
        Some(Err(_)) => return Err(Refusal::new(Code::BadCursor, "the cursor is of another list")),
        Some(Ok(seq)) => Some(seq),
        None => None,
    };
    let run = find(&shared, filter.run.as_deref().unwrap_or("last")).await?;
    let lines = match shared.views.get(run).await? {
        Some(view) => lines(&view, before),
        None => Vec::new(),
    };
    let more = lines.len() > most;
    let items: Vec<ViolationLine> = lines.into_iter().take(most).collect();
    let last = items.last().filter(|_| more);
    let next = last.map(|line| cursor(&filter, &line.seq.0.to_string()));
    reply::json(&headers, &Page { items, next })
}

fn lines(view: &View, before: Option<u64>) -> Vec<ViolationLine> {
    let older = |stored: &&Stored| before.is_none_or(|before| stored.seq.0 < before);
    let newest_first = view.violations.iter().rev().filter(older);
    newest_first
        .filter_map(|stored| ViolationLine::of(&view.run, stored))
        .collect()
}
