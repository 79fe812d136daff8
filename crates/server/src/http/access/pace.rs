//! How fast each credential may ask: a bucket of tokens each, which fills as time goes by.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Seconds' worth of requests that may come at once.
const BURST: u32 = 2;

/// Credentials that are remembered; a bucket that is full again is forgotten first.
const MOST: usize = 4096;

/// The buckets.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Between two requests; nothing when there is no limit.
    apart: Option<Duration>,
    /// When the bucket of each would be full.
    full: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    pub(crate) fn new(a_second: u32) -> Self {
        Self {
            apart: Duration::from_secs(1).checked_div(a_second),
            full: Mutex::default(),
        }
    }

    /// Takes a token out of somebody's bucket.
    ///
    /// # Errors
    /// How long to wait for one.
    pub(crate) fn take(&self, whose: &str, now: Instant) -> Result<(), Duration> {
        let Some(apart) = self.apart else { return Ok(()) };
        let depth = Duration::from_secs(u64::from(BURST)).max(apart);
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if full.len() >= MOST && !full.contains_key(whose) {
            full.retain(|_, full| *full > now);
        }
        let mine = full.get(whose).copied().unwrap_or(now).max(now) + apart;
        let ahead = mine - now;
        if ahead > depth {
            return Err(ahead - depth);
        }
        full.insert(whose.to_owned(), mine);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::{Duration, Instant};

    #[test]
    fn a_burst_is_let_through_then_so_many_a_second() {
        let (pace, begin) = (Pace::new(10), Instant::now());
        let taken = |whose: &str, at: Instant| (0..100).filter(|_| pace.take(whose, at).is_ok()).count();
        assert_eq!(taken("a", begin), 20);
        assert_eq!(taken("b", begin), 20, "each has a bucket of its own");
        let wait = pace.take("a", begin).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(taken("a", begin + wait), 1);
        assert_eq!(taken("a", begin + Duration::from_secs(1)), 9);
        assert_eq!(
            taken("a", begin + Duration::from_secs(3600)),
            20,
            "a full bucket does not run over"
        );
    }

    #[test]
    fn none_is_no_limit_and_one_a_second_is_slow() {
        let now = Instant::now();
        assert!((0..10_000).all(|_| Pace::new(0).take("a", now).is_ok()));
        let slow = Pace::new(1);
        assert_eq!((0..5).filter(|_| slow.take("a", now).is_ok()).count(), 2);
    }
}
