//! What people do with a run after they started it.

use super::{Context, Done, Failure, drive::drive};
use crate::{
    args::{Face, Which},
    exit::Exit,
    place::Place,
    render,
};
use maestria_api::client::Act;
use maestria_kernel::{
    Event, Run, Task, TaskKey,
    review::Review,
    state::{RunState, TaskState},
};

pub(super) async fn pause(context: &Context, which: &Which) -> Done {
    let place = context.place()?;
    let run = place.find(&which.run).await?;
    place.act(run, Act::Pause).await?;
    eprintln!("{} is paused; `maestria resume {}` goes on", run, run.short());
    Ok(Exit::Ok)
}

pub(super) async fn resume(context: &Context, face: &Face) -> Done {
    let place = context.place()?;
    let unfinished = if face.run == "last" {
        place.last_unfinished().await?
    } else {
        None
    };
    let id = match unfinished {
        Some(run) => run,
        None => place.find(&face.run).await?,
    };
    let run = place.load(id).await?;
    if run.state.is_finished() && !owes(&place, &run).await? {
        return Err(Failure::user(
            format!("{id} is {}; there is nothing to resume", run.state),
            "`maestria retry` starts what was left undone again; `maestria rerun --from TASK` does it all again",
        ));
    }
    // A server begins to drive what nobody drives; here that is done next.
    if matches!(run.state, RunState::Paused(_)) || matches!(place, Place::There(_)) {
        place.act(id, Act::Resume).await?;
    }
    drive_here_or_there(context, &place, run, face).await
}

/// Whether a finished run still has something to be done, which a server does by itself.
async fn owes(place: &Place, run: &Run) -> Result<bool, Failure> {
    match place {
        Place::Here(here) => Ok(!here.app().await?.engine.store().owed(run.id).await?.is_empty()),
        Place::There(_) => Ok(false),
    }
}

/// Goes on with a run from where it was before it was acted on, unless another process of this machine drives it.
async fn drive_here_or_there(context: &Context, place: &Place, run: Run, face: &Face) -> Done {
    match drive(context, place, run, &face.manner).await {
        Err(failure) if failure.what.contains("being driven by another") => {
            eprintln!("{}; it goes on there", failure.what);
            Ok(Exit::Ok)
        }
        done => done,
    }
}

pub(super) async fn abort(context: &Context, which: &Which, because: String) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    place.act(run.id, Act::Abort { because }).await?;
    let is_over = |event: &Event| matches!(event, Event::RunTransitioned { to, .. } if to.is_finished());
    place.outcome(run.id, run.seq, is_over).await?;
    eprintln!(
        "{} is aborted; its work so far stays on its branches until `maestria discard {}`",
        run.id,
        run.id.short()
    );
    Ok(Exit::Ok)
}

pub(super) async fn retry(context: &Context, face: &Face) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&face.run).await?).await?;
    place.act(run.id, Act::Retry).await?;
    drive_here_or_there(context, &place, run, face).await
}

pub(super) async fn rerun(context: &Context, face: &Face, from: &str, message: Option<String>) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&face.run).await?).await?;
    let from = task(&run, from)?.plan.id;
    place.act(run.id, Act::Rerun { from, message }).await?;
    drive_here_or_there(context, &place, run, face).await
}

/// Tells the agent of a task something: what, of which file, of which line.
pub(super) async fn tell(
    context: &Context,
    which: &Which,
    key: Option<&str>,
    (text, file, line): (String, Option<String>, Option<u32>),
) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    let told = match (key, run.ordered().as_slice()) {
        (Some(key), _) => task(&run, key)?,
        (None, [only]) => *only,
        (None, all) => {
            let what = format!("{} has {} tasks; say which is meant", run.id, all.len());
            return Err(Failure::user(what, format!("--task: it has {}", keys(&run))));
        }
    };
    let (task, key, at_work) = (told.plan.id, &told.plan.key, told.state == TaskState::Running);
    place.act(run.id, Act::Tell { task, text, file, line }).await?;
    let when = if at_work {
        "with its next attempt, which follows the one under way"
    } else {
        "with its next attempt"
    };
    eprintln!("{key} is told {when}");
    Ok(Exit::Ok)
}

/// The task that a person means.
fn task<'a>(run: &'a Run, key: &str) -> Result<&'a Task, Failure> {
    run.by_key(&TaskKey::new(key.to_uppercase())).ok_or_else(|| {
        let what = format!("{} has no task {key}", run.id);
        Failure::user(what, format!("it has {}", keys(run)))
    })
}

fn keys(run: &Run) -> String {
    let keys: Vec<_> = run.ordered().iter().map(|t| t.plan.key.to_string()).collect();
    keys.join(", ")
}

pub(super) async fn review(context: &Context, face: &Face) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&face.run).await?).await?;
    place.act(run.id, Act::Review).await?;
    // It comes with an opinion, or with a state in which nobody gives one any more.
    let is_over = |event: &Event| match event {
        Event::ReviewReceived { .. } => true,
        Event::RunTransitioned { to, .. } => !matches!(to, RunState::Active(_)),
        _ => false,
    };
    place.outcome(run.id, run.seq, is_over).await?;
    if let Some(review) = place.load(run.id).await?.reviews.last() {
        print_review(review, &run);
    }
    Ok(Exit::Ok)
}

fn print_review(review: &Review, run: &Run) {
    let Some(opinion) = &review.opinion else {
        eprintln!(
            "{} is asked; the answer will be in `maestria show {}`",
            review.reviewer,
            run.id.short()
        );
        return;
    };
    let verdict = opinion
        .verdict
        .map_or_else(|| "no verdict".to_owned(), |v| v.to_string());
    println!("{} by {}: {}", verdict, review.reviewer, render::clean(&opinion.text));
    let findings = opinion.findings.iter();
    findings.for_each(|finding| println!("  {}", render::clean(&finding.to_string())));
}

pub(super) async fn apply(context: &Context, which: &Which) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    place.act(run.id, Act::Apply).await?;
    let is_over = |event: &Event| matches!(event, Event::RunApplied { .. } | Event::RunNotApplied { .. });
    match place.outcome(run.id, run.seq, is_over).await? {
        Some(Event::RunApplied { how, .. }) => {
            println!("{how}");
            Ok(Exit::Ok)
        }
        Some(Event::RunNotApplied { because }) => Err(Failure::user(because, "")),
        _ => Err(Failure::user(
            format!("{} is being applied by another maestria", run.id),
            format!("see `maestria show {}`", run.id.short()),
        )),
    }
}

pub(super) async fn discard(context: &Context, which: &Which) -> Done {
    let place = context.place()?;
    let run = place.load(place.find(&which.run).await?).await?;
    place.act(run.id, Act::Discard).await?;
    place
        .outcome(run.id, run.seq, |event| matches!(event, Event::RunDiscarded))
        .await?;
    eprintln!(
        "{}: branches and worktrees are removed; the session's documents stay",
        run.id
    );
    Ok(Exit::Ok)
}
