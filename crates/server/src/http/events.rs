//! Events: a run's own in pages, and all of them as a stream that a reader can go on with from anywhere.

use super::{
    Shared, State,
    ask::{Args, limit, readable, text, words},
    guard,
    problem::Refusal,
    reply::{self, Answer},
    runs::{find, task, unknown},
};
use crate::stream::tail::{Follower, Told, Wanted, takes_kind};
use axum::{
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use maestria_api::{problem::Code, run::EventPage};
use maestria_kernel::{
    DecisionId, Event, ReviewId, Run, RunId, Seq, TaskId,
    port::{Numbered, Store, StoreError},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often a stream with nothing to tell says that it lives.
const BEAT: Duration = Duration::from_secs(10);

/// Events read from the store at once.
const STEP: u32 = 2048;

/// The parameters of a page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Place {
    /// Only after this `seq`; in a stream, this number.
    after: Option<u64>,
    /// Only before this `seq`.
    before: Option<u64>,
    /// `asc` or `desc`.
    #[schemars(extend("enum" = ["asc", "desc"]))]
    order: Option<String>,
    /// Kinds, and `noun.*` for all of a noun, with commas between.
    kinds: Option<String>,
    /// Only about this task: its id or key.
    task: Option<String>,
    /// The most on a page.
    #[schemars(range(min = 1, max = 2000))]
    limit: Option<u32>,
}

/// What of a run's events is wanted.
struct Filter {
    kinds: Vec<String>,
    /// The task, with the reviews and decisions that are about it.
    task: Option<(TaskId, Vec<ReviewId>, Vec<DecisionId>)>,
}

impl Filter {
    fn new(run: &Run, place: &Place) -> Result<Self, Refusal> {
        let kinds = words(place.kinds.as_deref());
        check_kinds(&kinds)?;
        let of = |id: TaskId| {
            let reviews = run.reviews.iter().filter(|r| r.task == Some(id)).map(|r| r.id);
            let decisions = run.decisions.iter().filter(|d| d.task() == Some(id)).map(|d| d.id);
            (id, reviews.collect(), decisions.collect())
        };
        let wanted = place.task.as_ref().map(|given| task(run, given)).transpose()?;
        Ok(Self {
            kinds,
            task: wanted.map(of),
        })
    }

    fn takes(&self, event: &Event) -> bool {
        takes_kind(&self.kinds, event.kind()) && self.task.as_ref().is_none_or(|task| concerns(event, task))
    }
}

fn concerns(event: &Event, (task, reviews, decisions): &(TaskId, Vec<ReviewId>, Vec<DecisionId>)) -> bool {
    // Events name their task, review or decision under one of these words, whatever their kind.
    let Ok(body) = serde_json::to_value(event) else {
        return false;
    };
    let id = |field: &str| {
        let value = body.get(field)?;
        value.as_str().or_else(|| value.get("id")?.as_str()).map(str::to_owned)
    };
    let names = |field: &str, wanted: &dyn Fn(&str) -> bool| id(field).is_some_and(|id| wanted(&id));
    names("task", &|given| given == task.to_string())
        || names("review", &|given| reviews.iter().any(|r| r.to_string() == given))
        || names("decision", &|given| decisions.iter().any(|d| d.to_string() == given))
}

fn check_kinds(kinds: &[String]) -> Result<(), Refusal> {
    let known = |wanted: &String| {
        Event::KINDS
            .iter()
            .any(|(kind, _)| takes_kind(std::slice::from_ref(wanted), kind))
    };
    match kinds.iter().find(|kind| !known(kind)) {
        Some(kind) => Err(
            Refusal::new(Code::BadValue, format!("there is no kind of event `{kind}`"))
                .field("kinds")
                .hint("kinds are such as `task.said`, or `task.*` for all of a noun"),
        ),
        None => Ok(()),
    }
}

/// `GET /runs/{run}/events`
pub(super) async fn page(
    shared: State,
    headers: HeaderMap,
    Path(given): Path<String>,
    Args(place): Args<Place>,
) -> Answer {
    let id = find(&shared, &given).await?;
    let view = shared.views.get(id).await?.ok_or_else(|| unknown(id))?;
    let filter = Filter::new(&view.run, &place)?;
    let newest = view.run.seq;
    drop(view);
    let store = shared.app.engine.store();
    if text(&headers, "accept").is_some_and(|accept| accept.starts_with("application/jsonl")) {
        if place.limit.is_some() {
            return Err(Refusal::new(Code::BadValue, "a file has no `limit`").field("limit"));
        }
        return Ok(lines(store, id, Seq(place.after.unwrap_or(0)), filter));
    }
    let most = limit(place.limit, 500, 2000)?;
    let (items, next) = match place.order.as_deref() {
        None | Some("asc") => forwards(&*store, id, place.after.unwrap_or(0), &filter, most).await?,
        Some("desc") => {
            let before = place.before.unwrap_or(newest.0 + 1).min(newest.0 + 1);
            backwards(&*store, id, before, &filter, most).await?
        }
        Some(other) => {
            let what = format!("`order` is `{other}`; it is asc or desc");
            return Err(Refusal::new(Code::BadValue, what).field("order"));
        }
    };
    let next = next.map(|seq| seq.to_string());
    reply::json(&headers, &EventPage { items, next })
}

async fn forwards(
    store: &dyn Store,
    run: RunId,
    mut after: u64,
    filter: &Filter,
    most: usize,
) -> Result<(Vec<Numbered>, Option<u64>), StoreError> {
    let mut items = Vec::new();
    loop {
        let page = store.numbered(run, Seq(after), STEP).await?;
        if page.is_empty() {
            return Ok((items, None));
        }
        for event in page {
            after = event.stored.seq.0;
            if filter.takes(&event.stored.event) {
                if items.len() == most {
                    let last = items.last().map(|e: &Numbered| e.stored.seq.0);
                    return Ok((items, last));
                }
                items.push(event);
            }
        }
    }
}

async fn backwards(
    store: &dyn Store,
    run: RunId,
    mut before: u64,
    filter: &Filter,
    most: usize,
) -> Result<(Vec<Numbered>, Option<u64>), StoreError> {
    let mut items: Vec<Numbered> = Vec::new();
    while before > 1 {
        let after = before.saturating_sub(u64::from(STEP) + 1);
        let count = u32::try_from(before - 1 - after).unwrap_or(STEP);
        let page = store.numbered(run, Seq(after), count).await?;
        for event in page.into_iter().rev() {
            if filter.takes(&event.stored.event) {
                if items.len() == most {
                    let last = items.last().map(|e| e.stored.seq.0);
                    return Ok((items, last));
                }
                items.push(event);
            }
        }
        before = after + 1;
    }
    Ok((items, None))
}

/// All events of a query, one a line.
fn lines(store: Arc<dyn Store>, run: RunId, after: Seq, filter: Filter) -> Response {
    let state = (store, after, filter);
    let pages = stream::unfold(state, move |(store, after, filter)| async move {
        let page = match store.numbered(run, after, STEP).await {
            Ok(page) => page,
            Err(error) => return Some((Err(std::io::Error::other(error.to_string())), (store, after, filter))),
        };
        let after = page.last()?.stored.seq;
        let wanted = page.iter().filter(|event| filter.takes(&event.stored.event));
        let text: String = wanted.map(|event| Told::new(event).json + "\n").collect();
        Some((Ok(Bytes::from(text)), (store, after, filter)))
    });
    typed(Body::from_stream(pages), "application/jsonl; charset=utf-8")
}

fn typed(body: Body, kind: &'static str) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The parameters of the stream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wish {
    /// Only of these runs: full ids, with commas between.
    run: Option<String>,
    /// Kinds, and `noun.*` for all of a noun, with commas between.
    kinds: Option<String>,
    /// Only after this `seq`; in a stream, this number.
    after: Option<u64>,
}

/// `GET /events`
pub(super) async fn stream(shared: State, headers: HeaderMap, Args(wish): Args<Wish>) -> Answer {
    let last = readable(&headers, "last-event-id")?.filter(|id| !id.is_empty());
    let last = last.map(|id| {
        id.parse::<u64>().map_err(|_| {
            Refusal::new(
                Code::BadValue,
                format!("`last-event-id` is `{id}`; it is an event's number"),
            )
            .field("last-event-id")
        })
    });
    let teller = Teller::new(&shared, &wish, last.transpose()?)?;
    let messages = stream::unfold(teller, |mut teller| async move {
        let text = teller.next().await?.message();
        Some((Ok::<_, Infallible>(Bytes::from(text)), teller))
    });
    // Whoever is let in no more hears no more, either.
    let credential = guard::credential(&headers).unwrap_or_default().to_owned();
    let shared = shared.0;
    let messages = messages.take_until(async move { shared.access.ends(&credential).await });
    let mut response = typed(Body::from_stream(messages), "text/event-stream");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What a stream tells.
#[derive(Debug)]
pub(super) enum Tale {
    Events(Vec<Arc<Told>>),
    /// Everything up to this number has been told.
    Ready(u64),
    /// Nothing of interest up to this number.
    Mark(u64),
    /// The line lives.
    Beat,
}

impl Tale {
    /// As a server-sent event.
    fn message(&self) -> String {
        match self {
            Self::Events(events) => events
                .iter()
                .map(|told| format!("id: {}\ndata: {}\n\n", told.number, told.json))
                .collect(),
            Self::Ready(number) => format!("event: ready\ndata: {{\"number\":{number}}}\n\n"),
            Self::Mark(number) => format!("event: mark\nid: {number}\ndata: {{}}\n\n"),
            Self::Beat => ": beat\n\n".to_owned(),
        }
    }
}

/// Tells the stream to one reader. It is asked only when the reader takes more: a slow one waits in the log.
pub(super) struct Teller {
    follower: Follower,
    stopping: watch::Receiver<bool>,
    ready: bool,
    /// The last number that was told.
    told: u64,
}

impl Teller {
    /// Tells what is wished for, after a number, or else after the wish's own, or from now.
    pub(super) fn new(shared: &Shared, wish: &Wish, after: Option<u64>) -> Result<Self, Refusal> {
        let mut runs = Vec::new();
        for given in words(wish.run.as_deref()) {
            let id = given
                .parse()
                .map_err(|bad: maestria_kernel::id::BadId| Refusal::new(Code::BadId, bad.to_string()).field("run"));
            runs.push(id?);
        }
        let kinds = words(wish.kinds.as_deref());
        check_kinds(&kinds)?;
        // Nobody has seen what is not there yet; such a number is of another database.
        let after = after.or(wish.after).map(|after| after.min(shared.tail.at()));
        Ok(Self {
            follower: Follower::new(shared.tail.clone(), Wanted { runs, kinds }, after),
            stopping: shared.stopping.clone(),
            ready: false,
            told: 0,
        })
    }

    /// The next tale; none ends the stream. One that is not waited for to its end is not lost.
    pub(super) async fn next(&mut self) -> Option<Tale> {
        loop {
            match self.follower.next().await {
                Ok(Some(events)) => {
                    self.told = self.follower.at();
                    return Some(Tale::Events(events));
                }
                Ok(None) if !self.ready => {
                    self.ready = true;
                    self.told = self.follower.at();
                    return Some(Tale::Ready(self.told));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a stream ends because the store cannot be read");
                    return None;
                }
            }
            tokio::select! {
                () = self.follower.wait() => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = tokio::time::sleep(BEAT) => break,
            }
        }
        Some(self.beat())
    }

    /// Nothing of interest came; a reader that looked at much all the same is moved on.
    fn beat(&mut self) -> Tale {
        let at = self.follower.at();
        if at > self.told {
            self.told = at;
            return Tale::Mark(at);
        }
        Tale::Beat
    }
}
