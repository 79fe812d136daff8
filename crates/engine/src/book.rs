//! A run and its log together: whatever is decided is stored, durably, before anyone hears of it.

use crate::clock::Clock;
use maestria_kernel::{
    At, Command, Effect, EffectId, Event, Refused, Run, RunId, Seq, decide, effects,
    port::{Batch, Once, Posted, RunRow, Sent, Store, StoreError, Stored},
    progress::progress,
    run::Work,
};
use std::sync::Arc;

/// Events read at once when a run is loaded.
const PAGE: u32 = 4096;

/// The longest task text shown in lists, in characters.
const ROW_TEXT: usize = 200;

pub(crate) struct Book {
    pub(crate) run: Run,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// A copy of the run with events that are not stored yet, and what they will owe. The copy is as large as the plan,
/// however long the log is.
struct Draft {
    run: Run,
    events: Vec<Stored>,
    owed: Vec<(EffectId, Effect)>,
}

/// Where a command comes from, as far as that is stored with its events.
#[derive(Default)]
pub(crate) struct Origin {
    /// The key that it came with.
    pub(crate) once: Option<Once>,
    /// Its number in the inbox.
    pub(crate) letter: Option<u64>,
}

impl Origin {
    /// A command of the inbox, with its number and where it comes from.
    pub(crate) fn of(posted: Posted) -> (u64, Command, Self) {
        let Posted { number, command, once } = posted;
        let letter = Some(number);
        (number, command, Self { once, letter })
    }
}

impl From<Option<Once>> for Origin {
    fn from(once: Option<Once>) -> Self {
        Self { once, letter: None }
    }
}

/// What a commit brought about.
pub(crate) struct Committed {
    pub(crate) events: Vec<Stored>,
    pub(crate) owed: Vec<(EffectId, Effect)>,
}

/// Why a command was not taken.
pub(crate) enum Declined {
    /// The run does not take it.
    Refused(Refused),
    /// Its key stands for an earlier one.
    Repeated(Sent),
}

impl Declined {
    /// What is said to who asks in another process.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Refused(refused) => refused.to_string(),
            Self::Repeated(sent) => StoreError::Repeated(sent).to_string(),
        }
    }
}

