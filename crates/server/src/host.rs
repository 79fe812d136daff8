//! Drives runs on behalf of clients: the server's own drivers.

use crate::App;
use maestria_engine::{EngineError, Leave, Patience};
use maestria_kernel::RunId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, task::JoinSet};

/// Whether runs that are submitted here are driven here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// The server stays: it drives whatever nobody else drives.
    All,
    /// The server goes with the run it stands beside: it only performs what a command owes.
    Settle,
}

/// The drivers of this process.
#[derive(Debug)]
pub(crate) struct Host {
    app: Arc<App>,
    hosting: Hosting,
    driven: Arc<Mutex<HashSet<RunId>>>,
    drivers: Mutex<JoinSet<()>>,
}

impl Host {
    pub(crate) fn new(app: Arc<App>, hosting: Hosting) -> Self {
        Self {
            app,
            hosting,
            driven: Arc::default(),
            drivers: Mutex::default(),
        }
    }

    /// Whether new runs are taken.
    pub(crate) fn takes_runs(&self) -> bool {
        self.hosting == Hosting::All
    }

    /// Goes on with everything that was under way when an earlier server ended.
    pub(crate) async fn resume(&self) {
        if self.hosting != Hosting::All {
            return;
        }
        match self.app.engine.store().runs().await {
            Ok(rows) => {
                let open = rows
                    .into_iter()
                    .filter(|row| !matches!(row.state.as_str(), "completed" | "failed" | "aborted" | "paused"));
                open.for_each(|row| self.drive(row.id));
            }
            Err(error) => tracing::warn!(%error, "runs under way cannot be looked up"),
        }
    }

    /// Sees to it that somebody performs what the run owes.
    pub(crate) fn drive(&self, run: RunId) {
        let lock = move |set: &Mutex<HashSet<RunId>>| set.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        if !lock(&self.driven) {
            return;
        }
        let patience = match self.hosting {
            Hosting::All => Patience::Wait,
            Hosting::Settle => Patience::Leave,
        };
        let (app, driven) = (self.app.clone(), self.driven.clone());
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        while drivers.try_join_next().is_some() {}
        drivers.spawn(async move {
            loop {
                // Kept here: a driver whose `leave` is gone would take that as a wish.
                let (_stay, leave) = watch::channel(Leave::No);
                match app.engine.drive(run, patience, leave).await {
                    Ok(_) | Err(EngineError::Lease(_)) => {}
                    Err(error) => tracing::error!(%run, %error, "a run cannot be driven"),
                }
                driven.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
                // A command may have come in while the driver was on its way out.
                let owes = app.engine.store().owed(run).await.is_ok_and(|owed| !owed.is_empty());
                if !owes || app.is_driven(run) || !lock(&driven) {
                    return;
                }
            }
        });
    }
}
