//! Budgets that hold.
//!
//! Before a call its worst case is taken from every account it counts against, under one lock, so that under any
//! concurrency exactly what fits is admitted. What is taken comes out of leases that the books have granted durably: a
//! call of less than a hundredth of its limit draws on a lease of that hundredth, every other call leases its own
//! amount. So a crash can lose no spending; at most a hundredth of a limit counts as spent that was not.

mod alert;

pub use alert::{Alert, OnAlert};

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
        settled: Vec<Tab>,
        call: Option<Box<CallRow>>,
        _room: Option<OwnedSemaphorePermit>,
    },
    Flush(oneshot::Sender<()>),
}

/// What became of an account in the calls that are written together.
struct Tab {
    settled: Settled,
    limit: Cost,
    /// The last of the calls.
    last: Option<usize>,
}

impl Tab {
    /// What is told if this takes the account past its alert.
    fn alert(&self, percent: u8, calls: &[CallRow]) -> Alert {
        let last = self.last.and_then(|last| calls.get(last));
        Alert {
            account: self.settled.account.clone(),
            limit: self.limit,
            percent,
            run: last.and_then(|call| call.run.clone()),
            task: last.and_then(|call| call.task.clone()),
        }
    }
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
            alert_percent,
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
            if let Some(left) = free.get_mut(&charge.account) {
                *left -= hold.amount.0;
            }
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
            for charge in hold.charges {
                let counts = charge
                    .model
                    .as_ref()
                    .is_none_or(|m| call.as_ref().is_some_and(|c| c.model == *m));
                let spent = if counts { cost } else { Cost::ZERO };
                let left = free.get(&charge.account).copied().unwrap_or(0) + hold.amount.0 - spent.0;
                let returned = (left - part(charge.limit, hold.amount)).max(0);
                match free.get_mut(&charge.account) {
                    Some(kept) => *kept = left - returned,
                    None => drop(free.insert(charge.account.clone(), left - returned)),
                }
                settled.push(Tab {
                    settled: Settled {
                        account: charge.account,
                        spent,
                        returned: Cost(returned),
                        alert_from: Some(Cost(charge.limit.0 / 100 * i64::from(self.alert_percent))),
                    },
                    limit: charge.limit,
                    last: None,
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
        let given_back = |(account, left)| Tab {
            settled: Settled {
                account,
                spent: Cost::ZERO,
                returned: Cost(left),
                alert_from: None,
            },
            limit: Cost::ZERO,
            last: None,
        };
        let left: Vec<(Account, i64)> = self.free().drain().filter(|(_, left)| *left > 0).collect();
        let settled: Vec<Tab> = left.into_iter().map(given_back).collect();
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
    alert_percent: u8,
    on_alert: OnAlert,
    failed: Arc<Mutex<Option<StoreError>>>,
}

impl Scribe {
    async fn serve(self, mut inbound: mpsc::UnboundedReceiver<Entry>) {
        let mut group = Vec::new();
        while inbound.recv_many(&mut group, GROUP).await > 0 {
            gather(&mut inbound, &mut group).await;
            let mut accounts: BTreeMap<Account, Tab> = BTreeMap::new();
            let (mut calls, mut flushes, mut rooms) = (Vec::<CallRow>::new(), Vec::new(), Vec::new());
            for entry in group.drain(..) {
                match entry {
                    Entry::Booked { settled, call, _room } => {
                        let last = call.map(|call| {
                            calls.push(*call);
                            calls.len() - 1
                        });
                        settled
                            .into_iter()
                            .for_each(|one| merge(&mut accounts, Tab { last, ..one }));
                        rooms.extend(_room);
                    }
                    Entry::Flush(done) => flushes.push(done),
                }
            }
            if !accounts.is_empty() || !calls.is_empty() {
                let percent = self.alert_percent;
                let alerts: Vec<Alert> = accounts.values().map(|tab| tab.alert(percent, &calls)).collect();
                let settled = accounts.into_values().map(|tab| tab.settled).collect();
                match self.ledger.settle(self.owner.clone(), settled, calls).await {
                    Ok(passed) => {
                        let passed = alerts.iter().filter(|alert| passed.contains(&alert.account));
                        passed.for_each(|alert| (self.on_alert)(alert));
                    }
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

fn merge(accounts: &mut BTreeMap<Account, Tab>, one: Tab) {
    match accounts.get_mut(&one.settled.account) {
        Some(sum) => {
            sum.settled.spent += one.settled.spent;
            sum.settled.returned += one.settled.returned;
            sum.last = one.last.or(sum.last);
        }
        None => {
            accounts.insert(one.settled.account.clone(), one);
        }
    }
}

#[cfg(test)]
mod tests;
