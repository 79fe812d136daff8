//! Where the engine gets the time: the kernel is only ever told it.

use maestria_kernel::{At, port::Boxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that can be waited on.
pub trait Clock: Send + Sync {
    /// The moment it is.
    fn now(&self) -> At;

    /// Ends when the moment has come.
    fn until(&self, at: At) -> Boxed<'_, ()>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> At {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn until(&self, at: At) -> Boxed<'_, ()> {
        Box::pin(async move {
            // Waits in pieces, so that a machine that slept or a clock that was set is noticed.
            while self.now() < at {
                tokio::time::sleep(at.since(self.now()).min(Duration::from_secs(30))).await;
            }
        })
    }
}
