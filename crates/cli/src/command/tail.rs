//! `maestria tail` and `maestria events --since`: what happens, across runs, as it happens.

use super::{Context, Done, Failure, find};
use crate::{exit::Exit, out, render};
use maestria_kernel::{
    Run, RunId, Seq,
    port::{Numbered, Store},
};
use maestria_server::App;
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

/// Events read at once.
const PAGE: u32 = 1024;

/// How often it is looked for new ones.
const PAUSE: Duration = Duration::from_millis(200);

/// Lines for people: of one run from its beginning to its end, or of all runs from now on.
pub(super) async fn tail(context: &Context, run: Option<&str>) -> Done {
    let app = context.app().await?;
    let store = app.engine.store();
    let mut place = match run {
        Some(given) => Place::Run(find(&app, given).await?, Seq::default()),
        None => Place::All(store.newest().await?),
    };
    loop {
        let page = place.next(&*store).await?;
        for line in lines(context, &app, &page).await? {
            println!("{line}");
        }
        // When the reader has gone, it has seen enough.
        if out::is_broken() || (page.is_empty() && place.has_ended(&app).await?) {
            return Ok(Exit::Ok);
        }
        if page.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Events of all runs after a number, one JSON a line.
pub(super) async fn since(context: &Context, number: u64, follow: bool) -> Done {
    let app = context.app().await?;
    let store = app.engine.store();
    let mut place = Place::All(number);
    loop {
        let page = place.next(&*store).await?;
        for event in &page {
            println!("{}", serde_json::to_string(event).unwrap_or_default());
        }
        if out::is_broken() || (page.is_empty() && !follow) {
            return Ok(Exit::Ok);
        }
        if page.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Up to where it was read.
enum Place {
    Run(RunId, Seq),
    All(u64),
}

impl Place {
    async fn next(&mut self, store: &dyn Store) -> Result<Vec<Numbered>, Failure> {
        let page = match self {
            Self::Run(run, after) => store.numbered(*run, *after, PAGE).await?,
            Self::All(after) => store.feed(*after, PAGE).await?,
        };
        if let Some(last) = page.last() {
            match self {
                Self::Run(_, after) => *after = last.stored.seq,
                Self::All(after) => *after = last.number,
            }
        }
        Ok(page)
    }

    /// Whether nothing more will come.
    async fn has_ended(&self, app: &App) -> Result<bool, Failure> {
        match self {
            Self::Run(run, _) => Ok(app.engine.load(*run).await?.state.is_finished()),
            Self::All(_) => Ok(false),
        }
    }
}

async fn lines(context: &Context, app: &App, page: &[Numbered]) -> Result<Vec<String>, Failure> {
    let mut runs: HashMap<RunId, Run> = HashMap::new();
    let mut lines = Vec::new();
    for event in page {
        let run = match runs.entry(event.run) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(app.engine.load(event.run).await?),
        };
        let line = render::line(&event.stored, run, context.verbose, context.paint);
        lines.extend(line.map(|line| format!("{} {line}", context.paint.dim(&event.run.short()))));
    }
    Ok(lines)
}
