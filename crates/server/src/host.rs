//! Drives runs on behalf of clients: the server's own drivers, and the queue before them.
//!
//! So many runs are at work at once as there are places; more wait in the order of their submission. A run that waits for a
//! person holds no place; when it is answered it goes on at once, and the queue waits a little longer.
//!
//! Runs begin behind the answers to those who submit them: what was acknowledged is in the log, and loses nothing by waiting
//! for a moment in which nobody submits anything.

mod lull;
mod places;

use crate::{
    App,
    stream::rows::{Kept, Rows},
};
use lull::Lull;
use maestria_engine::{EngineError, Leave, Patience};
use maestria_kernel::{
    Event, RunId,
    port::{RunRow, StoreError},
    state::RunState,
};
use places::Places;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    task::JoinSet,
};

/// How long a run rests whose driver has failed.
const REST: Duration = Duration::from_secs(2);

/// How long it takes until a run is looked at again that owes something when its driver ends.
const AGAIN: Duration = Duration::from_millis(50);

/// How long it is believed that another process drives a run, or none does. Looking takes the lock for a moment.
const BELIEVED: Duration = Duration::from_millis(100);
const MOST_BELIEVED: usize = 4096;

/// Whether runs that are submitted here are driven here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// The server stays: it drives whatever nobody else drives.
    All,
    /// The server goes with the run it stands beside: it only performs what a command owes.
    Settle,
}

/// Who is at work on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    /// Somebody is.
    pub(crate) driven: bool,
    /// Nobody yet: it waits for a place.
    pub(crate) queued: bool,
}

/// The drivers of this process.
#[derive(Debug)]
pub(crate) struct Host {
    app: Arc<App>,
    hosting: Hosting,
    rows: Arc<Rows>,
    yard: Arc<Yard>,
    drivers: Mutex<JoinSet<()>>,
    /// Whether another process drives a run, as of when.
    elsewhere: Mutex<HashMap<RunId, (Instant, bool)>>,
}

/// What the drivers share with the host.
#[derive(Debug)]
struct Yard {
    places: Mutex<Places>,
    /// When the queue may move.
    lull: Mutex<Lull>,
    /// Runs to be looked at.
    asked: Mutex<Vec<RunId>>,
    bell: Notify,
}

/// What a run needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing, until somebody acts on it.
    Nothing,
    /// A driver, and soon none any more; or one that waits with it.
    Driver,
    /// A driver and a place.
    Place,
}

impl Need {
    fn of(row: Option<&RunRow>) -> Self {
        match row.map_or("paused", |row| row.state.as_str()) {
            "paused" => Self::Nothing,
            state if works(state) => Self::Place,
            _ => Self::Driver,
        }
    }
}

/// Whether a run in a state is at work, or would be.
pub(crate) fn works(state: &str) -> bool {
    matches!(state, "planning" | "executing" | "validating")
}

