//! The one thread that writes: it commits whatever has come in meanwhile as one group, then answers.

use super::{
    location::Location,
    record::{Failure, Write},
    upkeep::{Upkeep, write_back},
};
use maestria_kernel::port::StoreError;
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Requests under way at once; more callers wait their turn. Also the largest group.
const ROOM: usize = 256;

/// A group is closed when it has this many bytes, so that a transaction stays small.
const GROUP_BYTES: usize = 8 << 20;

/// How long nothing must have been asked before the thread tidies up.
const IDLE: Duration = Duration::from_millis(50);

type Answer = Result<u64, StoreError>;

enum Message {
    Write(Request),
    Close(oneshot::Sender<()>),
}

struct Request {
    write: Write,
    answer: oneshot::Sender<Answer>,
    /// Held until the request is dealt with: what bounds the channel.
    _room: OwnedSemaphorePermit,
}

/// The callers' side of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Sender<Message>,
    room: Arc<Semaphore>,
    groups: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn start(connection: Connection, location: &Arc<Location>) -> Result<Self, StoreError> {
        let (messages, inbound) = mpsc::channel();
        let groups = Arc::new(AtomicU64::new(0));
        let scribe = Scribe {
            connection,
            location: Arc::clone(location),
            groups: Arc::clone(&groups),
            failed: None,
        };
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || scribe.serve(&inbound))
            .map_err(|e| location.unwritable(format!("no thread for writing: {e}")))?;
        Ok(Self {
            messages,
            room: Arc::new(Semaphore::new(ROOM)),
            groups,
        })
    }

    /// Has `write` stored; returns when it is on disk.
    pub(super) async fn write(&self, write: Write) -> Answer {
        let closed = |_| StoreError::Closed;
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(closed)?;
        let (answer, answered) = oneshot::channel();
        let request = Request {
            write,
            answer,
            _room: room,
        };
        self.messages
            .send(Message::Write(request))
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        self.room.close();
        let (done, ended) = oneshot::channel();
        if self.messages.send(Message::Close(done)).is_ok() {
            // An error means that the thread had ended before, which is as good.
            let _ = ended.await;
        }
    }

    pub(super) fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }
}

/// The thread's side.
struct Scribe {
    connection: Connection,
    location: Arc<Location>,
    groups: Arc<AtomicU64>,
    /// Why nothing is written any more.
    failed: Option<StoreError>,
}

impl Scribe {
    fn serve(mut self, inbound: &Receiver<Message>) {
        let mut upkeep = Upkeep::default();
        let mut closing = None;
        while closing.is_none() {
            let first = if upkeep.is_due() {
                inbound.recv_timeout(IDLE)
            } else {
                inbound.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                Ok(Message::Close(done)) => closing = Some(done),
                Ok(Message::Write(request)) => {
                    closing = self.serve_group(request, inbound);
                    upkeep.note_writes();
                }
                Err(RecvTimeoutError::Timeout) => self.failed = upkeep.step(&self.connection, &self.location).err(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.failed.is_some() {
                upkeep = Upkeep::default(); // a disk in doubt is left alone
            }
        }
        if self.failed.is_none() {
            // Nobody is left to be told of a failure, and the log keeps what was acknowledged.
            let _ = write_back(&self.connection, &self.location);
        }
        drop(self.connection);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// Commits `first` and all that waits behind it. Returns a wish to close if one lies among them.
    fn serve_group(&mut self, first: Request, inbound: &Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut bytes = first.write.bytes();
        let mut group = vec![first];
        let mut closing = None;
        while group.len() < ROOM && bytes < GROUP_BYTES {
            match inbound.try_recv() {
                Ok(Message::Write(request)) => {
                    bytes += request.write.bytes();
                    group.push(request);
                }
                Ok(Message::Close(done)) => {
                    closing = Some(done);
                    break;
                }
                Err(_) => break,
            }
        }
        let answers = self.commit(&group);
        for (request, answer) in group.into_iter().zip(answers) {
            // A caller that has gone away does not want to know.
            let _ = request.answer.send(answer);
        }
        closing
    }

    fn commit(&mut self, group: &[Request]) -> Vec<Answer> {
        let refuse_all = |why: &StoreError| group.iter().map(|_| Err(why.clone())).collect();
        if let Some(why) = &self.failed {
            return refuse_all(why);
        }
        match self.transact(group) {
            Ok(answers) => {
                self.groups.fetch_add(1, Ordering::Relaxed);
                answers
            }
            Err(error) => {
                let why = self.location.fault(&error);
                let undone = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
                // Somebody else's lock passes. After any other failure, a failed flush above all, nobody knows what
                // the disk holds, and asking again could make it lie.
                if !undone || !matches!(why, StoreError::Locked { .. }) {
                    self.failed = Some(why.clone());
                }
                refuse_all(&why)
            }
        }
    }

    /// A request is refused before anything of it is written, so a refusal does not touch the others of the group.
    fn transact(&self, group: &[Request]) -> rusqlite::Result<Vec<Answer>> {
        self.run("BEGIN IMMEDIATE")?;
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            answers.push(match request.write.record(&self.connection) {
                Ok(number) => Ok(number),
                Err(Failure::Refused(why)) => Err(why),
                Err(Failure::Sql(error)) => return Err(error),
            });
        }
        self.run("COMMIT")?;
        Ok(answers)
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}
