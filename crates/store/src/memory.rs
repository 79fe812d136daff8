//! State in memory: the same promises but durability, for tests and for runs that leave nothing behind.

use crate::order;
use maestria_kernel::{
    At, Command, DecisionId, Effect, EffectId, RunId, Seq,
    port::{Asked, Batch, Boxed, Numbered, Once, Posted, RunRow, Sent, Store, StoreError, Stored},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The log in memory. A clone is another handle on the same log.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    logs: Arc<Mutex<Logs>>,
}

#[derive(Debug, Default)]
struct Logs {
    runs: BTreeMap<RunId, Log>,
    /// Every event in the order of commits; event number n lies at place n - 1.
    feed: Vec<(RunId, Seq)>,
    /// What keys stand for.
    sent: BTreeMap<String, (Once, RunId)>,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Stored>,
    owed: BTreeMap<EffectId, Effect>,
    row: Option<RunRow>,
    inbox: Vec<Letter>,
}

#[derive(Debug)]
struct Letter {
    command: Command,
    once: Option<Once>,
    answer: Option<Result<(), String>>,
}

impl MemoryStore {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        // Nothing below panics half way through a change, so a poisoned lock guards whole values.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `read` finds in a run's log; a run without one has an empty one.
    fn read<T>(&self, run: RunId, read: impl FnOnce(&Log) -> T) -> T {
        match self.logs().runs.get(&run) {
            Some(log) => read(log),
            None => read(&Log::default()),
        }
    }
}

impl Logs {
    fn at(&self, number: u64, (run, seq): (RunId, Seq)) -> Option<Numbered> {
        let stored = self.runs.get(&run)?.events.get(place(seq.0)?)?.clone();
        Some(Numbered { number, run, stored })
    }
}

impl Logs {
    fn commit(&mut self, run: RunId, batch: Batch) -> Result<(), StoreError> {
        let once = batch.once.clone();
        let now = batch.events.last().map_or(At(0), |stored| stored.at);
        if let Some(sent) = once.as_ref().and_then(|once| self.sent(&once.key, now)) {
            return Err(StoreError::Repeated(sent));
        }
        let told: Vec<Seq> = batch.events.iter().map(|stored| stored.seq).collect();
        self.runs.entry(run).or_default().commit(batch)?;
        self.feed.extend(told.into_iter().map(|seq| (run, seq)));
        if let Some(once) = once {
            self.sent.retain(|_, (once, _)| once.until > now);
            self.sent.insert(once.key.clone(), (once, run));
        }
        Ok(())
    }

    /// The rows of all runs, newest first.
    fn rows(&self) -> Vec<RunRow> {
        let mut rows: Vec<RunRow> = self.runs.values().filter_map(|log| log.row.clone()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        rows
    }

    /// The decisions of all runs, in order.
    fn asked(&self) -> BTreeSet<Asked> {
        let mut asked = BTreeMap::new();
        for (run, log) in &self.runs {
            let said = log.events.iter().filter_map(|stored| Asked::of(*run, stored));
            asked.extend(said.map(|one| (one.decision, one)));
        }
        asked.into_values().collect()
    }

    fn sent(&self, key: &str, now: At) -> Option<Sent> {
        let (once, run) = self.sent.get(key)?;
        let sent = || Sent {
            request: once.request.clone(),
            run: *run,
        };
        (once.until > now).then(sent)
    }
}

impl Log {
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let newest = self.events.last().map_or(Seq(0), |stored| stored.seq);
        order::check(batch.after, newest, batch.events.iter().map(|stored| stored.seq))?;
        self.events.extend(batch.events);
        self.owed.extend(batch.owed);
        for id in batch.settled {
            self.owed.remove(&id);
        }
        if batch.row.is_some() {
            self.row = batch.row;
        }
        if let Some(number) = batch.answered {
            self.answer(number, None);
        }
        Ok(())
    }

    /// The first answer stands.
    fn answer(&mut self, number: u64, refused: Option<String>) {
        if let Some(letter) = place(number).and_then(|place| self.inbox.get_mut(place)) {
            letter.answer.get_or_insert(refused.map_or(Ok(()), Err));
        }
    }

    fn letter(&self, number: u64) -> Option<&Letter> {
        self.inbox.get(place(number)?)
    }
}

/// Letters are numbered from 1.
fn place(number: u64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

fn number(place: usize) -> u64 {
    place as u64 + 1
}

fn done<'a, T: Send + 'a>(value: T) -> Boxed<'a, T> {
    Box::pin(ready(value))
}

