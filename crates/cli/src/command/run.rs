//! `maestria run`: submit a request and drive it, or only show its plan.

use super::{Context, Done, Failure, by, drive::drive, serve};
use crate::{args, exit::Exit, render};
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
    let app = context
        .app_with(Options {
            copy_plain: args.copy,
            ..Options::default()
        })
        .await?;
    let wish = Wish {
        text,
        target: args.target,
        workspace: args.workspace,
        workflow: args.workflow,
        agents: args.agents.iter().map(|n| AgentName::from(n.as_str())).collect(),
        budget: args.budget,
        by: by(),
    };
    let request = app.request(wish)?;
    if args.dry_run {
        return plan_only(context, &app, request).await;
    }
    app.check_day_budget().await?;
    let run = app.engine.submit(request).await?;
    let app = Arc::new(app);
    let beside = serve::beside(context, &app, args.beside, run).await;
    let done = drive(context, &app, run, &args.manner).await;
    beside.end().await;
    done
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
