//! Budgets that hold.
//!
//! Before a call its worst case is taken from every account it counts against, under one lock, so that under any
//! concurrency exactly what fits is admitted. What is taken comes out of leases that the books have granted durably: a
//! call of less than a hundredth of its limit draws on a lease of that hundredth, every other call leases its own
//! amount. So a crash can lose no spending; at most a hundredth of a limit counts as spent that was not.

use maestria_kernel::{
    At, Cost,
    ledger::{Account, CallRow, Ledger, Scope, Settled, Short, Want},
    port::StoreError,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

/// Calls that may be settled but not yet on disk; further ones wait.
const UNWRITTEN: usize = 8_192;

/// How long a settled call may wait for others before it is written.
const BEHIND: Duration = Duration::from_millis(20);

/// Calls that are written at once.
const GROUP: usize = 2_048;

/// A lease that serves small calls is this part of its limit.
const PART: i64 = 100;

/// What may be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetConfig {
    /// By everybody, a day.
    pub day: Option<Cost>,
    /// By a run.
    pub run: Option<Cost>,
    /// By a task.
    pub task: Option<Cost>,
    /// By a client key a day, unless it has its own.
    pub client: Option<Cost>,
    /// By a project a day.
    pub project: Option<Cost>,
    /// On a model a day.
    pub model: Option<Cost>,
    /// The part of a limit, in percent, from which people are told.
    pub alert_percent: u8,
    /// What happens when a limit is reached.
    pub exhausted: Exhausted,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            day: Some(Cost(100_000_000)),
            run: None,
            task: None,
            client: None,
            project: None,
            model: None,
            alert_percent: 80,
            exhausted: Exhausted::Stop,
        }
    }
}

/// What happens when a limit is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exhausted {
    /// Calls are refused.
    #[default]
    Stop,
    /// Calls go to the best cheaper model that fits.
    Downgrade,
}

impl Exhausted {
    /// Its word, as in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Downgrade => "downgrade",
        }
    }
}

/// An account that a call counts against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) account: Account,
    pub(crate) limit: Cost,
    /// Only what this model costs counts.
    pub(crate) model: Option<String>,
}

impl Charge {
    pub(crate) fn new(scope: &Scope, limit: Cost, now: At) -> Self {
        Self {
            account: Account::of(scope, now),
            limit,
            model: if let Scope::Model(model) = scope {
                Some(model.clone())
            } else {
                None
            },
        }
    }
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// An account has no room.
    #[error("the budget of {} is exhausted: {} of {} are spent and {} are held for calls under way; this call may cost up to {needed}", .short.scope, .short.spent, .short.limit, .short.held)]
    Short { short: Short, needed: Cost },
    /// The books cannot be written, so nothing is spent.
    #[error("the books cannot be written: {0}")]
    Books(#[from] StoreError),
}

impl Refusal {
    /// Whether it is the run's own budget that is short.
    pub(crate) fn is_of_run(&self) -> bool {
        matches!(self, Self::Short { short, .. } if short.scope.starts_with("run "))
    }
}

/// Told when an account passes its alert, once a day.
pub type OnAlert = Arc<dyn Fn(&Account) + Send + Sync>;

/// The accounts of one gateway.
pub(crate) struct Budgets {
    ledger: Arc<dyn Ledger>,
    owner: String,
    alert_percent: u8,
    /// What is leased and not taken, by account.
    free: Mutex<HashMap<Account, i64>>,
    /// One lease at a time, so that two calls do not both ask for what one lease would give them.
    leasing: tokio::sync::Mutex<()>,
    entries: mpsc::UnboundedSender<Entry>,
    room: Arc<Semaphore>,
    failed: Arc<Mutex<Option<StoreError>>>,
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

enum Entry {
    Booked {
        settled: Vec<Settled>,
        call: Option<Box<CallRow>>,
        _room: Option<OwnedSemaphorePermit>,
    },
    Flush(oneshot::Sender<()>),
}

/// What was taken for one call. Must be settled.
#[derive(Debug)]
pub(crate) struct Hold {
    charges: Vec<Charge>,
    amount: Cost,
    room: Option<OwnedSemaphorePermit>,
}

impl Budgets {
    /// Accounts on these books, for an owner that nobody else is. Writes behind in a task of its own, which ends with
    /// the budgets.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, owner: String, alert_percent: u8, on_alert: OnAlert) -> Self {
        let (entries, inbound) = mpsc::unbounded_channel();
        let failed = Arc::default();
        let scribe = Scribe {
            ledger: ledger.clone(),
            owner: owner.clone(),
            on_alert,
            failed: Arc::clone(&failed),
        };
        tokio::spawn(scribe.serve(inbound));
        Self {
            ledger,
            owner,
            alert_percent,
            free: Mutex::default(),
            leasing: tokio::sync::Mutex::default(),
            entries,
            room: Arc::new(Semaphore::new(UNWRITTEN)),
            failed,
        }
    }

