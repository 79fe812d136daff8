//! The loop that drives one run: messages in, commands decided and stored, effects performed.
//!
//! Everything that happens to a run while it is driven passes through one channel, so the loop is the only place where
//! the run changes and no lock is needed.

use crate::{
    book::{Book, Committed, Declined, Origin},
    engine::{EngineError, Ports},
    journal::Journal,
    observer::Reporter,
    perform::{Snapshot, perform},
};
use maestria_kernel::{
    Command, DecisionId, Effect, EffectId, Event, Refused, Run, TaskId,
    decision::Choice,
    permission::Question,
    port::{Control, Once, Stored},
    state::RunState,
};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};
use tracing::Instrument as _;

/// Observations stored in one commit at the most.
const MOST_OBSERVED: usize = 256;

/// How often other processes' commands are looked for.
const INBOX: Duration = Duration::from_millis(150);

/// What to do when only a person can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Stay, and wait for the person.
    Wait,
    /// Leave; the run is gone on with by `resume`.
    Leave,
}

/// Whether the driver is asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Stay.
    No,
    /// Pause the run, stop its workers gracefully, and go.
    Pause,
    /// Abort the run, then go.
    Abort,
}

pub(crate) enum Message {
    Command {
        command: Box<Command>,
        once: Option<Once>,
        reply: oneshot::Sender<Result<(), Declined>>,
    },
    Observed(Box<Event>),
    Asked(Box<Asking>),
}

/// A worker that waits for a person.
pub(crate) struct Asking {
    pub(crate) task: TaskId,
    pub(crate) question: Question,
    pub(crate) because: String,
    pub(crate) reply: oneshot::Sender<Choice>,
}

pub(crate) struct Driver {
    ports: Ports,
    book: Book,
    journal: Journal,
    news: broadcast::Sender<Arc<Stored>>,
    messages: mpsc::Receiver<Message>,
    reporter: Arc<Reporter>,
    under_way: JoinSet<(EffectId, Option<Command>)>,
    owed: BTreeMap<EffectId, Effect>,
    /// Workers that wait for a person.
    asking: BTreeMap<DecisionId, Vec<Asking>>,
    /// Answers that workers are to be told next.
    answers: Vec<(DecisionId, Choice)>,
    /// Orders to workers that are being carried out.
    errands: JoinSet<()>,
    /// The workers were told to stop, since the run waits for a person.
    released: bool,
}

impl Driver {
    pub(crate) async fn start(
        ports: Ports,
        book: Book,
        news: broadcast::Sender<Arc<Stored>>,
        (sender, messages): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
    ) -> Result<Self, EngineError> {
        let workspace = book
            .run
            .request
            .as_ref()
            .map(|r| r.workspace.clone())
            .unwrap_or_default();
        let journal = Journal::open(Path::new(&workspace), book.run.id, &*ports.store).await?;
        let owed = book.owed().await?;
        let mut driver = Self {
            ports,
            book,
            journal,
            news,
            messages,
            reporter: Arc::new(Reporter::new(sender)),
            under_way: JoinSet::new(),
            owed: BTreeMap::new(),
            asking: BTreeMap::new(),
            answers: Vec::new(),
            errands: JoinSet::new(),
            released: false,
        };
        driver.begin(owed, true).await?;
        Ok(driver)
    }

    /// Drives until nothing is owed any more, only a person can go on (and patience says leave), or it is asked to go.
    pub(crate) async fn drive(
        mut self,
        patience: Patience,
        mut leave: watch::Receiver<Leave>,
    ) -> Result<Run, EngineError> {
        let mut inbox = tokio::time::interval(INBOX);
        inbox.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked_to_go = Leave::No;
        loop {
            if self.is_over(patience, asked_to_go) {
                break;
            }
            self.tell_answers().await?;
            self.release_workers(patience);
            tokio::select! {
                Some(message) = self.messages.recv() => self.handle(message).await?,
                Some(done) = self.under_way.join_next() => self.done(done).await?,
                _ = inbox.tick() => self.read_inbox().await?,
                Ok(()) = leave.changed() => {
                    asked_to_go = *leave.borrow_and_update();
                    self.go(asked_to_go).await?;
                }
            }
        }
        self.finish().await
    }

