//! What people do with a run after they started it.

use super::{Context, Done, Failure, by, drive::drive, find};
use crate::{
    args::{Face, Which},
    exit::Exit,
};
use maestria_kernel::{Command, Event, RunId, TaskKey, state::RunState};
use maestria_server::{App, EngineError, Leave, Patience};
use tokio::sync::watch;

pub(super) async fn pause(context: &Context, which: &Which) -> Done {
    let app = context.app().await?;
    let run = find(&app, &which.run).await?;
    app.engine.send(run, Command::Pause { by: by() }).await?;
    eprintln!("{} is paused; `maestria resume {}` goes on", run, run.short());
    Ok(Exit::Ok)
}

pub(super) async fn resume(context: &Context, face: &Face) -> Done {
    let app = context.app().await?;
    let run = if face.run == "last" {
        app.last_unfinished().await?
    } else {
        None
    };
    let run = match run {
        Some(run) => run,
        None => find(&app, &face.run).await?,
    };
    let state = app.engine.load(run).await?.state;
    match state {
        RunState::Paused(_) => app.engine.send(run, Command::Resume { by: by() }).await?,
        RunState::Completed | RunState::Failed | RunState::Aborted => {
            let hint =
                "`maestria retry` starts what was left undone again; `maestria rerun --from TASK` does it all again";
            let owed = app.engine.store().owed(run).await?;
            if owed.is_empty() {
                return Err(Failure::user(
                    format!("{run} is {state}; there is nothing to resume"),
                    hint,
                ));
            }
        }
        RunState::Active(_) | RunState::Escalated(_) | RunState::Aborting => {}
    }
    drive_here_or_there(context, &app, run, face).await
}

/// Drives a run in this process, unless another one does so already.
async fn drive_here_or_there(context: &Context, app: &App, run: RunId, face: &Face) -> Done {
    match drive(context, app, run, &face.manner).await {
        Err(failure) if failure.what.contains("being driven by another") => {
            eprintln!("{}; it goes on there", failure.what);
            Ok(Exit::Ok)
        }
        done => done,
    }
}

pub(super) async fn abort(context: &Context, which: &Which, because: String) -> Done {
    let app = context.app().await?;
    let run = find(&app, &which.run).await?;
    app.engine.send(run, Command::Abort { by: by(), because }).await?;
    settle(&app, run).await?;
    eprintln!(
        "{run} is aborted; its work so far stays on its branches until `maestria discard {}`",
        run.short()
    );
    Ok(Exit::Ok)
}

/// Performs what a command owes, when nobody else does.
async fn settle(app: &App, run: RunId) -> Result<(), Failure> {
    let (_stay, leave) = watch::channel(Leave::No);
    match app.engine.drive(run, Patience::Leave, leave).await {
        Ok(_) | Err(EngineError::Lease(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn retry(context: &Context, face: &Face) -> Done {
    let app = context.app().await?;
    let run = find(&app, &face.run).await?;
    app.engine.send(run, Command::Retry { by: by() }).await?;
    drive_here_or_there(context, &app, run, face).await
}

pub(super) async fn rerun(context: &Context, face: &Face, from: &str) -> Done {
    let app = context.app().await?;
    let run = find(&app, &face.run).await?;
    let loaded = app.engine.load(run).await?;
    let key = TaskKey::new(from.to_uppercase());
    let Some(task) = loaded.by_key(&key) else {
        let keys: Vec<_> = loaded.ordered().iter().map(|t| t.plan.key.to_string()).collect();
        return Err(Failure::user(
            format!("{run} has no task {from}"),
            format!("it has {}", keys.join(", ")),
        ));
    };
    app.engine
        .send(
            run,
            Command::Rerun {
                from: task.plan.id,
                by: by(),
            },
        )
        .await?;
    drive_here_or_there(context, &app, run, face).await
}

pub(super) async fn review(context: &Context, face: &Face) -> Done {
    let app = context.app().await?;
    let run = find(&app, &face.run).await?;
    app.engine.send(run, Command::RequestReview { by: by() }).await?;
    settle(&app, run).await?;
    let loaded = app.engine.load(run).await?;
    if let Some(review) = loaded.reviews.last() {
        match &review.opinion {
            Some(opinion) => {
                let verdict = opinion
                    .verdict
                    .map_or_else(|| "no verdict".to_owned(), |v| v.to_string());
                println!(
                    "{} by {}: {}",
                    verdict,
                    review.reviewer,
                    crate::render::clean(&opinion.text)
                );
                opinion
                    .findings
                    .iter()
                    .for_each(|f| println!("  {}", crate::render::clean(&f.to_string())));
            }
            None => eprintln!(
                "{} is asked; the answer will be in `maestria show {}`",
                review.reviewer,
                run.short()
            ),
        }
    }
    Ok(Exit::Ok)
}

pub(super) async fn apply(context: &Context, which: &Which) -> Done {
    let app = context.app().await?;
    let run = find(&app, &which.run).await?;
    let before = app.engine.load(run).await?.seq;
    app.engine.send(run, Command::Apply { by: by() }).await?;
    settle(&app, run).await?;
    for stored in app.engine.store().events(run, before, 1000).await? {
        match stored.event {
            Event::RunApplied { how, .. } => {
                println!("{how}");
                return Ok(Exit::Ok);
            }
            Event::RunNotApplied { because } => return Err(Failure::user(because, "")),
            _ => {}
        }
    }
    Err(Failure::user(
        format!("{run} is being applied by another maestria"),
        format!("see `maestria show {}`", run.short()),
    ))
}

pub(super) async fn discard(context: &Context, which: &Which) -> Done {
    let app = context.app().await?;
    let run = find(&app, &which.run).await?;
    app.engine.send(run, Command::Discard { by: by() }).await?;
    settle(&app, run).await?;
    eprintln!("{run}: branches and worktrees are removed; the session's documents stay");
    Ok(Exit::Ok)
}