    fn free(&self) -> MutexGuard<'_, HashMap<Account, i64>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an amount from all accounts, or from none.
    pub(crate) async fn take(&self, charges: Vec<Charge>, amount: Cost) -> Result<Hold, Refusal> {
        if let Some(why) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(Refusal::Books(why));
        }
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        let hold = Hold { charges, amount, room };
        if amount.0 == 0 || self.take_leased(&hold) {
            return Ok(hold);
        }
        let _one = self.leasing.lock().await;
        let mut flushed = false;
        loop {
            let wants = self.missing(&hold);
            if wants.is_empty() {
                if self.take_leased(&hold) {
                    return Ok(hold);
                }
                continue;
            }
            match self.ledger.lease(self.owner.clone(), wants.clone()).await? {
                Ok(granted) => {
                    let mut free = self.free();
                    for (want, amount) in wants.into_iter().zip(granted) {
                        *free.entry(want.account).or_default() += amount.0;
                    }
                }
                Err(short) if flushed => {
                    return Err(Refusal::Short { short, needed: amount });
                }
                Err(_) => {
                    // Something may just have been given back.
                    flushed = true;
                    self.flush().await;
                }
            }
        }
    }

    /// Takes nothing, for what costs nothing and is booked all the same.
    pub(crate) async fn nothing(&self) -> Result<Hold, Refusal> {
        self.take(Vec::new(), Cost::ZERO).await
    }

    fn take_leased(&self, hold: &Hold) -> bool {
        let mut free = self.free();
        let enough = |c: &Charge| free.get(&c.account).copied().unwrap_or(0) >= hold.amount.0;
        if !hold.charges.iter().all(enough) {
            return false;
        }
        for charge in &hold.charges {
            *free.entry(charge.account.clone()).or_default() -= hold.amount.0;
        }
        true
    }

    /// What must be leased before the hold can be taken.
    fn missing(&self, hold: &Hold) -> Vec<Want> {
        let free = self.free();
        let want = |charge: &Charge| {
            let least = hold.amount.0 - free.get(&charge.account).copied().unwrap_or(0);
            (least > 0).then(|| Want {
                account: charge.account.clone(),
                limit: charge.limit,
                least: Cost(least),
                most: Cost(least.max(part(charge.limit, hold.amount))),
            })
        };
        hold.charges.iter().filter_map(want).collect()
    }

