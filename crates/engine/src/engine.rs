//! The engine as its users see it: submit, drive, watch, and send commands to runs wherever they are driven.

use crate::{
    book::{Book, Declined, Origin},
    clock::Clock,
    driver::{Driver, Leave, Message, Patience},
    lease::{Lease, LeaseError},
};
use maestria_kernel::{
    Command, Refused, Run, RunId,
    port::{Agents, Once, Planner, Repository, Store, StoreError, Stored},
    request::{BadTask, Request, check_task},
};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};
use tracing::Instrument as _;
use uuid::Uuid;

/// Messages from workers that may lie unread before workers have to wait.
const MESSAGES: usize = 1024;

/// Events that a slow watcher may be behind before it has to read the log again.
const NEWS: usize = 4096;

/// How long a command to a run in another process waits for its answer.
const ANSWER: Duration = Duration::from_secs(15);

/// How often it looks for that answer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the engine is plugged into.
#[derive(Clone)]
pub struct Ports {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Makes plans.
    pub planner: Arc<dyn Planner>,
    /// Does the work.
    pub agents: Arc<dyn Agents>,
    /// Holds the work.
    pub repository: Arc<dyn Repository>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// What can go wrong with a run, as against within it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The task text is not taken.
    #[error(transparent)]
    Task(#[from] BadTask),
    /// The store failed; nothing was acknowledged that is not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process drives the run.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The run does not take the command.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The process that drives the run does not take the command.
    #[error("{0}")]
    RefusedElsewhere(String),
    /// The process that drives the run did not answer.
    #[error("{run} is driven by process {holder}, which has not answered for {} s; see `maestria show {run}`", ANSWER.as_secs())]
    NoAnswer {
        /// The run.
        run: RunId,
        /// Who drives it.
        holder: String,
    },
    /// A defect of Maestria.
    #[error("this is a defect of maestria, please report it: {what}")]
    Bug {
        /// What happened.
        what: String,
    },
}

impl From<Declined> for EngineError {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Refused(refused) => refused.into(),
            Declined::Repeated(sent) => StoreError::Repeated(sent).into(),
        }
    }
}

/// Drives runs.
#[derive(Debug)]
pub struct Engine {
    ports: Ports,
    locks: PathBuf,
    tails: Mutex<HashMap<RunId, Tail>>,
}

#[derive(Debug)]
struct Tail {
    news: broadcast::Sender<Arc<Stored>>,
    /// The way to the driver, while this process drives the run.
    driver: Option<mpsc::Sender<Message>>,
}

impl Engine {
    /// An engine on its ports; `locks` is a folder for the leases.
    pub fn new(ports: Ports, locks: PathBuf) -> Self {
        Self {
            ports,
            locks,
            tails: Mutex::new(HashMap::new()),
        }
    }

    /// Stores a new run. Nothing is done before it is driven.
    ///
    /// # Errors
    /// [`EngineError::Task`] for a task text that is not taken; [`EngineError::Store`].
    pub async fn submit(&self, request: Request) -> Result<RunId, EngineError> {
        Ok(self.enlist(request, None).await?.id)
    }

    /// The same, for somebody who shows the run at once, and whose submission may come again.
    ///
    /// # Errors
    /// As [`Engine::submit`]; [`StoreError::Repeated`] when it did come again.
    pub async fn enlist(&self, request: Request, once: Option<Once>) -> Result<Run, EngineError> {
        check_task(&request.text)?;
        let id = RunId::new(Uuid::now_v7());
        let mut book = Book::blank(self.ports.store.clone(), self.ports.clock.clone(), id);
        let command = Command::Submit {
            request: Box::new(request),
        };
        book.take(&command, once).await??;
        Ok(book.run)
    }

    /// A run as its log has it now.
    ///
    /// # Errors
    /// [`Refused::Unknown`] when there is no such run; [`EngineError::Store`].
    pub async fn load(&self, id: RunId) -> Result<Run, EngineError> {
        let book = self.open(id).await?;
        if book.is_blank() {
            Err(Refused::Unknown.into())
        } else {
            Ok(book.run)
        }
    }

    /// The events of a run as they are stored by this process.
    pub async fn watch(&self, id: RunId) -> broadcast::Receiver<Arc<Stored>> {
        let mut tails = self.tails.lock().await;
        tails.retain(|_, tail| tail.is_used());
        tails.entry(id).or_insert_with(Tail::new).news.subscribe()
    }

    /// The store, for readers of logs and lists.
    pub fn store(&self) -> Arc<dyn Store> {
        self.ports.store.clone()
    }

