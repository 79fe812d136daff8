//! The shapes of `/api/v1`, which `docs/api.md` describes for people; and, with the feature `client`, the client that speaks
//! them.
//!
//! What it is for: one definition for the server and for every client written in Rust. What it must never do: speak HTTP
//! without the feature, send a credential to anybody but the server that was named, or rename what the kernel has named;
//! where a shape is the kernel's own, it is that type. Where to start reading: [`run`], then [`problem`], then the client.

pub mod audit;
#[cfg(feature = "client")]
pub mod client;
pub mod decision;
pub mod meta;
pub mod money;
pub mod policy;
pub mod problem;
pub mod run;
pub mod violation;
pub mod worker;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to give back as `cursor` for the next one; `None` on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A list that is one page.
    pub const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
