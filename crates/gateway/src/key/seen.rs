//! The keys that were seen lately, so that the books are asked about each only now and then.

use super::{PREFIX, Who, hash};
use maestria_kernel::{ledger::Ledger, port::StoreError};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a key is trusted after the books were asked whether it was revoked.
const TRUST: Duration = Duration::from_secs(1);

/// When they are asked again, beside the calls that come with it meanwhile.
const FRESH: Duration = Duration::from_millis(500);

/// Lookups at a time: each opens the database, and whoever guesses at keys must not open it without end.
const LOOKUPS: usize = 8;

/// Keys remembered at most.
const REMEMBERED: usize = 4_096;

/// See the module.
#[derive(Clone)]
pub(crate) struct Seen(Arc<Inner>);

struct Inner {
    ledger: Arc<dyn Ledger>,
    known: Mutex<HashMap<String, Known>>,
    lookups: Semaphore,
}

struct Known {
    who: Arc<Who>,
    asked: Instant,
    /// The books are being asked again.
    again: bool,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Seen {
    pub(crate) fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self(Arc::new(Inner {
            ledger,
            known: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
        }))
    }

    /// Whose key it is; `None` for a key that there is not, or not any more.
    pub(crate) async fn whose(&self, key: &str) -> Result<Option<Arc<Who>>, StoreError> {
        if !key.starts_with(PREFIX) {
            return Ok(None);
        }
        let hash = hash(key);
        match self.trusted(&hash) {
            Some(who) => Ok(Some(who)),
            None => self.0.look_up(hash).await,
        }
    }

    /// Whose key it was a moment ago. A key in steady use never waits for the books.
    fn trusted(&self, hash: &str) -> Option<Arc<Who>> {
        let mut all = self.0.known();
        let known = all.get_mut(hash).filter(|known| known.asked.elapsed() < TRUST)?;
        if known.asked.elapsed() >= FRESH && !known.again {
            known.again = true;
            let (inner, hash) = (Arc::clone(&self.0), hash.to_owned());
            tokio::spawn(async move {
                // Who comes after the trust has ended asks himself, and is told.
                if let Err(error) = inner.look_up(hash).await {
                    tracing::warn!(%error, "a key cannot be looked up");
                }
            });
        }
        Some(Arc::clone(&known.who))
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self, hash: String) -> Result<Option<Arc<Who>>, StoreError> {
        // The semaphore is never closed.
        let _one_of_few = self.lookups.acquire().await.ok();
        let asked = Instant::now();
        if let Some(known) = self.known().get(&hash).filter(|known| known.asked.elapsed() < FRESH) {
            // Somebody else has asked meanwhile.
            return Ok(Some(Arc::clone(&known.who)));
        }
        let found = self.ledger.key(hash.clone()).await?;
        let found = found.filter(|key| key.revoked_at.is_none());
        let who = found.map(|key| Arc::new(Who::from(key)));
        self.keep(hash, who.clone(), asked);
        Ok(who)
    }

    fn keep(&self, hash: String, who: Option<Arc<Who>>, asked: Instant) {
        let mut all = self.known();
        let Some(who) = who else {
            all.remove(&hash);
            return;
        };
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let again = false;
        all.insert(hash, Known { who, asked, again });
    }
}

#[cfg(test)]
mod tests;
