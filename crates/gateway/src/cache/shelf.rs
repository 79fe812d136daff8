//! The room for answers: bounded in bytes, the longest unused goes first.

use super::{Kept, Key};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

/// What an entry takes besides its answer.
const ENTRY: usize = 256;

#[derive(Debug)]
pub(super) struct Shelf {
    room: usize,
    bytes: usize,
    /// Counts uses.
    now: u64,
    kept: HashMap<Key, (u64, Arc<Kept>)>,
    by_use: BTreeMap<u64, Key>,
}

impl Shelf {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            bytes: 0,
            now: 0,
            kept: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// An answer that is younger than `ttl`.
    pub(super) fn get(&mut self, key: &Key, ttl: Duration) -> Option<Arc<Kept>> {
        let (used, kept) = self.kept.get_mut(key)?;
        if kept.at.elapsed() >= ttl {
            self.remove(key);
            return None;
        }
        self.now += 1;
        self.by_use.remove(used);
        *used = self.now;
        self.by_use.insert(self.now, *key);
        Some(kept.clone())
    }

    pub(super) fn put(&mut self, key: Key, kept: Arc<Kept>) {
        self.remove(&key);
        self.now += 1;
        self.bytes += kept.bytes.len() + ENTRY;
        self.kept.insert(key, (self.now, kept));
        self.by_use.insert(self.now, key);
        while self.bytes > self.room
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some((used, kept)) = self.kept.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= kept.bytes.len() + ENTRY;
        }
    }
}
