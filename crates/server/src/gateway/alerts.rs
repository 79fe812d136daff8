//! Alerts of the gateway of this process, put into the log of the run whose call set them off.

use maestria_engine::Engine;
use maestria_gateway::Alert;
use maestria_kernel::{Command, Event};
use std::{
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};
use tokio::task::JoinSet;

/// See the module.
#[derive(Default)]
pub(super) struct Alerts {
    /// Who keeps the logs; made after the gateway, which it calls.
    engine: OnceLock<Weak<Engine>>,
    telling: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").finish_non_exhaustive()
    }
}

impl Alerts {
    /// Says who keeps the logs.
    pub(super) fn tell_to(&self, engine: Weak<Engine>) {
        // There is one engine a process.
        let _ = self.engine.set(engine);
    }

    fn telling(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an alert into the log of its run, if it has one, and into this program's.
    pub(super) fn tell(&self, alert: &Alert) {
        tracing::warn!(account = alert.account.scope, "{alert}");
        let run = alert.run.as_deref().and_then(|run| run.parse().ok());
        let engine = self.engine.get().and_then(Weak::upgrade);
        let (Some(run), Some(engine)) = (run, engine) else {
            return;
        };
        let event = Event::BudgetAlerted {
            task: alert.task.as_deref().and_then(|task| task.parse().ok()),
            account: alert.account.scope.clone(),
            percent: alert.percent,
            limit: alert.limit,
        };
        let mut telling = self.telling();
        while telling.try_join_next().is_some() {}
        telling.spawn(async move {
            let command = Command::Observe { event: Box::new(event) };
            if let Err(error) = engine.send(run, command).await {
                tracing::warn!(%run, %error, "an alert is not in the log of its run");
            }
        });
    }

    /// Waits until all are told.
    pub(super) async fn close(&self) {
        let mut telling = std::mem::take(&mut *self.telling());
        while telling.join_next().await.is_some() {}
    }
}
