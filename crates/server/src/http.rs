//! The server: `/api/v1` and the dashboard on one address. `docs/api.md` is the contract.
//!
//! Reads go to the store, never to a driver; commands go the way they go from the command line. Where to start reading:
//! [`operations`] for the paths, `guard` for who may come in.

mod access;
mod ask;
mod audit;
mod contract;
mod conversation;
mod cors;
mod decisions;
mod events;
mod files;
mod flat;
mod graph;
mod guard;
mod keys;
mod machine;
mod metrics;
mod money;
mod near;
mod operations;
mod plans;
mod problem;
mod repeats;
mod reply;
mod rules;
mod runs;
mod server;
mod shown;
mod site;
mod socket;
mod submissions;
mod tls;
mod violations;
mod websocket;
mod workers;

pub use access::{Access, AccessError, Issued, Revoked};
pub use near::{own_token, running};
pub use server::{ListenError, Place, Server};
pub use tls::TlsError;

use crate::{
    App,
    config::Sources,
    host::Host,
    stream::{rows::Rows, tail::Tail, view::Views},
};
use axum::{Router, middleware};
use maestria_kernel::{At, ledger::Ledger};
use problem::Refusal;
use std::{sync::Arc, time::Instant};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) sources: Sources,
    pub(crate) books: Arc<dyn Ledger>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) views: Views,
    pub(crate) meter: metrics::Meter,
    pub(crate) gallery: shown::Gallery,
    pub(crate) host: Arc<Host>,
    pub(crate) access: Access,
    pub(crate) pace: access::pace::Pace,
    /// Room for conversations, which stay open.
    pub(crate) lines: Arc<tokio::sync::Semaphore>,
    /// Room for plans without runs: as many at once as there are places for runs.
    pub(crate) plans: tokio::sync::Semaphore,
    pub(crate) repeats: repeats::Repeats,
    pub(crate) site: site::Site,
    pub(crate) started: Instant,
    pub(crate) started_at: At,
    pub(crate) stopping: tokio::sync::watch::Receiver<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

type State = axum::extract::State<Arc<Shared>>;

/// Every path there is.
fn routes(shared: Arc<Shared>) -> Router {
    contract::router(operations::all())
        .fallback(files::serve)
        .method_not_allowed_fallback(async || Refusal::method())
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}
