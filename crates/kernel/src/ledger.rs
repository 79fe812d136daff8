//! The books of the model gateway: what may be spent, what was, by whom, and who may ask at all.
//!
//! Money is spent in two steps. Before a call its worst case is *leased* from every scope it counts against, all or
//! nothing; afterwards what it cost is *settled*, and the rest of the lease given back. Leases belong to an owner, one
//! running gateway; what an owner that died still held counts as spent.

mod advice;

pub use advice::Advice;

use crate::{
    money::Cost,
    port::{Boxed, StoreError},
    time::At,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a call counts against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything of a day.
    Day,
    /// A client key, by the day.
    Client(String),
    /// A project, by the day.
    Project(String),
    /// A model, by the day.
    Model(String),
    /// A run, from its beginning.
    Run(String),
    /// A task, from its beginning.
    Task(String),
}

impl Scope {
    /// The day that the scope counts in: days since the Unix epoch (UTC), or 0 for what has no days.
    pub const fn day(&self, now: At) -> i64 {
        match self {
            Self::Day | Self::Client(_) | Self::Project(_) | Self::Model(_) => now.0.div_euclid(86_400_000),
            Self::Run(_) | Self::Task(_) => 0,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day => f.write_str("day"),
            Self::Client(name) => write!(f, "client {name}"),
            Self::Project(name) => write!(f, "project {name}"),
            Self::Model(name) => write!(f, "model {name}"),
            Self::Run(name) => write!(f, "run {name}"),
            Self::Task(name) => write!(f, "task {name}"),
        }
    }
}

/// A scope at its day, as the books name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// `client ci` and the like.
    pub scope: String,
    /// Days since the epoch, or 0.
    pub day: i64,
}

impl Account {
    /// The account of a scope at a moment.
    pub fn of(scope: &Scope, now: At) -> Self {
        Self {
            scope: scope.to_string(),
            day: scope.day(now),
        }
    }
}

/// What is wanted of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Which account.
    pub account: Account,
    /// The most that may be spent of it.
    pub limit: Cost,
    /// The least that is of use.
    pub least: Cost,
    /// What is taken if there is room.
    pub most: Cost,
}

/// An account that has no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Short {
    /// Which scope.
    pub scope: String,
    /// The most that may be spent of it.
    pub limit: Cost,
    /// What is spent.
    pub spent: Cost,
    /// What is held for calls under way, here and elsewhere.
    pub held: Cost,
}

/// What became of leases on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which account.
    pub account: Account,
    /// What was spent of the leases.
    pub spent: Cost,
    /// What is given back besides.
    pub returned: Cost,
    /// Spending from which people are told, once a day.
    pub alert_from: Option<Cost>,
}

/// An account as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Balance {
    /// Which scope.
    pub scope: String,
    /// Days since the epoch, or 0.
    pub day: i64,
    /// What is spent.
    pub spent: Cost,
    /// What is held for calls under way.
    pub held: Cost,
    /// Whether the alert has gone out.
    pub alerted: bool,
}

/// A client's key; the key itself is nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientKey {
    /// What people call it.
    pub name: String,
    /// How the key begins, so that people can tell keys apart.
    pub prefix: String,
    /// SHA-256 of the key, in hexadecimal digits.
    pub hash: String,
    /// When it was made.
    pub created_at: At,
    /// When it was revoked.
    pub revoked_at: Option<At>,
    /// The most it may cost a day.
    pub budget: Option<Cost>,
    /// The run its calls count for.
    pub run: Option<String>,
    /// The task its calls count for.
    pub task: Option<String>,
    /// The agent that has it.
    pub agent: Option<String>,
    /// The project its calls count for.
    pub project: Option<String>,
}