    /// Workers that stand still until a person answers are let go when none is here: their sessions are resumed with the
    /// run.
    fn release_workers(&mut self, patience: Patience) {
        let waits = patience == Patience::Leave && matches!(self.book.run.state, RunState::Escalated(_));
        if waits && !self.released {
            self.stop_workers();
        }
        self.released = waits;
    }

    /// Beside the driver, which must go on hearing what workers have to tell before they can end.
    fn stop_workers(&mut self) {
        for task in self.book.run.tasks.keys().copied() {
            let agents = self.ports.agents.clone();
            self.errands
                .spawn(async move { agents.control(task, Control::Stop).await });
        }
    }

    fn is_over(&self, patience: Patience, leave: Leave) -> bool {
        let busy = self.owed.values().any(|e| !matches!(e, Effect::Wake { .. }));
        let stuck = matches!(self.book.run.state, RunState::Escalated(_) | RunState::Paused(_));
        match self.book.run.state {
            RunState::Completed | RunState::Failed | RunState::Aborted => !busy,
            RunState::Active(_) | RunState::Escalated(_) | RunState::Paused(_) | RunState::Aborting => {
                stuck && !busy && (patience == Patience::Leave || leave == Leave::Pause)
            }
        }
    }

    /// Nothing waits for a moment any more once the run is finished.
    async fn finish(mut self) -> Result<Run, EngineError> {
        if self.book.run.state.is_finished() {
            let wakes = std::mem::take(&mut self.owed).into_keys().collect();
            self.book.settle(wakes).await?;
        }
        self.under_way.shutdown().await;
        self.errands.shutdown().await;
        Ok(self.book.run)
    }

    async fn go(&mut self, leave: Leave) -> Result<(), EngineError> {
        let by = "terminal".to_owned();
        match leave {
            Leave::No => return Ok(()),
            Leave::Pause => {
                let _ = self.take(&Command::Pause { by }, None).await?;
                self.stop_workers();
            }
            Leave::Abort => {
                let command = Command::Abort {
                    by,
                    because: String::new(),
                };
                let _ = self.take(&command, None).await?;
            }
        }
        Ok(())
    }