impl Book {
    /// Reads a run from its log. A run without events is blank.
    pub(crate) async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>, id: RunId) -> Result<Self, StoreError> {
        let mut run = Run::blank(id);
        loop {
            let page = store.events(id, run.seq, PAGE).await?;
            for stored in &page {
                run.apply(&stored.event, stored.at);
            }
            if page.len() < PAGE as usize {
                return Ok(Self { run, store, clock });
            }
        }
    }

    /// A run that nobody has heard of yet: there is nothing to read.
    pub(crate) fn blank(store: Arc<dyn Store>, clock: Arc<dyn Clock>, id: RunId) -> Self {
        let run = Run::blank(id);
        Self { run, store, clock }
    }

    /// Decides a report and stores what follows, together with the effect that it settles.
    pub(crate) async fn report(
        &mut self,
        command: &Command,
        settled: Vec<EffectId>,
    ) -> Result<Result<Committed, Refused>, StoreError> {
        let reported = self.enter(command, settled.clone(), Origin::default()).await?;
        if reported.is_err() {
            // The effect is done all the same: a report nobody waits for is not owed twice.
            self.settle(settled).await?;
        }
        Ok(reported)
    }

    /// Decides a command and stores what follows together with its origin, unless its key stands for an earlier one.
    pub(crate) async fn take(
        &mut self,
        command: &Command,
        origin: impl Into<Origin>,
    ) -> Result<Result<Committed, Declined>, StoreError> {
        let origin = origin.into();
        let key = origin.once.as_ref().map(|once| once.key.clone());
        let refused = match self.enter(command, Vec::new(), origin).await {
            Ok(Ok(committed)) => return Ok(Ok(committed)),
            Err(StoreError::Repeated(sent)) => return Ok(Err(Declined::Repeated(sent))),
            Err(error) => return Err(error),
            Ok(Err(refused)) => refused,
        };
        // What it asks for may be refused because it was done the first time.
        let sent = match key {
            Some(key) => self.store.sent(key, self.clock.now()).await?,
            None => None,
        };
        Ok(Err(sent.map_or(Declined::Refused(refused), Declined::Repeated)))
    }

    async fn enter(
        &mut self,
        command: &Command,
        settled: Vec<EffectId>,
        origin: Origin,
    ) -> Result<Result<Committed, Refused>, StoreError> {
        let now = self.clock.now();
        match decide(&self.run, command, now) {
            Ok(events) => {
                let mut draft = self.draft();
                draft.extend(events, now);
                self.commit(draft, settled, origin).await.map(Ok)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Stores many observations at once.
    pub(crate) async fn observe(&mut self, seen: Vec<Event>) -> Result<Committed, StoreError> {
        let now = self.clock.now();
        let mut draft = self.draft();
        for event in seen {
            let command = Command::Observe { event: Box::new(event) };
            // What is no observation, or comes from an agent that talks nonsense, is dropped here.
            draft.extend(decide(&draft.run, &command, now).unwrap_or_default(), now);
        }
        self.commit(draft, Vec::new(), Origin::default()).await
    }

    /// Marks effects as performed that lead to no command.
    pub(crate) async fn settle(&mut self, settled: Vec<EffectId>) -> Result<(), StoreError> {
        if settled.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            after: self.run.seq,
            settled,
            ..Batch::default()
        };
        self.store.commit(self.run.id, batch).await
    }

    fn draft(&self) -> Draft {
        Draft {
            run: self.run.clone(),
            events: Vec::new(),
            owed: Vec::new(),
        }
    }

    /// Makes a draft the truth: stored first, believed then.
    async fn commit(&mut self, draft: Draft, settled: Vec<EffectId>, origin: Origin) -> Result<Committed, StoreError> {
        let Draft { run, events, owed } = draft;
        if !events.is_empty() || !settled.is_empty() {
            let batch = Batch {
                after: self.run.seq,
                row: changes_row(&events).then(|| row(&run)),
                events: events.clone(),
                owed: owed.clone(),
                settled,
                once: origin.once,
                answered: origin.letter,
            };
            self.store.commit(run.id, batch).await?;
            self.run = run;
        }
        Ok(Committed { events, owed })
    }

    pub(crate) async fn owed(&self) -> Result<Vec<(EffectId, Effect)>, StoreError> {
        self.store.owed(self.run.id).await
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.run.seq == Seq::default()
    }
}

impl Draft {
    fn extend(&mut self, events: Vec<Event>, at: At) {
        let funnel = maestria_secrets::funnel();
        for event in events {
            let kind = event.kind();
            // Before anybody believes, stores or hears it.
            let Some(event) = funnel.clean_value(event) else {
                tracing::error!(
                    kind,
                    "an event could not be told without the secret in it, and is left out"
                );
                continue;
            };
            self.run.apply(&event, at);
            let seq = self.run.seq;
            let places = effects(&self.run, &event).into_iter().zip(0u16..);
            self.owed
                .extend(places.map(|(effect, index)| (EffectId { seq, index }, effect)));
            self.events.push(Stored { seq, at, event });
        }
    }
}

/// Most observations change nothing that lists show.
fn changes_row(events: &[Stored]) -> bool {
    let changes = |event: &Event| !event.is_observation() || matches!(event, Event::ModelCalled { .. });
    events.iter().any(|stored| changes(&stored.event))
}

/// A run as lists show it.
pub fn row(run: &Run) -> RunRow {
    let request = run.request.as_deref();
    let text = |f: fn(&maestria_kernel::request::Request) -> &str| request.map(f).unwrap_or_default().to_owned();
    RunRow {
        id: run.id,
        state: run.state.to_string(),
        text: request
            .map(|r| r.text.chars().take(ROW_TEXT).collect())
            .unwrap_or_default(),
        target: text(|r| &r.target),
        workspace: text(|r| &r.workspace),
        workflow: text(|r| &r.workflow.name),
        percent: progress(run, run.updated_at).percent,
        usage: run.usage,
        decisions: u32::try_from(run.open_decisions().count()).unwrap_or(u32::MAX),
        work: match run.work {
            Work::Pending => "pending",
            Work::Applied { .. } => "applied",
            Work::Discarded => "discarded",
        }
        .to_owned(),
        scripted: run.scripted,
        created_at: run.created_at,
        updated_at: run.updated_at,
    }
}
