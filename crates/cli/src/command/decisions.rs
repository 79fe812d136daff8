//! `maestria decisions`: questions that wait for a person.

use super::{Context, Done, Failure, by, lists::print_json};
use crate::{args::Decisions, exit::Exit, render};
use maestria_kernel::{Command, Run, decision::Decision};
use maestria_server::App;

pub(super) async fn execute(context: &Context, verb: Option<Decisions>) -> Done {
    let app = context.app().await?;
    match verb {
        None => list(context, &app, false).await,
        Some(Decisions::List(output)) => list(context, &app, output.json).await,
        Some(Decisions::Show { id }) => {
            let (run, decision) = find(&app, &id).await?;
            println!("{}", render::decision(&decision, &run, context.paint));
            Ok(Exit::Ok)
        }
        Some(Decisions::Approve { id, option, because }) => {
            let (run, decision) = find(&app, &id).await?;
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
            answer(
                &app,
                &run,
                Command::Answer {
                    decision: decision.id,
                    choice,
                    approve: true,
                    by: by(),
                    because,
                },
            )
            .await
        }
        Some(Decisions::Deny { id, because }) => {
            let (run, decision) = find(&app, &id).await?;
            let command = Command::Answer {
                decision: decision.id,
                choice: None,
                approve: false,
                by: by(),
                because,
            };
            answer(&app, &run, command).await
        }
    }
}

async fn answer(app: &App, run: &Run, command: Command) -> Done {
    app.engine.send(run.id, command).await?;
    if app.is_driven(run.id) {
        eprintln!("answered; {} goes on", run.id);
    } else {
        eprintln!("answered; `maestria resume {}` goes on", run.id.short());
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context, app: &App, json: bool) -> Done {
    let open = app.open_decisions().await?;
    if json {
        let all: Vec<_> = open.iter().map(|(_, decision)| decision).collect();
        return print_json(&all);
    }
    if open.is_empty() {
        eprintln!("no decision waits");
    }
    for (run, decision) in &open {
        println!("{}\n", render::decision(decision, run, context.paint));
    }
    Ok(Exit::Ok)
}

async fn find(app: &App, given: &str) -> Result<(Run, Decision), Failure> {
    let open = app.open_decisions().await?;
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
