//! A run with a face on it, driven here or followed at a server: the live view on a terminal, plain lines elsewhere, JSON lines
//! for programs.

mod face;

use super::{Context, Done, Failure, lists::print_json};
use crate::{
    args::Manner,
    exit::Exit,
    place::{Going, Heard, Place},
};
use face::Face;
use maestria_kernel::{Run, RunId, Seq, decision::About, state::RunState};
use maestria_server::{Leave, Patience};
use std::{
    io::{BufRead as _, IsTerminal as _},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

/// A new run at its first event, so that it is told from there.
pub(super) async fn at_its_beginning(place: &Place, id: RunId) -> Result<Run, Failure> {
    let mut run = Run::blank(id);
    if let Some(first) = place.events(id, Seq::default(), &[]).await?.first() {
        run.apply(&first.stored.event, first.stored.at);
    }
    Ok(run)
}

/// Goes on with a run to its end, or until only a person can go on and none is here, telling what has happened since it was as
/// `run` says; then closes the product.
pub(super) async fn drive(context: &Context, place: &Place, run: Run, manner: &Manner) -> Done {
    let done = drive_all(context, place, run, manner).await;
    place.close().await;
    done
}

async fn drive_all(context: &Context, place: &Place, run: Run, manner: &Manner) -> Done {
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !manner.jsonl;
    let patience = if interactive { Patience::Wait } else { Patience::Leave };
    // From here on a Ctrl-C is a word to the run, whatever is being done at that moment.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut face = Face::new(context, manner, run, interactive);
    face.begin(place).await?;
    let mut lines = interactive.then(read_lines);
    loop {
        let (run, leave) = drive_once(place, &mut face, (&mut lines, &mut interrupts), patience).await?;
        // The driver leaves as soon as only a person can go on; here the recommendations are that person.
        if leave != Leave::No || !face.answer_recommended(place).await {
            face.end(&run);
            if manner.json {
                print_json(&run)?;
            }
            return Ok(exit_of(&run));
        }
    }
}

async fn drive_once(
    place: &Place,
    face: &mut Face<'_>,
    (lines, interrupts): (&mut Option<mpsc::Receiver<String>>, &mut Signal),
    patience: Patience,
) -> Result<(Run, Leave), Failure> {
    face.begin_anew();
    let mut going = Going::begin(place, face.run().id, patience).await?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut times = 0u8;
    let ended = loop {
        tokio::select! {
            heard = going.next() => match heard {
                Heard::Ended(ended) => break *ended,
                heard => face.hear(place, heard).await?,
            },
            _ = tick.tick() => face.paint(),
            Some(()) = interrupts.recv() => {
                times = times.saturating_add(1);
                face.interrupted(times);
                going.leave(if times == 1 { Leave::Pause } else { Leave::Abort });
            }
            Some(line) = next_line(lines) => face.answer(place, &line).await,
        }
        face.answer_recommended(place).await;
    };
    let caught_up = face.catch_up(place).await;
    let run = ended?;
    caught_up?;
    Ok((run, going.leaves()))
}

async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// Lines from stdin, read by a thread of its own: a blocking read cannot be cancelled, and ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What a run's end means to the caller.
fn exit_of(run: &Run) -> Exit {
    let budget = run.open_decisions().any(|d| matches!(d.about, About::Budget));
    match run.state {
        RunState::Completed => Exit::Ok,
        RunState::Failed => Exit::RunFailed,
        RunState::Aborted | RunState::Aborting | RunState::Paused(_) => Exit::Paused,
        RunState::Escalated(_) if budget => Exit::Budget,
        RunState::Escalated(_) => Exit::Waiting,
        RunState::Active(_) => Exit::Paused,
    }
}
