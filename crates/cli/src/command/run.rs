//! `maestria run`: submit a request and drive it, or only show its plan.

use super::{
    Context, Done, Failure, by,
    drive::{at_its_beginning, drive},
    lists::print_json,
    serve,
};
use crate::{args, exit::Exit, place::Place, render};
use maestria_kernel::{AgentName, RunId};
use maestria_server::{Options, Wish};
use std::io::Read as _;

pub(super) async fn execute(context: &Context, args: args::Run) -> Done {
    let text = if args.task == "-" {
        read_task()?
    } else {
        args.task.clone()
    };
    let place = context.place_with(Options {
        copy_plain: args.copy,
        ..Options::default()
    })?;
    check_place(&place, &args)?;
    let wish = Wish {
        text,
        target: args.target,
        workspace: args.workspace,
        workflow: args.workflow,
        agents: args.agents.iter().map(|n| AgentName::from(n.as_str())).collect(),
        budget: args.budget,
        by: by(),
    };
    if args.dry_run {
        let planned = place.plan(wish).await?;
        println!("{}", render::plan(&planned, context.paint));
        return Ok(Exit::Ok);
    }
    let id = place.submit(wish).await?;
    if args.detach {
        return detach(&place, id, args.manner.json).await;
    }
    let run = at_its_beginning(&place, id).await?;
    let beside = match &place {
        Place::Here(here) => serve::beside(context, here.app().await?, args.beside, id).await,
        Place::There(_) => serve::Standing::default(),
    };
    let done = drive(context, &place, run, &args.manner).await;
    beside.end().await;
    done
}

/// Refuses what only a server can do, or only this machine.
fn check_place(place: &Place, args: &args::Run) -> Result<(), Failure> {
    let only_here = [
        (
            "--copy",
            args.copy,
            "name a target that is in a git repository on the server's machine",
        ),
        ("--port", args.beside.port.is_some(), "the server has its own dashboard"),
    ];
    match place {
        Place::Here(_) if args.detach => Err(Failure {
            exit: Exit::Usage,
            ..Failure::user(
                "`--detach` leaves the run to a server, and none is named",
                "`maestria serve`, then `--server http://127.0.0.1:8090 --detach`",
            )
        }),
        Place::Here(_) => Ok(()),
        Place::There(_) => match only_here.into_iter().find(|(_, given, _)| *given) {
            Some((name, _, hint)) => Err(Failure {
                exit: Exit::Usage,
                ..Failure::user(format!("`{name}` does not go with `--server`"), hint)
            }),
            None => Ok(()),
        },
    }
}

/// Leaves the run to the server.
async fn detach(place: &Place, id: RunId, json: bool) -> Done {
    if json {
        return print_json(&place.load(id).await?);
    }
    println!("{id}");
    eprintln!("the server goes on with it; `maestria tail {}` follows it", id.short());
    Ok(Exit::Ok)
}

fn read_task() -> Result<String, Failure> {
    let mut text = String::new();
    let most = maestria_kernel::request::LONGEST_TASK as u64 + 1;
    std::io::stdin().take(most).read_to_string(&mut text)?;
    Ok(text)
}
