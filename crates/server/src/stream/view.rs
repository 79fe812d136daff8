//! Each run as its events add up, kept for the next question and brought up to date with what is new.

use super::rows::Rows;
use maestria_kernel::{
    At, DecisionId, Event, Run, RunId, TaskId,
    port::{Store, StoreError, Stored},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Runs that are kept.
const MOST: usize = 256;

/// Violations of a run that are kept.
const VIOLATIONS: usize = 1000;

/// Events read at once.
const PAGE: u32 = 4096;

/// What the newest events tell of a task's worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) pid: Option<u32>,
    pub(crate) contained: Option<String>,
    pub(crate) limits: Vec<String>,
    pub(crate) cpu_millis: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) processes: Option<u32>,
    pub(crate) measured_at: Option<At>,
    pub(crate) model: Option<String>,
}

/// A run, and what faces show of it besides.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) run: Run,
    pub(crate) workers: HashMap<TaskId, Seen>,
    pub(crate) asked: HashMap<DecisionId, At>,
    /// The number up to which its events were looked for.
    looked: u64,
    /// The newest violations, oldest first.
    pub(crate) violations: VecDeque<Stored>,
}

impl View {
    fn new(id: RunId) -> Self {
        Self {
            run: Run::blank(id),
            workers: HashMap::new(),
            asked: HashMap::new(),
            looked: 0,
            violations: VecDeque::new(),
        }
    }

    async fn catch_up(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        loop {
            let page = store.events(self.run.id, self.run.seq, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            page.iter().for_each(|stored| self.take(stored));
        }
    }

    fn take(&mut self, stored: &Stored) {
        self.run.apply(&stored.event, stored.at);
        match &stored.event {
            Event::TaskDispatched { task, .. } => drop(self.workers.insert(*task, Seen::default())),
            Event::TaskStarted {
                task,
                pid,
                contained,
                limits,
                ..
            } => {
                let seen = self.workers.entry(*task).or_default();
                seen.pid = *pid;
                seen.contained = Some(contained.clone());
                seen.limits.clone_from(limits);
            }
            Event::WorkerMeasured {
                task,
                cpu_millis,
                memory_bytes,
                processes,
            } => {
                let seen = self.workers.entry(*task).or_default();
                seen.cpu_millis = Some(*cpu_millis);
                seen.memory_bytes = Some(*memory_bytes);
                seen.processes = Some(*processes);
                seen.measured_at = Some(stored.at);
            }
            Event::ModelCalled {
                task: Some(task),
                model,
                ..
            } => self.workers.entry(*task).or_default().model = Some(model.clone()),
            Event::ViolationRecorded { .. } => {
                if self.violations.len() == VIOLATIONS {
                    self.violations.pop_front();
                }
                self.violations.push_back(stored.clone());
            }
            Event::DecisionRequested { decision } => drop(self.asked.insert(decision.id, stored.at)),
            _ => {}
        }
    }
}

/// The runs somebody has asked about.
pub(crate) struct Views {
    store: Arc<dyn Store>,
    rows: Arc<Rows>,
    kept: std::sync::Mutex<HashMap<RunId, Arc<Mutex<View>>>>,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").finish_non_exhaustive()
    }
}

impl Views {
    pub(crate) fn new(store: Arc<dyn Store>, rows: Arc<Rows>) -> Self {
        Self {
            store,
            rows,
            kept: std::sync::Mutex::default(),
        }
    }

    /// A run as it is stored now; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn get(&self, id: RunId) -> Result<Option<OwnedMutexGuard<View>>, StoreError> {
        let (number, moved) = self.rows.read(|kept| (kept.number(), kept.moved(id))).await?;
        self.known(id, number, moved).await
    }

    /// The same for somebody who has just asked the rows: up to this number, the run last moved at that one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn known(
        &self,
        id: RunId,
        number: u64,
        moved: Option<u64>,
    ) -> Result<Option<OwnedMutexGuard<View>>, StoreError> {
        let mut view = self.slot(id).lock_owned().await;
        // What has no row says nothing of its moves.
        if moved.is_none_or(|moved| moved > view.looked) {
            view.catch_up(&*self.store).await?;
            view.looked = view.looked.max(number);
        }
        if view.run.request.is_none() {
            self.kept().remove(&id);
            return Ok(None);
        }
        Ok(Some(view))
    }

    fn slot(&self, id: RunId) -> Arc<Mutex<View>> {
        let mut kept = self.kept();
        if kept.len() >= MOST && !kept.contains_key(&id) {
            // Ids sort by age: the oldest is wanted least.
            let oldest = kept.keys().min().copied();
            oldest.map(|oldest| kept.remove(&oldest));
        }
        kept.entry(id)
            .or_insert_with(|| Arc::new(Mutex::new(View::new(id))))
            .clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<Mutex<View>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
