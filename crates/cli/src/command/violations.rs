//! `maestria violations`: what a run's workers did or tried that they may not.

use super::{Context, Done, lists::print_json};
use crate::{args::Which, exit::Exit, render};
use maestria_api::violation::ViolationLine;
use maestria_kernel::{Seq, port::Stored};

pub(super) async fn execute(context: &Context, which: &Which) -> Done {
    let place = context.place()?;
    let id = place.find(&which.run).await?;
    let run = place.load(id).await?;
    let mut found: Vec<Stored> = Vec::new();
    let mut after = Seq::default();
    loop {
        let page = place.events(id, after, &["violation.recorded"]).await?;
        let Some(last) = page.last() else { break };
        after = last.stored.seq;
        found.extend(page.into_iter().map(|event| event.stored));
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
