//! A run and its log together: whatever is decided is stored, durably, before anyone hears of it.

use crate::clock::Clock;
use maestria_kernel::{
    At, Command, Effect, EffectId, Event, Refused, Run, RunId, Seq, decide, effects,
    port::{Batch, RunRow, Store, StoreError, Stored},
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

/// What a commit brought about.
pub(crate) struct Committed {
    pub(crate) events: Vec<Stored>,
    pub(crate) owed: Vec<(EffectId, Effect)>,
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

    /// Decides a command and stores what follows, together with the effect that the command settles.
    pub(crate) async fn take(
        &mut self,
        command: &Command,
        settled: Vec<EffectId>,
    ) -> Result<Result<Committed, Refused>, StoreError> {
        let now = self.clock.now();
        match decide(&self.run, command, now) {
            Ok(events) => self.commit(events, now, settled).await.map(Ok),
            Err(refused) => {
                // The effect is done all the same: a report nobody waits for is not owed twice.
                self.commit(Vec::new(), now, settled).await?;
                Ok(Err(refused))
            }
        }
    }

    /// Stores many observations at once.
    pub(crate) async fn observe(&mut self, seen: Vec<Event>) -> Result<Committed, StoreError> {
        let now = self.clock.now();
        let mut run = self.run.clone();
        let mut events = Vec::with_capacity(seen.len());
        for event in seen {
            let command = Command::Observe { event: Box::new(event) };
            // What is no observation, or comes from an agent that talks nonsense, is dropped here.
            for decided in decide(&run, &command, now).unwrap_or_default() {
                run.apply(&decided, now);
                events.push(decided);
            }
        }
        self.commit(events, now, Vec::new()).await
    }

    /// Marks effects as performed that lead to no command.
    pub(crate) async fn settle(&mut self, settled: Vec<EffectId>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.commit(Vec::new(), now, settled).await.map(|_| ())
    }

    async fn commit(&mut self, events: Vec<Event>, at: At, settled: Vec<EffectId>) -> Result<Committed, StoreError> {
        if events.is_empty() && settled.is_empty() {
            return Ok(Committed {
                events: Vec::new(),
                owed: Vec::new(),
            });
        }
        let after = self.run.seq;
        let mut next = self.run.clone();
        let mut stored = Vec::with_capacity(events.len());
        let mut owed = Vec::new();
        for event in events {
            next.apply(&event, at);
            for (effect, index) in effects(&next, &event).into_iter().zip(0u16..) {
                owed.push((EffectId { seq: next.seq, index }, effect));
            }
            stored.push(Stored {
                seq: next.seq,
                at,
                event,
            });
        }
        let changes_row = stored
            .iter()
            .any(|s| !s.event.is_observation() || matches!(s.event, Event::ModelCalled { .. }));
        let row = changes_row.then(|| row(&next, at));
        let batch = Batch {
            after,
            events: stored.clone(),
            owed: owed.clone(),
            settled,
            row,
        };
        self.store.commit(self.run.id, batch).await?;
        self.run = next;
        Ok(Committed { events: stored, owed })
    }

    pub(crate) async fn owed(&self) -> Result<Vec<(EffectId, Effect)>, StoreError> {
        self.store.owed(self.run.id).await
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.run.seq == Seq::default()
    }
}

fn row(run: &Run, now: At) -> RunRow {
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
        percent: progress(run, now).percent,
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