impl Store for MemoryStore {
    fn commit(&self, run: RunId, batch: Batch) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move { self.logs().commit(run, batch) })
    }

    fn events(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Stored>, StoreError>> {
        done(Ok(self.read(run, |log| {
            // Event number n lies at place n - 1.
            let first = usize::try_from(after.0).map_or(log.events.len(), |n| n.min(log.events.len()));
            log.events[first..].iter().take(limit as usize).cloned().collect()
        })))
    }

    fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        let logs = self.logs();
        let numbers = (1..).zip(&logs.feed);
        let wanted = numbers.filter(|(_, (of, seq))| *of == run && *seq > after);
        done(Ok(wanted
            .filter_map(|(number, place)| logs.at(number, *place))
            .take(limit as usize)
            .collect()))
    }

    fn feed(&self, after: u64, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        let logs = self.logs();
        let numbers = (1..).zip(&logs.feed).skip_while(|(number, _)| *number <= after);
        done(Ok(numbers
            .filter_map(|(number, place)| logs.at(number, *place))
            .take(limit as usize)
            .collect()))
    }

    fn told(
        &self,
        kinds: &'static [&'static str],
        after: u64,
        until: u64,
    ) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        let logs = self.logs();
        let numbers = (1..).zip(&logs.feed);
        let between = numbers.filter(|(number, _)| after < *number && *number <= until);
        let all = between.filter_map(|(number, place)| logs.at(number, *place));
        done(Ok(all
            .filter(|numbered| kinds.contains(&numbered.stored.event.kind()))
            .collect()))
    }

    fn newest(&self) -> Boxed<'_, Result<u64, StoreError>> {
        done(Ok(self.logs().feed.len() as u64))
    }

    fn owed(&self, run: RunId) -> Boxed<'_, Result<Vec<(EffectId, Effect)>, StoreError>> {
        done(Ok(self.read(run, |log| {
            log.owed.iter().map(|(id, effect)| (*id, effect.clone())).collect()
        })))
    }

    fn debts(&self) -> Boxed<'_, Result<u64, StoreError>> {
        done(Ok(self.logs().runs.values().map(|log| log.owed.len() as u64).sum()))
    }

    fn runs(&self) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        done(Ok(self.logs().rows()))
    }

    fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        let mut rows = self.logs().rows();
        rows.retain(|row| than.is_none_or(|than| (row.created_at, row.id) < than));
        rows.truncate(limit as usize);
        done(Ok(rows))
    }

    fn changed(&self, after: u64) -> Boxed<'_, Result<(u64, Vec<RunRow>), StoreError>> {
        let logs = self.logs();
        let begin = usize::try_from(after).map_or(logs.feed.len(), |place| place.min(logs.feed.len()));
        let moved: BTreeSet<RunId> = logs.feed[begin..].iter().map(|(run, _)| *run).collect();
        let rows = moved.iter().filter_map(|run| logs.runs.get(run)?.row.clone());
        done(Ok((logs.feed.len() as u64, rows.collect())))
    }

    fn sent(&self, key: String, now: At) -> Boxed<'_, Result<Option<Sent>, StoreError>> {
        done(Ok(self.logs().sent(&key, now)))
    }

    fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<Asked>, StoreError>> {
        let asked = self.logs().asked();
        let wanted = asked
            .into_iter()
            .filter(|one| closed.is_none_or(|closed| closed == one.closed) && after.is_none_or(|after| after < *one));
        done(Ok(wanted.take(limit as usize).collect()))
    }

    fn asker(&self, decision: DecisionId) -> Boxed<'_, Result<Option<RunId>, StoreError>> {
        let asked = self.logs().asked();
        done(Ok(asked
            .into_iter()
            .find(|one| one.decision == decision)
            .map(|one| one.run)))
    }

    fn post(&self, run: RunId, command: Command, once: Option<Once>) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut logs = self.logs();
            let inbox = &mut logs.runs.entry(run).or_default().inbox;
            inbox.push(Letter {
                command,
                once,
                answer: None,
            });
            Ok(number(inbox.len() - 1))
        })
    }

    fn inbox(&self, run: RunId) -> Boxed<'_, Result<Vec<Posted>, StoreError>> {
        done(Ok(self.read(run, |log| {
            let waiting = log
                .inbox
                .iter()
                .enumerate()
                .filter(|(_, letter)| letter.answer.is_none());
            waiting
                .map(|(place, letter)| Posted {
                    number: number(place),
                    command: letter.command.clone(),
                    once: letter.once.clone(),
                })
                .collect()
        })))
    }

    fn answer(&self, run: RunId, number: u64, refused: Option<String>) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(log) = self.logs().runs.get_mut(&run) {
                log.answer(number, refused);
            }
            Ok(())
        })
    }

    fn answered(&self, run: RunId, number: u64) -> Boxed<'_, Result<Option<Result<(), String>>, StoreError>> {
        done(Ok(self.read(run, |log| {
            log.letter(number).and_then(|letter| letter.answer.clone())
        })))
    }
}
