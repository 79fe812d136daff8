//! The one place that knows every room: configuration, and the wiring of the product.
//!
//! What it is for: turning a [`Config`] into an [`App`] whose engine is plugged into a store, agents, repositories and
//! models. What it must never do: decide anything about a run. Where to start reading: [`app`].

pub mod config;

pub use config::{Config, ConfigError, Sources, Workflows};
