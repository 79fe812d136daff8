//! `maestria events` and `maestria tail`: what happens, as it happens, in one run or across all.

use super::{Context, Done, Failure};
use crate::{
    args::Which,
    exit::Exit,
    out,
    place::{Feed, News, Place},
    render,
};
use maestria_kernel::{Event, Run, RunId, Seq, port::Numbered};
use std::collections::{HashMap, hash_map::Entry};

/// A run's events, one JSON a line; with `follow`, until it ends.
pub(super) async fn events(context: &Context, which: &Which, follow: bool) -> Done {
    let place = context.place()?;
    let run = place.find(&which.run).await?;
    let mut feed = Feed::of_run(&place, run, Seq::default()).await?;
    let mut has_ended = false;
    loop {
        match feed.next().await? {
            News::Events(page) => {
                for event in &page {
                    println!("{}", render::json_line(run, &event.stored));
                }
                has_ended = ends(&page).unwrap_or(has_ended);
            }
            News::UpToDate if has_ended || !follow => return Ok(Exit::Ok),
            News::UpToDate => {}
        }
        // When the reader has gone, it has seen enough.
        if out::is_broken() {
            return Ok(Exit::Ok);
        }
    }
}

/// Events of all runs after a number, one JSON a line.
pub(super) async fn since(context: &Context, number: u64, follow: bool) -> Done {
    let place = context.place()?;
    let mut feed = Feed::of_all(&place, Some(number)).await?;
    loop {
        match feed.next().await? {
            News::Events(page) => {
                for event in &page {
                    println!("{}", serde_json::to_string(event).unwrap_or_default());
                }
            }
            News::UpToDate if !follow => return Ok(Exit::Ok),
            News::UpToDate => {}
        }
        if out::is_broken() {
            return Ok(Exit::Ok);
        }
    }
}

/// Lines for people: of one run from its beginning to its end, or of all runs from now on.
pub(super) async fn tail(context: &Context, run: Option<&str>) -> Done {
    let place = context.place()?;
    let mut feed = match run {
        Some(given) => Feed::of_run(&place, place.find(given).await?, Seq::default()).await?,
        None => Feed::of_all(&place, None).await?,
    };
    let mut teller = Teller {
        context,
        place: &place,
        runs: HashMap::new(),
    };
    let mut has_ended = false;
    loop {
        match feed.next().await? {
            News::Events(page) => {
                for event in &page {
                    if let Some(line) = teller.line(event).await? {
                        println!("{line}");
                    }
                }
                has_ended = ends(&page).unwrap_or(has_ended);
            }
            News::UpToDate if has_ended && run.is_some() => return Ok(Exit::Ok),
            News::UpToDate => {}
        }
        if out::is_broken() {
            return Ok(Exit::Ok);
        }
    }
}

/// Whether the run that these are of is finished after them; nothing when they say nothing of it.
fn ends(page: &[Numbered]) -> Option<bool> {
    page.iter().rev().find_map(|event| match &event.stored.event {
        Event::RunTransitioned { to, .. } => Some(to.is_finished()),
        _ => None,
    })
}

/// Tells events as lines: what they are about is in their runs.
struct Teller<'a> {
    context: &'a Context,
    place: &'a Place,
    runs: HashMap<RunId, Run>,
}

impl Teller<'_> {
    async fn line(&mut self, event: &Numbered) -> Result<Option<String>, Failure> {
        let stored = &event.stored;
        let run = match self.runs.entry(event.run) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.place.load(event.run).await?),
        };
        if stored.seq.0 == run.seq.0 + 1 {
            run.apply(&stored.event, stored.at);
        } else if stored.seq > run.seq {
            *run = self.place.load(event.run).await?;
        }
        let Context { verbose, paint, .. } = self.context;
        let line = render::line(stored, run, *verbose, *paint);
        Ok(line.map(|line| format!("{} {line}", paint.dim(&event.run.short()))))
    }
}
