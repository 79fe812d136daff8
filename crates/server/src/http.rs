//! The server: `/api/v1` and the dashboard on one address. `docs/api.md` is the contract.
//!
//! Reads go to the store, never to a driver; commands go the way they go from the command line. Where to start reading:
//! [`routes`] for the paths, `guard` for who may come in.

mod access;
mod ask;
mod decisions;
mod events;
mod files;
mod flat;
mod graph;
mod guard;
mod machine;
mod metrics;
mod money;
mod problem;
mod reply;
mod rules;
mod runs;
mod server;
mod workers;

pub use access::{Access, AccessError};
pub use server::{ListenError, Server, running};

use crate::{
    App,
    config::Sources,
    host::Host,
    stream::{tail::Tail, view::Views},
};
use axum::{
    Router, middleware,
    routing::{get, post},
};
use maestria_kernel::{At, ledger::Ledger};
use problem::Refusal;
use std::{net::SocketAddr, sync::Arc, time::Instant};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) sources: Sources,
    pub(crate) books: Arc<dyn Ledger>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) views: Views,
    pub(crate) host: Host,
    pub(crate) access: Access,
    pub(crate) repeats: guard::Repeats,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) started_at: At,
    pub(crate) stopping: tokio::sync::watch::Receiver<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

type State = axum::extract::State<Arc<Shared>>;

/// Every path there is.
fn routes(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/health", get(machine::health))
        .route("/meta", get(machine::meta))
        .route("/sign-in", post(machine::sign_in))
        .route("/runs", get(runs::list).post(runs::submit))
        .route("/runs/{run}", get(runs::show))
        .route("/runs/{run}/diff", get(runs::diff))
        .route("/runs/{run}/events", get(events::page))
        .route("/runs/{run}/pause", post(runs::pause))
        .route("/runs/{run}/resume", post(runs::resume))
        .route("/runs/{run}/abort", post(runs::abort))
        .route("/runs/{run}/retry", post(runs::retry))
        .route("/runs/{run}/rerun", post(runs::rerun))
        .route("/runs/{run}/review", post(runs::review))
        .route("/runs/{run}/apply", post(runs::apply))
        .route("/runs/{run}/discard", post(runs::discard))
        .route("/events", get(events::stream))
        .route("/workers", get(workers::list))
        .route("/decisions", get(decisions::list))
        .route("/decisions/{decision}", get(decisions::show).post(decisions::decide))
        .route("/usage", get(money::usage))
        .route("/budgets", get(money::budgets))
        .route("/models", get(money::models))
        .route("/gateway/lanes", get(money::lanes))
        .route("/gateway/calls", get(money::calls))
        .route("/gateway/route", post(money::route))
        .route("/policies", get(rules::list))
        .route("/policies/test", post(rules::test))
        .route("/policies/path", post(rules::path))
        .route("/agents", get(machine::agents))
        .route("/agents/probe", post(machine::probe))
        .route("/workflows", get(machine::workflows))
        .route("/doctor", get(machine::doctor))
        .route("/config", get(machine::config));
    Router::new()
        .nest("/api/v1", api)
        .merge(flat::routes())
        .route("/health", get(machine::health))
        .route("/metrics", get(metrics::show))
        .fallback(files::serve)
        .method_not_allowed_fallback(async || Refusal::method())
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}
