//! `maestria decisions`: questions that wait for a person.

use super::{Context, Done, Failure, lists::print_json};
use crate::{args::Decisions, exit::Exit, place::Place, render};
use maestria_kernel::{RunId, decision::Decision};

pub(super) async fn execute(context: &Context, verb: Option<Decisions>) -> Done {
    let place = context.place()?;
    match verb {
        None => list(context, &place, false).await,
        Some(Decisions::List(output)) => list(context, &place, output.json).await,
        Some(Decisions::Show { id }) => {
            let (run, decision) = find(&place, &id).await?;
            println!("{}", render::decision(&decision, run, context.paint));
            Ok(Exit::Ok)
        }
        Some(Decisions::Approve { id, option, because }) => {
            let (run, decision) = find(&place, &id).await?;
            let choice = match &option {
                None => None,
                Some(word) => Some(
                    decision
                        .options
                        .iter()
                        .map(|o| o.choice)
                        .find(|c| c.as_str() == word)
                        .ok_or_else(|| {
                            let words: Vec<_> = decision.options.iter().map(|o| o.choice.as_str()).collect();
                            Failure::user(format!("`{word}` is no option of {}", decision.id), words.join(", "))
                        })?,
                ),
            };
            let goes_on = place.answer(run, decision.id, choice, true, because).await?;
            tell(run, goes_on)
        }
        Some(Decisions::Deny { id, because }) => {
            let (run, decision) = find(&place, &id).await?;
            let goes_on = place.answer(run, decision.id, None, false, because).await?;
            tell(run, goes_on)
        }
    }
}

fn tell(run: RunId, goes_on: bool) -> Done {
    if goes_on {
        eprintln!("answered; {run} goes on");
    } else {
        eprintln!("answered; `maestria resume {}` goes on", run.short());
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context, place: &Place, json: bool) -> Done {
    let open = place.open_decisions().await?;
    if json {
        let all: Vec<_> = open.iter().map(|(_, decision)| decision).collect();
        return print_json(&all);
    }
    if open.is_empty() {
        eprintln!("no decision waits");
    }
    for (run, decision) in &open {
        println!("{}\n", render::decision(decision, *run, context.paint));
    }
    Ok(Exit::Ok)
}

async fn find(place: &Place, given: &str) -> Result<(RunId, Decision), Failure> {
    let open = place.open_decisions().await?;
    let matches =
        |d: &Decision| d.id.to_string() == given || d.id.to_string().ends_with(given.trim_start_matches("dec_"));
    let mut found: Vec<_> = open.into_iter().filter(|(_, d)| matches(d)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Failure::user(
            format!("`{given}` fits several decisions"),
            "give more of the id",
        )),
        (None, _) => Err(Failure::user(
            format!("no open decision `{given}`"),
            "`maestria decisions` lists them",
        )),
    }
}
