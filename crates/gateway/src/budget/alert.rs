//! Told once an account and day: most of a limit is spent.

use maestria_kernel::{Cost, ledger::Account};
use std::{fmt, sync::Arc};

/// An account that has passed the share of its limit from which people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Which account.
    pub account: Account,
    /// The most that may be spent of it.
    pub limit: Cost,
    /// The share that is spent, in percent.
    pub percent: u8,
    /// The run whose call was the last before it, if one was.
    pub run: Option<String>,
    /// Its task.
    pub task: Option<String>,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account,
            limit,
            percent,
            ..
        } = self;
        write!(f, "{percent} % of the budget of {} ({limit}) are spent", account.scope)
    }
}

/// Hears of alerts.
pub type OnAlert = Arc<dyn Fn(&Alert) + Send + Sync>;
