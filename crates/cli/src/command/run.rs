//! `maestria run`: submit a request and drive it, or only show its plan.

use super::{
    Context, Done, Failure, by,
    drive::{at_its_beginning, drive},
    lists::print_json,
    serve,
};
use crate::{args, exit::Exit, place::Place, render};
use maestria_kernel::{
    AgentName, At, Command, Run, RunId, decide,
    id::CommitId,
    port::{Boxed, Observer, PlanJob},
    request::{Ground, Request},
};
use maestria_server::{App, Options, Wish};
use std::{io::Read as _, sync::Arc};

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
    if let (true, Place::Here(here)) = (args.dry_run, &place) {
        let app = here.app().await?;
        return plan_only(context, app, app.request(wish)?).await;
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
            "--dry-run",
            args.dry_run,
            "a plan is made on the machine that it is for: run it there",
        ),
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

/// Makes the plan without a run: nothing is stored, no branch is made.
async fn plan_only(context: &Context, app: &App, request: Request) -> Done {
    maestria_kernel::request::check_task(&request.text).map_err(|e| Failure::user(e.to_string(), ""))?;
    if !std::path::Path::new(&request.target).is_dir() {
        let what = format!("the target {} is not a folder", request.target);
        return Err(Failure::user(what, "name an existing folder with --target"));
    }
    let ports = app.engine.ports();
    let agents = ports.agents.probe(&request.agents).await;
    let ground = Ground {
        repository: request.target.clone(),
        base: CommitId::from(""),
        branch: None,
        integration: String::new(),
        notes: Vec::new(),
    };
    let run = app.new_run();
    let job = PlanJob {
        run,
        request: Arc::new(request.clone()),
        ground: Arc::new(ground.clone()),
        agents: agents.clone(),
    };
    let plan = ports
        .planner
        .plan(job, &Nobody)
        .await
        .map_err(|e| Failure::user(e, ""))?;
    let commands = [
        Command::Submit {
            request: Box::new(request),
        },
        Command::Prepared {
            ground: Box::new(ground),
            agents,
        },
        Command::Propose { plan: Box::new(plan) },
    ];
    let planned = play(run, &commands)?;
    println!("{}", render::plan(&planned, context.paint));
    Ok(Exit::Ok)
}

/// Decides commands on paper.
fn play(id: RunId, commands: &[Command]) -> Result<Run, Failure> {
    let mut run = Run::blank(id);
    for command in commands {
        let now: At = super::now();
        let events = decide(&run, command, now).map_err(|e| Failure::user(e.to_string(), ""))?;
        events.iter().for_each(|event| run.apply(event, now));
    }
    Ok(run)
}

/// A dry run has no log.
struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _event: maestria_kernel::Event) {}

    fn ask(
        &self,
        _task: maestria_kernel::TaskId,
        _question: maestria_kernel::permission::Question,
        _because: String,
    ) -> Boxed<'_, maestria_kernel::decision::Choice> {
        Box::pin(async { maestria_kernel::decision::Choice::Refuse })
    }
}