    /// Books what a call cost, and gives the rest back.
    pub(crate) fn settle(&self, hold: Hold, cost: Cost, call: Option<CallRow>) {
        let mut settled = Vec::with_capacity(hold.charges.len());
        if hold.amount.0 != 0 || cost.0 != 0 {
            let mut free = self.free();
            for charge in &hold.charges {
                let counts = charge
                    .model
                    .as_ref()
                    .is_none_or(|m| call.as_ref().is_some_and(|c| c.model == *m));
                let spent = if counts { cost } else { Cost::ZERO };
                let left = free.entry(charge.account.clone()).or_default();
                *left += hold.amount.0 - spent.0;
                let returned = (*left - part(charge.limit, hold.amount)).max(0);
                *left -= returned;
                settled.push(Settled {
                    account: charge.account.clone(),
                    spent,
                    returned: Cost(returned),
                    alert_from: Some(Cost(charge.limit.0 / 100 * i64::from(self.alert_percent))),
                });
            }
        }
        // The receiver lives as long as the sender.
        let _ = self.entries.send(Entry::Booked {
            settled,
            call: call.map(Box::new),
            _room: hold.room,
        });
    }

    /// Returns when all that was settled so far is on disk.
    pub(crate) async fn flush(&self) {
        let (done, ended) = oneshot::channel();
        if self.entries.send(Entry::Flush(done)).is_ok() {
            let _ = ended.await;
        }
    }

    /// Gives back what is leased and not taken, and waits until all is on disk.
    pub(crate) async fn close(&self) {
        let settled: Vec<Settled> = self
            .free()
            .drain()
            .filter(|(_, left)| *left > 0)
            .map(|(account, left)| Settled {
                account,
                spent: Cost::ZERO,
                returned: Cost(left),
                alert_from: None,
            })
            .collect();
        let _ = self.entries.send(Entry::Booked {
            settled,
            call: None,
            _room: None,
        });
        self.flush().await;
    }
}

/// What stays leased for small calls.
fn part(limit: Cost, amount: Cost) -> i64 {
    let part = limit.0 / PART;
    if amount.0 <= part { part } else { 0 }
}

/// Writes behind.
struct Scribe {
    ledger: Arc<dyn Ledger>,
    owner: String,
    on_alert: OnAlert,
    failed: Arc<Mutex<Option<StoreError>>>,
}

impl Scribe {
    async fn serve(self, mut inbound: mpsc::UnboundedReceiver<Entry>) {
        let mut group = Vec::new();
        while inbound.recv_many(&mut group, GROUP).await > 0 {
            gather(&mut inbound, &mut group).await;
            let mut accounts: BTreeMap<Account, Settled> = BTreeMap::new();
            let (mut calls, mut flushes, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
            for entry in group.drain(..) {
                match entry {
                    Entry::Booked { settled, call, _room } => {
                        settled.into_iter().for_each(|one| merge(&mut accounts, one));
                        calls.extend(call.map(|c| *c));
                        rooms.extend(_room);
                    }
                    Entry::Flush(done) => flushes.push(done),
                }
            }
            if !accounts.is_empty() || !calls.is_empty() {
                let settled = accounts.into_values().collect();
                match self.ledger.settle(self.owner.clone(), settled, calls).await {
                    Ok(alerts) => alerts.iter().for_each(|account| (self.on_alert)(account)),
                    Err(error) => {
                        tracing::error!(%error, "the books cannot be written; no further call is admitted");
                        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
            }
            for done in flushes {
                let _ = done.send(());
            }
        }
    }
}

/// Waits a little for more, so that a flush of the disk serves many calls; not when somebody waits for it.
async fn gather(inbound: &mut mpsc::UnboundedReceiver<Entry>, group: &mut Vec<Entry>) {
    let urgent = |group: &[Entry]| group.iter().any(|entry| matches!(entry, Entry::Flush(_)));
    let deadline = Instant::now() + BEHIND;
    while group.len() < GROUP && !urgent(group) {
        match tokio::time::timeout_at(deadline, inbound.recv_many(group, GROUP)).await {
            Ok(more) if more > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

fn merge(accounts: &mut BTreeMap<Account, Settled>, one: Settled) {
    match accounts.get_mut(&one.account) {
        Some(sum) => {
            sum.spent += one.spent;
            sum.returned += one.returned;
        }
        None => {
            accounts.insert(one.account.clone(), one);
        }
    }
}

#[cfg(test)]
mod tests;
