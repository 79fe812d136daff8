//! A run that goes on: driven by this process, or followed at the server that drives it. Both end at the same moments: when the
//! run is finished, or when only a person can go on and none is here.

use super::Place;
use crate::command::Failure;
use maestria_api::{
    client::{Act, Client, ClientError, Tale, Wanted},
    run::RunView,
};
use maestria_kernel::{Run, RunId, port::Stored, state::RunState};
use maestria_server::{EngineError, Leave, Patience};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
};

/// Events that a slow face may be behind.
const NEWS: usize = 256;

/// How long a finished run's last work is waited for, and how often it is looked at.
const LAST_WORK: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a server may be away in the middle of a run.
const AWAY: Duration = Duration::from_secs(300);

/// What is heard of it.
pub(crate) enum Heard {
    /// Something happened.
    Event(Arc<Stored>),
    /// Something went by too fast.
    Missed,
    /// A word for the person.
    Note(String),
    /// It goes on no more: the run as it is then.
    Ended(Box<Result<Run, Failure>>),
}

/// A run that goes on.
pub(crate) struct Going {
    going: JoinHandle<Result<Run, Failure>>,
    news: Source,
    leave: watch::Sender<Leave>,
}

enum Source {
    Here(broadcast::Receiver<Arc<Stored>>),
    There(mpsc::Receiver<Heard>),
}

impl Going {
    /// Drives a run here, or follows it there.
    pub(crate) async fn begin(place: &Place, run: RunId, patience: Patience) -> Result<Self, Failure> {
        let (leave, leaving) = watch::channel(Leave::No);
        let (going, news) = match place {
            Place::Here(here) => {
                let app = here.app().await?;
                app.observe().await;
                let engine = app.engine.clone();
                let news = Source::Here(engine.watch(run).await);
                // On its own: while an answer is sent to the driver, the driver has to run.
                let driving = async move { Ok(engine.drive(run, patience, leaving).await?) };
                (tokio::spawn(driving), news)
            }
            Place::There(client) => {
                let (teller, news) = mpsc::channel(NEWS);
                let following = follow(client.clone(), run, patience, leaving, teller);
                (tokio::spawn(following), Source::There(news))
            }
        };
        Ok(Self { going, news, leave })
    }

    /// What is heard next. Not to be asked again after [`Heard::Ended`].
    pub(crate) async fn next(&mut self) -> Heard {
        tokio::select! {
            ended = &mut self.going => {
                let ended = ended.unwrap_or_else(|defect| {
                    let what = format!("the driver ended early: {defect}");
                    Err(EngineError::Bug { what }.into())
                });
                Heard::Ended(Box::new(ended))
            }
            heard = self.news.next() => heard,
        }
    }

    /// Asks it to be paused or aborted, and to end.
    pub(crate) fn leave(&self, leave: Leave) {
        // Only the driver listens; it may have ended this very moment.
        let _ = self.leave.send(leave);
    }

    /// What it was asked.
    pub(crate) fn leaves(&self) -> Leave {
        *self.leave.borrow()
    }
}

impl Source {
    async fn next(&mut self) -> Heard {
        let heard = match self {
            Self::Here(news) => match news.recv().await {
                Ok(stored) => Some(Heard::Event(stored)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Missed),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            Self::There(news) => news.recv().await,
        };
        match heard {
            Some(heard) => heard,
            // It is about to end.
            None => std::future::pending().await,
        }
    }
}

/// Follows a run as a driver would drive it.
async fn follow(
    client: Client,
    id: RunId,
    patience: Patience,
    mut leaving: watch::Receiver<Leave>,
    teller: mpsc::Sender<Heard>,
) -> Result<Run, Failure> {
    let RunView { mut run, number, .. } = client.run(id).await?;
    let mut stream = client.follow(Wanted {
        run: Some(id),
        after: number,
        ..Wanted::default()
    });
    let mut asked = Leave::No;
    loop {
        if is_over(&run, patience, asked) {
            run = settled(&client, id).await?;
            if is_over(&run, patience, asked) {
                return Ok(run);
            }
        }
        tokio::select! {
            tale = stream.next() => match tale? {
                Tale::Event(event) => {
                    let stored = event.stored;
                    if stored.seq > run.seq {
                        run.apply(&stored.event, stored.at);
                    }
                    // Nobody listens only when the whole program ends.
                    let _ = teller.send(Heard::Event(Arc::new(stored))).await;
                }
                Tale::Lost(why) => {
                    let _ = teller.send(Heard::Note(format!("{why}; trying again"))).await;
                }
                Tale::UpToDate => {}
            },
            Ok(()) = leaving.changed() => {
                asked = *leaving.borrow_and_update();
                go(&client, id, asked, &teller).await;
            }
        }
    }
}

/// Whether it goes on no more: finished, or only a person can go on.
fn is_over(run: &Run, patience: Patience, asked: Leave) -> bool {
    match run.state {
        RunState::Completed | RunState::Failed | RunState::Aborted => true,
        RunState::Escalated(_) | RunState::Paused(_) => patience == Patience::Leave || asked == Leave::Pause,
        RunState::Active(_) | RunState::Aborting => false,
    }
}

/// The run as the server has it now; of a finished one, once its last work is done. The server may be away for a while.
async fn settled(client: &Client, run: RunId) -> Result<Run, ClientError> {
    let begun = Instant::now();
    loop {
        match client.run(run).await {
            Ok(view) if view.driven && view.run.state.is_finished() && begun.elapsed() < LAST_WORK => {}
            Ok(view) => return Ok(view.run),
            Err(error) if error.is_passing() && begun.elapsed() < AWAY => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Pauses or aborts, as the person wishes; what the run does not take, it does not.
async fn go(client: &Client, run: RunId, leave: Leave, teller: &mpsc::Sender<Heard>) {
    let act = match leave {
        Leave::No => return,
        Leave::Pause => Act::Pause,
        Leave::Abort => Act::Abort { because: String::new() },
    };
    if let Err(error) = client.act(run, &act).await {
        let _ = teller.send(Heard::Note(error.to_string())).await;
    }
}
