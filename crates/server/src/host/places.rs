//! The places for runs at work, and the queue before them.

use maestria_kernel::RunId;
use std::collections::{BTreeSet, HashMap};

/// Who is at work and who waits. A run is in one of both at most.
#[derive(Debug)]
pub(super) struct Places {
    /// Runs at work at once.
    most: usize,
    /// Runs with a driver, and whether it holds a place.
    driven: HashMap<RunId, bool>,
    /// Ids sort by the moment of submission.
    waiting: BTreeSet<RunId>,
    version: u64,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            driven: HashMap::new(),
            waiting: BTreeSet::new(),
            version: 0,
        }
    }

    pub(super) fn is_driven(&self, run: RunId) -> bool {
        self.driven.contains_key(&run)
    }

    pub(super) fn is_waiting(&self, run: RunId) -> bool {
        self.waiting.contains(&run)
    }

    /// How many hold a place, and how many wait for one.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.taken(), self.waiting.len())
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The run that has waited longest, if there is a place for it. It stays in the queue until it begins.
    pub(super) fn next(&self) -> Option<RunId> {
        let free = self.taken() < self.most;
        free.then(|| self.waiting.first().copied()).flatten()
    }

    /// Puts a run into the queue, unless it is driven.
    pub(super) fn wait(&mut self, run: RunId) {
        if !self.is_driven(run) && self.waiting.insert(run) {
            self.version += 1;
        }
    }

    /// Takes a run out of the queue.
    pub(super) fn leave(&mut self, run: RunId) {
        if self.waiting.remove(&run) {
            self.version += 1;
        }
    }

    /// A driver begins, with a place or without; `false` when there is one already.
    pub(super) fn begin(&mut self, run: RunId, holds: bool) -> bool {
        self.leave(run);
        if self.is_driven(run) {
            return false;
        }
        self.driven.insert(run, holds);
        self.version += 1;
        true
    }

    /// A driven run takes a place, even if there is none left, or gives it back; `true` when that changes anything.
    pub(super) fn hold(&mut self, run: RunId, holds: bool) -> bool {
        let changed = self
            .driven
            .get_mut(&run)
            .is_some_and(|held| std::mem::replace(held, holds) != holds);
        self.version += u64::from(changed);
        changed
    }

    /// A driver has ended.
    pub(super) fn end(&mut self, run: RunId) {
        self.driven.remove(&run);
        self.version += 1;
    }

    fn taken(&self) -> usize {
        self.driven.values().filter(|holds| **holds).count()
    }
}

#[cfg(test)]
mod tests;
