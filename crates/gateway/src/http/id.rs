//! Ids of requests.

use maestria_kernel::At;
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A new id: a UUID of version 7, so that ids sort by time. What follows the time is a count, hashed with keys that each
/// process draws once: nobody has to guess an id, so no call asks the system for random numbers.
pub(super) fn next(now: At) -> String {
    static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let keys = KEYS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [low, high] = keys.each_ref().map(|key| key.hash_one(count).to_le_bytes());
    let mut rest = [0; 10];
    rest[..8].copy_from_slice(&low);
    rest[8..].copy_from_slice(&high[..2]);
    let millis = u64::try_from(now.0).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rest)
        .into_uuid()
        .simple()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::next;
    use maestria_kernel::At;
    use std::collections::HashSet;

    #[test]
    fn ids_are_new_and_sort_by_time() {
        let same: HashSet<String> = (0..10_000).map(|_| next(At(1_700_000_000_000))).collect();
        assert_eq!(same.len(), 10_000);
        assert!(same.iter().all(|id| id.len() == 32 && id.as_bytes()[12] == b'7'));
        let later = next(At(1_700_000_000_001));
        assert!(same.iter().all(|id| *id < later));
    }
}
