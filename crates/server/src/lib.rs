//! The one place that knows every room: configuration, and the wiring of the product.
//!
//! What it is for: turning a [`Config`] into an [`App`] whose engine is plugged into a store, agents, repositories and
//! models. What it must never do: decide anything about a run. Where to start reading: [`app`].

pub mod app;
pub mod audit;
pub mod config;
mod doctor;
pub mod gateway;
mod histogram;
mod host;
pub mod http;
mod lists;
mod plan;
mod recordings;
pub mod rules;
mod stream;
mod telemetry;

pub use app::{
    App, AppError, Options, ScriptedProvider, Wish, check, configured_agents, now, start_repository, trust_book,
};
pub use config::{Config, ConfigError, Sources, Workflows};
pub use doctor::doctor;
pub use host::Hosting;
pub use lists::{States, UnknownState, named};
pub use maestria_agents::trust;
pub use maestria_engine::{EngineError, Leave, Patience};
pub use maestria_sandbox::{self as sandbox, path, policy};
pub use recordings::replay;