impl Host {
    pub(crate) fn new(app: Arc<App>, rows: Arc<Rows>, hosting: Hosting) -> Self {
        let places = Places::new(app.config.runs_at_once);
        Self {
            app,
            hosting,
            rows,
            yard: Arc::new(Yard {
                places: Mutex::new(places),
                lull: Mutex::default(),
                asked: Mutex::default(),
                bell: Notify::new(),
            }),
            drivers: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }

    /// Whether new runs are taken.
    pub(crate) fn takes_runs(&self) -> bool {
        self.hosting == Hosting::All
    }

    /// Goes on with everything that was under way when an earlier server ended, then begins runs as there is room, for ever.
    pub(crate) async fn serve(self: Arc<Self>) {
        if self.hosting == Hosting::All {
            let open = self.rows.read(|kept| kept.open(None).map(|row| row.id).collect());
            match open.await {
                Ok(open) => *self.yard.asked() = open,
                Err(error) => tracing::warn!(%error, "runs under way cannot be looked up"),
            }
        }
        loop {
            match self.look().await {
                Ok(None) => self.yard.bell.notified().await,
                // Whichever comes first.
                Ok(Some(rest)) => drop(tokio::time::timeout(rest, self.yard.bell.notified()).await),
                Err(error) => {
                    tracing::warn!(%error, "runs that wait cannot be looked up");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Sees to it that somebody performs what the run owes, as soon as there is a place.
    pub(crate) fn drive(&self, run: RunId) {
        match self.hosting {
            Hosting::All => self.yard.ask(run),
            Hosting::Settle => self.begin(run),
        }
    }

    /// Puts a run into the queue that this process has just stored: nobody else can drive it yet.
    pub(crate) fn enlist(&self, run: RunId) {
        let now = Instant::now();
        self.believe(run, now, false);
        self.yard.places().wait(run);
        self.yard.lull().note(now);
        self.yard.bell.notify_one();
    }

    /// Who is at work on a run.
    pub(crate) fn standing(&self, run: RunId) -> Standing {
        let (driven, queued) = {
            let places = self.yard.places();
            (places.is_driven(run), places.is_waiting(run))
        };
        Standing {
            driven: driven || self.is_driven_elsewhere(run),
            queued,
        }
    }

    /// Which of all runs wait for a place.
    pub(crate) fn waits(&self) -> impl Fn(RunId) -> bool + '_ {
        let places = self.yard.places();
        move |run| places.is_waiting(run)
    }

    /// How many runs are at work, and how many wait for a place.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        self.yard.places().lengths()
    }

    /// Another one after each change of who is at work and who waits.
    pub(crate) fn version(&self) -> u64 {
        self.yard.places().version()
    }

    fn is_driven_elsewhere(&self, run: RunId) -> bool {
        let believed = self.elsewhere().get(&run).copied();
        if let Some((at, driven)) = believed
            && at.elapsed() < BELIEVED
        {
            return driven;
        }
        let driven = self.app.is_driven(run);
        self.believe(run, Instant::now(), driven);
        driven
    }

    fn believe(&self, run: RunId, at: Instant, driven: bool) {
        let mut elsewhere = self.elsewhere();
        if elsewhere.len() >= MOST_BELIEVED {
            elsewhere.clear();
        }
        elsewhere.insert(run, (at, driven));
    }

    fn elsewhere(&self) -> MutexGuard<'_, HashMap<RunId, (Instant, bool)>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the runs that somebody has asked about, then begins as many as there is room for. Returns how long the others
    /// are to wait, when it is not for a place.
    async fn look(&self) -> Result<Option<Duration>, StoreError> {
        let asked = self.yard.asked().clone();
        for (run, need) in self.needs(&asked).await? {
            self.settle(run, need);
        }
        // More may have been asked about meanwhile.
        self.yard.asked().drain(..asked.len());
        loop {
            let Some(next) = self.yard.places().next() else {
                return Ok(None);
            };
            if let Some(rest) = self.yard.lull().rest(Instant::now()) {
                return Ok(Some(rest));
            }
            // It may have been paused or ended while it waited.
            for (run, need) in self.needs(&[next]).await? {
                match need {
                    Need::Place if self.yard.places().begin(run, true) => self.spawn(run),
                    other => self.settle(run, other),
                }
            }
        }
    }

    async fn needs(&self, runs: &[RunId]) -> Result<Vec<(RunId, Need)>, StoreError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let need = |kept: &Kept| runs.iter().map(|run| (*run, Need::of(kept.get(*run)))).collect();
        self.rows.read(need).await
    }

    fn settle(&self, run: RunId, need: Need) {
        let elsewhere = self.app.is_driven_by_another(run);
        match need {
            Need::Place if !elsewhere => self.yard.places().wait(run),
            Need::Driver if !elsewhere => self.begin(run),
            _ => self.yard.places().leave(run),
        }
    }

    /// Begins to drive a run without a place, unless it is driven here already.
    fn begin(&self, run: RunId) {
        if self.yard.places().begin(run, false) {
            self.spawn(run);
        }
    }

    fn spawn(&self, run: RunId) {
        let patience = match self.hosting {
            Hosting::All => Patience::Wait,
            Hosting::Settle => Patience::Leave,
        };
        let (app, yard, hosting) = (self.app.clone(), self.yard.clone(), self.hosting);
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        while drivers.try_join_next().is_some() {}
        drivers.spawn(async move {
            loop {
                drive(&app, &yard, run, patience).await;
                // A command may have come in while the driver was on its way out.
                let owes = app.engine.store().owed(run).await.is_ok_and(|owed| !owed.is_empty());
                yard.places().end(run);
                yard.bell.notify_one();
                match hosting {
                    _ if !owes => return,
                    Hosting::All if app.is_driven_by_another(run) => return,
                    Hosting::All => {
                        tokio::time::sleep(AGAIN).await;
                        return yard.ask(run);
                    }
                    Hosting::Settle if !app.is_driven(run) && yard.places().begin(run, false) => {}
                    Hosting::Settle => return,
                }
            }
        });
    }
}

impl Yard {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lull(&self) -> MutexGuard<'_, Lull> {
        self.lull.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<RunId>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, run: RunId) {
        self.asked().push(run);
        self.bell.notify_one();
    }

    /// A run that waits for a person gives its place back, and has one again as soon as it goes on.
    fn hear(&self, run: RunId, state: &RunState) {
        let holds = works(state.as_str());
        if self.places().hold(run, holds) {
            self.bell.notify_one();
        }
    }
}

/// Drives a run to its end, or until only a person can go on and nobody is patient.
async fn drive(app: &App, yard: &Yard, run: RunId, patience: Patience) {
    // Kept here: a driver whose `leave` is gone would take that as a wish.
    let (_stay, leave) = watch::channel(Leave::No);
    let mut news = app.engine.watch(run).await;
    let driving = app.engine.drive(run, patience, leave);
    tokio::pin!(driving);
    let ended = loop {
        tokio::select! {
            ended = &mut driving => break ended,
            told = news.recv() => match told {
                Ok(stored) => if let Event::RunTransitioned { to, .. } = &stored.event {
                    yard.hear(run, to);
                },
                Err(RecvError::Lagged(_)) => if let Ok(run) = app.engine.load(run).await {
                    yard.hear(run.id, &run.state);
                },
                Err(RecvError::Closed) => {}
            }
        }
    };
    match ended {
        Ok(_) | Err(EngineError::Lease(_)) => {}
        Err(error) => {
            tracing::error!(%run, %error, "a run cannot be driven");
            tokio::time::sleep(REST).await;
        }
    }
}
