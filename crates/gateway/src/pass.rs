//! Passes: keys for one piece of work each, which live no longer than it.
//!
//! They are in no book. What a pass's calls cost is told to whoever issued it, as each call ends; when the pass is
//! withdrawn its calls under way are broken off, and the news end with the last of them.

use crate::key::{self, KeyError, Who};
use maestria_kernel::model::{CallNews, Caller};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{mpsc, watch};

/// What a pass is for.
#[derive(Debug, Clone, Default)]
pub struct PassFor {
    /// The name its calls go by as a client.
    pub client: String,
    /// What they count for.
    pub caller: Caller,
    /// The model that answers where one is asked for that nobody serves.
    pub stand_in: Option<String>,
}

/// A pass that was issued. It is withdrawn when this is dropped.
#[derive(Debug)]
pub struct Issued {
    /// The key; sent as any client key.
    pub key: String,
    passes: Arc<Passes>,
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.passes.withdraw(&self.key);
    }
}

/// A pass that is good.
#[derive(Debug)]
pub(crate) struct Pass {
    who: Who,
    pub(crate) stand_in: Option<String>,
    over: watch::Sender<bool>,
    news: mpsc::UnboundedSender<CallNews>,
}

impl Pass {
    /// Tells who issued it; nobody may be there to hear.
    pub(crate) fn tell(&self, news: CallNews) {
        let _ = self.news.send(news);
    }

    /// Returns when the pass is withdrawn.
    pub(crate) async fn over(&self) {
        // The sender lives as long as the pass.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

/// The passes of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    good: Mutex<HashMap<String, Arc<Pass>>>,
    /// Most gateways have none, and then no request asks for the lock.
    count: AtomicUsize,
}

impl Passes {
    fn good(&self) -> MutexGuard<'_, HashMap<String, Arc<Pass>>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn issue(
        self: &Arc<Self>,
        what: PassFor,
    ) -> Result<(Issued, mpsc::UnboundedReceiver<CallNews>), KeyError> {
        let key = key::random()?;
        let (news, heard) = mpsc::unbounded_channel();
        let PassFor {
            client,
            caller,
            stand_in,
        } = what;
        let pass = Arc::new(Pass {
            who: Who::of(client, &caller),
            stand_in,
            over: watch::Sender::new(false),
            news,
        });
        let mut good = self.good();
        good.insert(key::hash(&key), pass);
        self.count.store(good.len(), Ordering::Release);
        let passes = Arc::clone(self);
        Ok((Issued { key, passes }, heard))
    }

    /// Whose key it is.
    pub(crate) fn whose(&self, key: &str) -> Option<Who> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let pass = self.good().get(&key::hash(key)).cloned()?;
        Some(Who {
            pass: Some(pass.clone()),
            ..pass.who.clone()
        })
    }

    fn withdraw(&self, key: &str) {
        let mut good = self.good();
        let pass = good.remove(&key::hash(key));
        self.count.store(good.len(), Ordering::Release);
        drop(good);
        if let Some(pass) = pass {
            pass.over.send_replace(true);
        }
    }
}