    /// The ports, for questions beside a run: who is there, what a diff looks like.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Drives a run until it is finished, only a person can go on, or `leave` says go. What was under way when an
    /// earlier driver died goes on.
    ///
    /// # Errors
    /// [`EngineError::Lease`] when another process drives it; [`EngineError::Store`] when nothing can be stored any
    /// more: whatever was acknowledged is safe, and `resume` goes on from there.
    pub async fn drive(
        &self,
        id: RunId,
        patience: Patience,
        leave: watch::Receiver<Leave>,
    ) -> Result<Run, EngineError> {
        let _lease = Lease::take(&self.locks, id).await?;
        let book = self.open(id).await?;
        if book.is_blank() {
            return Err(Refused::Unknown.into());
        }
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let news = {
            let mut tails = self.tails.lock().await;
            let tail = tails.entry(id).or_insert_with(Tail::new);
            tail.driver = Some(sender.clone());
            tail.news.clone()
        };
        let driving = async {
            let driver = Driver::start(self.ports.clone(), book, news, (sender, receiver)).await?;
            driver.drive(patience, leave).await
        };
        // Whatever is logged meanwhile says of which run.
        let ended = driving.instrument(tracing::error_span!("run", run = %id)).await;
        if let Some(tail) = self.tails.lock().await.get_mut(&id) {
            tail.driver = None;
        }
        ended
    }

    /// Sends a command to a run: to this process's driver, to another process's through the inbox, or, when nobody
    /// drives it, straight into the log (what it owes is done by the next driver).
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the run does not take it.
    pub async fn send(&self, id: RunId, command: Command) -> Result<(), EngineError> {
        self.send_once(id, command, None).await
    }

    /// The same, for a command that may come again under its key: it is done once, and answered alike each time.
    ///
    /// # Errors
    /// As [`Engine::send`]; [`StoreError::Repeated`] when the key stands for another request.
    pub async fn send_once(&self, id: RunId, command: Command, once: Option<Once>) -> Result<(), EngineError> {
        match self.deliver(id, command, once.clone()).await {
            Err(EngineError::Store(StoreError::Repeated(sent))) if once.is_some_and(|once| once.is(&sent)) => Ok(()),
            delivered => delivered,
        }
    }

    async fn deliver(&self, id: RunId, command: Command, once: Option<Once>) -> Result<(), EngineError> {
        let driver = self.tails.lock().await.get(&id).and_then(|t| t.driver.clone());
        if let Some(driver) = driver {
            let (reply, answer) = oneshot::channel();
            let message = Message::Command {
                command: Box::new(command.clone()),
                once: once.clone(),
                reply,
            };
            if driver.send(message).await.is_ok()
                && let Ok(answer) = answer.await
            {
                return answer.map_err(EngineError::from);
            }
        }
        match Lease::pass(&self.locks, id).await {
            Ok(_lease) => {
                self.open(id).await?.take(&command, once).await??;
                Ok(())
            }
            Err(LeaseError::Held { holder, .. }) => self.post(id, (command, once), holder).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn post(
        &self,
        id: RunId,
        (command, once): (Command, Option<Once>),
        holder: String,
    ) -> Result<(), EngineError> {
        let store = &self.ports.store;
        let Some(command) = maestria_secrets::funnel().clean_value(command) else {
            let what = "there is a secret where none can be; leave it out".to_owned();
            return Err(EngineError::RefusedElsewhere(what));
        };
        let number = store.post(id, command, once.clone()).await?;
        let deadline = tokio::time::Instant::now() + ANSWER;
        while tokio::time::Instant::now() < deadline {
            match store.answered(id, number).await? {
                Some(Ok(())) => return Ok(()),
                Some(Err(refused)) => return Err(self.refused_elsewhere(refused, once).await?),
                None => {}
            }
            // A driver may end with the command unread; then it is ours to answer.
            match Lease::pass(&self.locks, id).await {
                Ok(_lease) => self.answer_inbox(id).await?,
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Err(EngineError::NoAnswer { run: id, holder })
    }

    /// The process that drives the run says only a sentence; what a key stands for is in the store.
    async fn refused_elsewhere(&self, refused: String, once: Option<Once>) -> Result<EngineError, StoreError> {
        let sent = match once {
            Some(once) => self.ports.store.sent(once.key, self.ports.clock.now()).await?,
            None => None,
        };
        Ok(sent.map_or(EngineError::RefusedElsewhere(refused), |sent| {
            StoreError::Repeated(sent).into()
        }))
    }

    async fn answer_inbox(&self, id: RunId) -> Result<(), EngineError> {
        let mut book = self.open(id).await?;
        for posted in self.ports.store.inbox(id).await? {
            let (number, command, origin) = Origin::of(posted);
            let taken = book.take(&command, origin).await?;
            let refused = taken.err().map(Declined::words);
            self.ports.store.answer(id, number, refused).await?;
        }
        Ok(())
    }

    async fn open(&self, id: RunId) -> Result<Book, EngineError> {
        Ok(Book::open(self.ports.store.clone(), self.ports.clock.clone(), id).await?)
    }
}

impl Tail {
    fn new() -> Self {
        Self {
            news: broadcast::channel(NEWS).0,
            driver: None,
        }
    }

    /// Somebody watches, or drives.
    fn is_used(&self) -> bool {
        self.driver.is_some() || self.news.receiver_count() > 0
    }
}