/// One call, as the meter saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallRow {
    /// When it came in.
    pub at: At,
    /// The gateway's id of the request.
    pub request: String,
    /// The client key's name.
    pub client: String,
    /// The run.
    pub run: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The model that was asked for.
    pub asked: String,
    /// The provider that answered, or was to.
    pub provider: String,
    /// Its model.
    pub model: String,
    /// Why it was this model, in words and numbers.
    pub reason: String,
    /// Tokens sent, cached ones included.
    pub input: u64,
    /// Of them, read from the provider's prompt cache.
    pub cached: u64,
    /// Of them, written to it.
    pub written: u64,
    /// Tokens received, reasoning included.
    pub output: u64,
    /// Of them, reasoning.
    pub reasoning: u64,
    /// The provider counted nothing, so the counts are estimates.
    pub estimated: bool,
    /// What it cost.
    pub cost: Cost,
    /// How long it took.
    pub millis: u64,
    /// How long until the first content.
    pub first_millis: u64,
    /// `ok`, `failed`, `cancelled`, `refused`.
    pub outcome: String,
    /// The stable code of a failure.
    pub code: String,
    /// Tries that failed before.
    pub retries: u32,
    /// The path it came in by, without the model's name; empty for calls of this process's own.
    #[serde(default)]
    pub door: String,
    /// `chat`, `embeddings` or `count_tokens`; empty in books of a former version.
    #[serde(default)]
    pub operation: String,
    /// Why the model stopped: `stop`, `tool_calls`, `length` or `content_filter`; empty where it is not known.
    #[serde(default)]
    pub finish: String,
    /// How long it waited for its client's rate.
    #[serde(default)]
    pub waited_millis: u64,
    /// The `traceparent` that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What usage is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Run.
    Run,
    /// Task.
    Task,
    /// Agent.
    Agent,
    /// Client key.
    Client,
    /// Project.
    Project,
    /// Provider.
    Provider,
    /// Provider and model.
    Model,
    /// Day (UTC).
    Day,
}

impl UsageBy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Run,
        Self::Task,
        Self::Agent,
        Self::Client,
        Self::Project,
        Self::Provider,
        Self::Model,
        Self::Day,
    ];

    /// Its word, as every face has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Project => "project",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

/// Which calls are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageOf {
    /// Those since a moment.
    pub since: At,
    /// Those of one run; otherwise all.
    pub run: Option<String>,
}

/// Usage of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageLine {
    /// The group; empty for calls that belong to none.
    pub group: String,
    /// Calls.
    pub calls: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Of them, those that the cache answered.
    #[serde(default)]
    pub hits: u64,
    /// Tokens sent.
    pub input: u64,
    /// Of them, cached.
    pub cached: u64,
    /// Tokens received.
    pub output: u64,
    /// What it cost.
    pub cost: Cost,
    /// Median time of a call.
    pub p50_millis: u64,
    /// 95th percentile.
    pub p95_millis: u64,
    /// 99th percentile.
    pub p99_millis: u64,
}

/// The books.
pub trait Ledger: Send + Sync {
    /// Leases from several accounts, all or nothing, durably: the amounts, in the order of the wants, or the first
    /// account that is short.
    fn lease(&self, owner: String, wants: Vec<Want>) -> Boxed<'_, Result<Result<Vec<Cost>, Short>, StoreError>>;

    /// Books what became of leases, and the calls they were for. Returns the accounts that have just passed their
    /// alert.
    fn settle(
        &self,
        owner: String,
        settled: Vec<Settled>,
        calls: Vec<CallRow>,
    ) -> Boxed<'_, Result<Vec<Account>, StoreError>>;

    /// Everybody who holds leases.
    fn owners(&self) -> Boxed<'_, Result<Vec<String>, StoreError>>;

    /// Counts what a dead owner still held as spent; returns how much that was on each account.
    fn absorb(&self, owner: String) -> Boxed<'_, Result<Vec<(Account, Cost)>, StoreError>>;

    /// The accounts of a day, and those without days.
    fn balances(&self, day: i64) -> Boxed<'_, Result<Vec<Balance>, StoreError>>;

    /// What calls used, grouped, the dearest group first.
    fn usage(&self, by: UsageBy, of: UsageOf) -> Boxed<'_, Result<Vec<UsageLine>, StoreError>>;

    /// Calls since a moment, the newest first.
    fn calls(&self, since: At, limit: u32) -> Boxed<'_, Result<Vec<CallRow>, StoreError>>;

    /// Calls by their places in the books, which grow: those after `number`, at most `limit`, in order.
    fn calls_after(&self, number: u64, limit: u32) -> Boxed<'_, Result<Vec<(u64, CallRow)>, StoreError>>;

    /// The place of the newest call; 0 when there is none.
    fn newest_call(&self) -> Boxed<'_, Result<u64, StoreError>>;

    /// Keeps a new key; `false` when there is one of that name.
    fn add_key(&self, key: ClientKey) -> Boxed<'_, Result<bool, StoreError>>;

    /// Revokes the key of a name; `false` when there is none that is not revoked.
    fn revoke_key(&self, name: String, now: At) -> Boxed<'_, Result<bool, StoreError>>;

    /// All keys, the newest first.
    fn keys(&self) -> Boxed<'_, Result<Vec<ClientKey>, StoreError>>;

    /// The key of a hash, revoked or not.
    fn key(&self, hash: String) -> Boxed<'_, Result<Option<ClientKey>, StoreError>>;
}