    async fn handle(&mut self, message: Message) -> Result<(), EngineError> {
        match message {
            Message::Command { command, once, reply } => {
                let answer = self.take(&command, once).await?;
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Message::Observed(event) => self.observed(*event).await?,
            Message::Asked(asking) => self.asked(*asking).await?,
        }
        Ok(())
    }

    /// Takes the observations that lie ready in one commit; the first other message is handled after them.
    async fn observed(&mut self, first: Event) -> Result<(), EngineError> {
        let mut seen = vec![first];
        let mut next = None;
        while seen.len() < MOST_OBSERVED {
            match self.messages.try_recv() {
                Ok(Message::Observed(event)) => seen.push(*event),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let committed = self.book.observe(seen).await?;
        self.publish(committed).await?;
        match next {
            Some(message) => Box::pin(self.handle(message)).await,
            None => Ok(()),
        }
    }

    async fn asked(&mut self, mut asking: Asking) -> Result<(), EngineError> {
        // The log holds it without secrets, and is compared with below.
        let Some(question) = maestria_secrets::funnel().clean_value(asking.question) else {
            let _ = asking.reply.send(Choice::Refuse);
            return Ok(());
        };
        asking.question = question.clone();
        let task = asking.task;
        // Leave that was given before a crash, and that nobody has made use of.
        if let Some(given) = self.book.run.answered(task, &question).map(|d| d.id)
            && self.gives_leave(given).await?
        {
            let _ = asking.reply.send(Choice::Accept);
            return Ok(());
        }
        let command = Command::Ask {
            task,
            question: Box::new(question.clone()),
            because: asking.because.clone(),
        };
        let _ = self.report(&command, Vec::new()).await?;
        let open = self.book.run.open_decisions().find(|d| d.is_about(task, &question));
        match open.map(|d| d.id) {
            Some(decision) => self.asking.entry(decision).or_default().push(asking),
            None => drop(asking.reply.send(Choice::Refuse)),
        }
        Ok(())
    }

    /// Whether a decision still gives leave; if so, it has from now on been given.
    async fn gives_leave(&mut self, decision: DecisionId) -> Result<bool, EngineError> {
        let used = self.report(&Command::Use { decision }, Vec::new()).await?;
        Ok(used.is_ok())
    }

    /// Tells the workers that wait what was decided. Leave is for one of them: the others ask again.
    async fn tell_answers(&mut self) -> Result<(), EngineError> {
        while let Some((decision, choice)) = self.answers.pop() {
            let mut asking = self.asking.remove(&decision).unwrap_or_default().into_iter();
            if matches!(choice, Choice::Accept | Choice::Always) {
                let Some(first) = asking.next() else { continue };
                let choice = if self.gives_leave(decision).await? {
                    Choice::Accept
                } else {
                    Choice::Refuse
                };
                let _ = first.reply.send(choice);
                for other in asking {
                    self.asked(other).await?;
                }
            } else {
                for other in asking {
                    // Whoever asked may have gone.
                    let _ = other.reply.send(choice);
                }
            }
        }
        Ok(())
    }

    async fn done(
        &mut self,
        done: Result<(EffectId, Option<Command>), tokio::task::JoinError>,
    ) -> Result<(), EngineError> {
        let (id, command) = match done {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => {
                return Err(EngineError::Bug {
                    what: error.to_string(),
                });
            }
        };
        self.owed.remove(&id);
        match command {
            Some(command) => {
                if let Err(refused) = self.report(&command, vec![id]).await? {
                    tracing::debug!(%id, %refused, "a result came too late");
                }
            }
            None => self.book.settle(vec![id]).await?,
        }
        Ok(())
    }

    async fn report(&mut self, command: &Command, settled: Vec<EffectId>) -> Result<Result<(), Refused>, EngineError> {
        match self.book.report(command, settled).await? {
            Ok(committed) => self.publish(committed).await.map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn take(
        &mut self,
        command: &Command,
        origin: impl Into<Origin>,
    ) -> Result<Result<(), Declined>, EngineError> {
        match self.book.take(command, origin).await? {
            Ok(committed) => self.publish(committed).await.map(Ok),
            Err(declined) => Ok(Err(declined)),
        }
    }

    /// Tells everybody what is now stored, and begins what it owes.
    async fn publish(&mut self, committed: Committed) -> Result<(), EngineError> {
        self.journal.append(&committed.events);
        for stored in committed.events {
            if let Event::DecisionWithdrawn { decision, .. } = &stored.event {
                self.answers.push((*decision, Choice::Refuse));
            }
            // No listener is no error.
            let _ = self.news.send(Arc::new(stored));
        }
        self.begin(committed.owed, false).await
    }

    async fn begin(&mut self, owed: Vec<(EffectId, Effect)>, recovering: bool) -> Result<(), EngineError> {
        if owed.is_empty() {
            return Ok(());
        }
        let snapshot: Snapshot = Arc::new(self.book.run.clone());
        let mut told = Vec::new();
        for (id, effect) in owed {
            if let Effect::Tell { decision } = effect {
                let answer = self
                    .book
                    .run
                    .decision(decision)
                    .and_then(|d| d.answer.as_ref())
                    .map(|a| a.choice);
                self.answers.push((decision, answer.unwrap_or(Choice::Refuse)));
                told.push(id);
                continue;
            }
            self.owed.insert(id, effect.clone());
            let (ports, run, reporter) = (self.ports.clone(), snapshot.clone(), self.reporter.clone());
            self.under_way.spawn(
                async move { (id, perform(&ports, &run, &effect, recovering, &*reporter).await) }.in_current_span(),
            );
        }
        if !told.is_empty() {
            self.book.settle(told).await?;
        }
        Ok(())
    }

    /// Takes what other processes left for this run.
    async fn read_inbox(&mut self) -> Result<(), EngineError> {
        let run = self.book.run.id;
        for posted in self.ports.store.inbox(run).await? {
            let (number, command, origin) = Origin::of(posted);
            let taken = self.take(&command, origin).await?;
            let refused = taken.err().map(Declined::words);
            self.ports.store.answer(run, number, refused).await?;
        }
        Ok(())
    }
}
