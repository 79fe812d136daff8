//! The stream of events, which outlives its connections: a lost one is made again after the last number that was told, so
//! that nothing is lost or repeated, across restarts of the server.

mod message;

use super::{Client, ClientError, exchange::content_type, query::Query};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Method,
    body::Incoming,
    header::{ACCEPT, HeaderName},
};
use maestria_kernel::{RunId, port::Numbered};
use message::{Message, Messages};
use serde::Deserialize;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The server says something every ten seconds.
const SILENCE: Duration = Duration::from_secs(25);

/// The first pause after a lost connection, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a server may be away.
const AWAY: Duration = Duration::from_secs(300);

const KIND: &str = "text/event-stream";

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this run.
    pub run: Option<RunId>,
    /// Kinds, `noun.*` for all of a noun; all when empty.
    pub kinds: Vec<String>,
    /// Only those with a greater number.
    pub after: u64,
}

/// What a stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Tale {
    /// Something happened.
    Event(Box<Numbered>),
    /// Everything that has come was told; more may come.
    UpToDate,
    /// The connection is lost and will be made again; told once for each loss.
    Lost(ClientError),
}

/// Events as they happen.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    wanted: Wanted,
    /// The number up to which everything was told.
    told: u64,
    line: Option<Incoming>,
    messages: Messages,
    ready: VecDeque<Tale>,
    /// The server has told everything that was there when it was asked.
    is_caught_up: bool,
    /// Something was told since the last [`Tale::UpToDate`].
    is_behind: bool,
    lost: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    since: Instant,
    pause: Duration,
}

#[derive(Deserialize)]
struct Ready {
    number: u64,
}

impl Client {
    /// The events that are wanted, from after a number on and without end. Nothing is connected before the first is asked
    /// for.
    pub fn follow(&self, wanted: Wanted) -> EventStream {
        EventStream {
            client: self.clone(),
            told: wanted.after,
            wanted,
            line: None,
            messages: Messages::default(),
            ready: VecDeque::new(),
            is_caught_up: false,
            is_behind: true,
            lost: None,
        }
    }
}

impl EventStream {
    /// What comes next. Asking again after it was not waited for loses nothing.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached at first, says no, or stays away for five minutes.
    pub async fn next(&mut self) -> Result<Tale, ClientError> {
        loop {
            if let Some(tale) = self.ready.pop_front() {
                return Ok(tale);
            }
            if self.is_caught_up && std::mem::take(&mut self.is_behind) {
                return Ok(Tale::UpToDate);
            }
            let Some(line) = &mut self.line else {
                self.connect().await?;
                continue;
            };
            match tokio::time::timeout(SILENCE, line.frame()).await {
                Err(_) => self.lose(self.client.silent(SILENCE)),
                Ok(None) => self.lose(ClientError::Lost {
                    server: self.client.server(),
                    why: "the server has ended it".to_owned(),
                }),
                Ok(Some(Err(error))) => self.lose(ClientError::of(self.client.server(), &error, true)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data)?;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if let Some(loss) = &self.lost {
            tokio::time::sleep(loss.pause).await;
        }
        match self.open().await {
            Ok(line) => {
                self.line = Some(line);
                self.messages = Messages::default();
                self.is_caught_up = false;
                Ok(())
            }
            Err(error) => match &mut self.lost {
                Some(loss) if error.is_passing() && loss.since.elapsed() < AWAY => {
                    loss.pause = (loss.pause * 2).min(LONGEST_PAUSE);
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    async fn open(&self) -> Result<Incoming, ClientError> {
        let kinds = (!self.wanted.kinds.is_empty()).then(|| self.wanted.kinds.join(","));
        let query = Query::of("/api/v1/events")
            .and("run", self.wanted.run)
            .and("kinds", kinds);
        let last = self.told.to_string();
        let headers = [
            (ACCEPT, KIND),
            (HeaderName::from_static("last-event-id"), last.as_str()),
        ];
        let response = self
            .client
            .send(Method::GET, query.text(), Bytes::new(), &headers)
            .await?;
        let found = content_type(response.headers());
        if !found.starts_with(KIND) {
            return Err(self
                .client
                .foreign(format!("it answers with `{found}` where {KIND} belongs")));
        }
        Ok(response.into_body())
    }

    fn lose(&mut self, error: ClientError) {
        self.line = None;
        // A line that only just held is lost again: it is the same loss, and no reason to hurry.
        if self.lost.is_none() {
            self.lost = Some(Loss {
                since: Instant::now(),
                pause: PAUSE,
            });
            self.ready.push_back(Tale::Lost(error));
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), ClientError> {
        let mut came = Vec::new();
        let fed = self.messages.feed(data, |message| came.push(message));
        fed.map_err(|_| self.client.foreign("a message of the stream does not end".to_owned()))?;
        came.into_iter().try_for_each(|message| self.hear(&message))
    }

    fn hear(&mut self, message: &Message) -> Result<(), ClientError> {
        let unreadable = |error: serde_json::Error| {
            self.client
                .foreign(format!("a message of the stream cannot be read: {error}"))
        };
        match message.kind.as_str() {
            "" => {
                let event: Numbered = serde_json::from_str(&message.data).map_err(unreadable)?;
                if event.number > self.told {
                    self.told = event.number;
                    self.ready.push_back(Tale::Event(Box::new(event)));
                }
                self.is_behind = true;
            }
            "ready" => {
                let ready: Ready = serde_json::from_str(&message.data).map_err(unreadable)?;
                self.told = self.told.max(ready.number);
                self.is_caught_up = true;
                self.is_behind = true;
            }
            "mark" => self.told = self.told.max(message.id.unwrap_or(0)),
            // Of a newer server, and not for us.
            _ => {}
        }
        // Whoever has something to say is well again.
        self.lost = None;
        Ok(())
    }
}
