//! `maestria violations`: what a run's workers did or tried that they may not.

use super::{Context, Done, find, lists::print_json};
use crate::{args::Which, exit::Exit, render};
use maestria_api::violation::ViolationLine;
use maestria_kernel::{Event, Seq, port::Stored};

/// Events read at once.
const PAGE: u32 = 4096;

pub(super) async fn execute(context: &Context, which: &Which) -> Done {
    let app = context.app().await?;
    let id = find(&app, &which.run).await?;
    let run = app.engine.load(id).await?;
    let store = app.engine.store();
    let mut found: Vec<Stored> = Vec::new();
    let mut after = Seq::default();
    loop {
        let page = store.events(id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        let violations = page
            .into_iter()
            .filter(|stored| matches!(stored.event, Event::ViolationRecorded { .. }));
        found.extend(violations);
    }
    if which.output.json {
        let lines: Vec<_> = found
            .iter()
            .filter_map(|stored| ViolationLine::of(&run, stored))
            .collect();
        return print_json(&lines);
    }
    for line in found
        .iter()
        .filter_map(|stored| render::line(stored, &run, true, context.paint))
    {
        println!("{line}");
    }
    if found.is_empty() {
        eprintln!("no worker of {id} did or tried what it may not");
    }
    Ok(Exit::Ok)
}
