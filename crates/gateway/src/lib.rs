//! The model gateway: every dialect in, every provider out, routed with reasons, within budgets that hold.
//!
//! What it is for: model calls of native agents in process, through the kernel's
//! [`Models`](maestria_kernel::port::Models) port, and of everybody else over HTTP. What it must never do: show a
//! provider's key, read the ambient environment, spend what a budget does not have, or try a call again after content
//! was sent. Where to start reading: [`wire`] for the dialects; `service.rs` for the way of a call from its question to
//! its answer; `attempt.rs` for how it finds a provider that answers; `budget.rs` for how money is kept.

mod advice;
mod attempt;
mod budget;
mod cache;
mod catalogue;
mod clean;
mod core;
mod gateway;
mod http;
pub mod key;
mod lane;
mod limit;
mod pass;
mod provider;
mod question;
mod relay;
mod route;
mod service;
mod tally;
mod tokens;
pub mod wire;

pub use self::core::Setup;
pub use advice::advise;
pub use budget::{Alert, BudgetConfig, Exhausted, OnAlert};
pub use cache::{CacheConfig, CacheStatus, SemanticConfig};
pub use catalogue::{Catalogue, Model, Price, Quality};
pub use gateway::Gateway;
pub use http::{Bounds, ListenError, Server};
pub use lane::{Balance, LaneStatus};
pub use limit::Rate;
pub use pass::{Issued, PassFor};
pub use provider::{ConfigError, Patience, ProviderConfig};
pub use route::{
    Candidate, Decision, Difficulty, Example, Losses, Lost, Policy, Route, TooFew, Trained, Weights, Wish, train,
};
pub use service::{Auth, OnLoss, Outside, Rules, Service};
pub use wire::piece::status_of;
