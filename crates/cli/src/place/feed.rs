//! Events as they happen: of one run from some event on, or of all from some number on.

use super::Place;
use crate::command::Failure;
use maestria_api::client::{Client, EventStream, Tale, Wanted};
use maestria_kernel::{
    RunId, Seq,
    port::{Numbered, Store},
};
use std::{sync::Arc, time::Duration};

/// Events read at once.
const PAGE: u32 = 2048;

/// How often the store is looked at for new ones.
const PAUSE: Duration = Duration::from_millis(200);

/// What a feed tells.
pub(crate) enum News {
    /// The next events, in order.
    Events(Vec<Numbered>),
    /// There are no more for now.
    UpToDate,
}

/// A reader of events. It never ends by itself.
pub(crate) enum Feed {
    /// Of this machine's store.
    Here {
        store: Arc<dyn Store>,
        from: Position,
        /// It has said that there are no more.
        rests: bool,
    },
    /// A run at a server: its past in pages, because the stream would look through all runs for it.
    Past {
        client: Client,
        run: RunId,
        after: Seq,
        number: u64,
    },
    /// At a server, from now on.
    Stream(Box<EventStream>),
}

/// Up to where it was read.
pub(crate) enum Position {
    Run(RunId, Seq),
    All(u64),
}

impl Feed {
    /// A run's events after one of them.
    pub(crate) async fn of_run(place: &Place, run: RunId, after: Seq) -> Result<Self, Failure> {
        Ok(match place {
            Place::Here(here) => Self::here(here.app().await?.engine.store(), Position::Run(run, after)),
            Place::There(client) => Self::Past {
                client: client.clone(),
                run,
                after,
                number: 0,
            },
        })
    }

    /// All events after a number; from now on if there is none.
    pub(crate) async fn of_all(place: &Place, after: Option<u64>) -> Result<Self, Failure> {
        match place {
            Place::Here(here) => {
                let store = here.app().await?.engine.store();
                let after = match after {
                    Some(after) => after,
                    None => store.newest().await?,
                };
                Ok(Self::here(store, Position::All(after)))
            }
            Place::There(client) => {
                let after = match after {
                    Some(after) => after,
                    None => client.meta().await?.number,
                };
                Ok(Self::stream(client, None, after))
            }
        }
    }

    fn here(store: Arc<dyn Store>, from: Position) -> Self {
        Self::Here {
            store,
            from,
            rests: false,
        }
    }

    fn stream(client: &Client, run: Option<RunId>, after: u64) -> Self {
        let wanted = Wanted {
            run,
            after,
            ..Wanted::default()
        };
        Self::Stream(Box::new(client.follow(wanted)))
    }

    /// What comes next; waits when the last answer was [`News::UpToDate`].
    pub(crate) async fn next(&mut self) -> Result<News, Failure> {
        match self {
            Self::Here { store, from, rests } => {
                if *rests {
                    tokio::time::sleep(PAUSE).await;
                }
                let page = from.read(&**store).await?;
                *rests = page.is_empty();
                Ok(if page.is_empty() {
                    News::UpToDate
                } else {
                    News::Events(page)
                })
            }
            Self::Past {
                client,
                run,
                after,
                number,
            } => {
                // One event again at first: the stream goes on by its number.
                let again = u64::from(*number == 0);
                let from = Seq(after.0.saturating_sub(again));
                let mut page = client.events(*run, from, &[]).await?.items;
                page.iter().for_each(|event| *number = event.number);
                page.retain(|event| event.stored.seq > *after);
                if let Some(last) = page.last() {
                    *after = last.stored.seq;
                    return Ok(News::Events(page));
                }
                *self = Self::stream(client, Some(*run), *number);
                Ok(News::UpToDate)
            }
            Self::Stream(stream) => loop {
                match stream.next().await? {
                    Tale::Event(event) => return Ok(News::Events(vec![*event])),
                    Tale::UpToDate => return Ok(News::UpToDate),
                    Tale::Lost(why) => eprintln!("note: {why}; trying again"),
                }
            },
        }
    }
}

impl Position {
    async fn read(&mut self, store: &dyn Store) -> Result<Vec<Numbered>, Failure> {
        let page = match self {
            Self::Run(run, after) => store.numbered(*run, *after, PAGE).await?,
            Self::All(after) => store.feed(*after, PAGE).await?,
        };
        if let Some(last) = page.last() {
            match self {
                Self::Run(_, after) => *after = last.stored.seq,
                Self::All(after) => *after = last.number,
            }
        }
        Ok(page)
    }
}
