//! The rows of all runs, whichever process stored them, brought up to date before each answer. What lists, counts and the
//! day's spending are made of is here already; only what has changed is read.

use maestria_kernel::{
    At, Cost, RunId,
    port::{RunRow, Store, StoreError},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// The day of the day's budget.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a moment ago is.
const LATELY: Duration = Duration::from_millis(100);

/// All rows.
pub(crate) struct Rows {
    store: Arc<dyn Store>,
    /// How many have asked so far.
    asked: AtomicU64,
    looks: Mutex<Looks>,
    kept: RwLock<Kept>,
}

/// The looks at the store so far.
#[derive(Debug, Default)]
struct Looks {
    /// How many who have asked the last look has served: all who had asked when it began.
    served: u64,
    /// When it began.
    last: Option<Instant>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl Rows {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            asked: AtomicU64::new(0),
            looks: Mutex::default(),
            kept: RwLock::default(),
        }
    }

    /// Reads what is stored now. A look at the store that begins after the question serves everybody who had asked by then,
    /// so many at once cost one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn read<T>(&self, read: impl FnOnce(&Kept) -> T) -> Result<T, StoreError> {
        let place = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        {
            let mut looks = self.looks.lock().await;
            if looks.served < place {
                self.look(&mut looks).await?;
            }
        }
        Ok(self.known(read))
    }

    /// Reads what was stored a moment ago, for who asks too often for a look at the store each time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn read_lately<T>(&self, read: impl FnOnce(&Kept) -> T) -> Result<T, StoreError> {
        {
            let mut looks = self.looks.lock().await;
            if looks.last.is_none_or(|last| last.elapsed() > LATELY) {
                self.look(&mut looks).await?;
            }
        }
        Ok(self.known(read))
    }

    async fn look(&self, looks: &mut Looks) -> Result<(), StoreError> {
        let (all, begun) = (self.asked.load(Ordering::SeqCst), Instant::now());
        let known = self.known(|kept| kept.number);
        let (number, rows) = self.store.changed(known).await?;
        if number > known {
            self.kept
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(number, rows);
        }
        *looks = Looks {
            served: all,
            last: Some(begun),
        };
        Ok(())
    }

    /// The number of the newest event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn newest(&self) -> Result<u64, StoreError> {
        self.read(|kept| kept.number).await
    }

    fn known<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known of all runs up to a number.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    number: u64,
    rows: BTreeMap<(At, RunId), Entry>,
    births: HashMap<RunId, At>,
    /// Those that are not finished.
    open: BTreeSet<(At, RunId)>,
    totals: Totals,
    day: std::sync::Mutex<Spent>,
}

/// What all rows add up to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// Runs by state.
    pub(crate) states: BTreeMap<String, usize>,
    pub(crate) tokens: u64,
    pub(crate) cost: Cost,
    /// Decisions that wait.
    pub(crate) decisions: u32,
}

impl Totals {
    fn add(&mut self, row: &RunRow) {
        *self.states.entry(row.state.clone()).or_default() += 1;
        self.tokens += row.usage.tokens().0;
        self.cost = Cost(self.cost.0 + row.usage.cost.0);
        self.decisions += row.decisions;
    }

    fn remove(&mut self, row: &RunRow) {
        if let Some(count) = self.states.get_mut(&row.state) {
            *count -= 1;
        }
        self.tokens -= row.usage.tokens().0;
        self.cost = Cost(self.cost.0 - row.usage.cost.0);
        self.decisions -= row.decisions;
    }
}

#[derive(Debug)]
struct Entry {
    row: RunRow,
    /// The number at which it was last seen to have changed.
    moved: u64,
}

/// What runs cost that were born since a moment.
#[derive(Debug, Default)]
struct Spent {
    since: At,
    cost: Cost,
}

impl Kept {
    /// Everything up to this number is here.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// All rows, the newest run first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &RunRow> {
        self.rows.values().rev().map(|entry| &entry.row)
    }

    /// Rows of runs that are not finished, the newest first; from this run on, or all.
    pub(crate) fn open(&self, from: Option<RunId>) -> impl Iterator<Item = &RunRow> {
        let place = from.and_then(|run| Some((*self.births.get(&run)?, run)));
        let until = place.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included);
        let open = self.open.range((std::ops::Bound::Unbounded, until));
        open.rev().filter_map(|place| Some(&self.rows.get(place)?.row))
    }

    /// What all rows add up to.
    pub(crate) const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Rows of runs older than this one, the newest first; all when it is not known.
    pub(crate) fn older_than(&self, run: Option<RunId>) -> impl Iterator<Item = &RunRow> {
        let place = run.and_then(|run| Some((*self.births.get(&run)?, run)));
        let before = place.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let older = self.rows.range((std::ops::Bound::Unbounded, before));
        older.rev().map(|(_, entry)| &entry.row)
    }

    pub(crate) fn get(&self, run: RunId) -> Option<&RunRow> {
        self.entry(run).map(|entry| &entry.row)
    }

    /// The number at which a run had last changed; `None` for one that nobody has seen change.
    pub(crate) fn moved(&self, run: RunId) -> Option<u64> {
        self.entry(run).map(|entry| entry.moved)
    }

    /// What the runs of the last 24 hours cost.
    pub(crate) fn spent_today(&self, now: At) -> Cost {
        let since = At(now.0 - i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX));
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if since < day.since {
            // The clock was set back.
            *day = Spent {
                since,
                cost: self.cost(since, None),
            };
        } else if since > day.since {
            let gone = self.cost(day.since, Some(since));
            *day = Spent {
                since,
                cost: Cost(day.cost.0 - gone.0),
            };
        }
        day.cost
    }

    fn cost(&self, since: At, until: Option<At>) -> Cost {
        let first = |at: At| (at, RunId::new(uuid::Uuid::nil()));
        let of = match until {
            Some(until) => self.rows.range(first(since)..first(until)),
            None => self.rows.range(first(since)..),
        };
        of.map(|(_, entry)| entry.row.usage.cost).sum()
    }

    fn entry(&self, run: RunId) -> Option<&Entry> {
        self.rows.get(&(*self.births.get(&run)?, run))
    }

    fn take(&mut self, number: u64, rows: Vec<RunRow>) {
        self.number = number;
        let day = self.day.get_mut().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let (birth, id, cost) = (row.created_at, row.id, row.usage.cost);
            self.births.insert(id, birth);
            if is_finished(&row.state) {
                self.open.remove(&(birth, id));
            } else {
                self.open.insert((birth, id));
            }
            self.totals.add(&row);
            let before = self.rows.insert((birth, id), Entry { row, moved: number });
            if let Some(before) = &before {
                self.totals.remove(&before.row);
            }
            if birth >= day.since {
                day.cost = Cost(day.cost.0 + cost.0 - before.map_or(0, |entry| entry.row.usage.cost.0));
            }
        }
    }
}

/// Whether a run in a state comes no further by itself.
pub(crate) fn is_finished(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "aborted")
}

#[cfg(test)]
mod tests;
