//! The model gateway: every dialect in, every provider out.
//!
//! What it is for: the kernel's [`Models`](maestria_kernel::port::Models) port for native agents. What it must never
//! do: show a key, read the ambient environment, or try a call again after content was sent. Where to start reading:
//! [`wire`] for the dialects, then `attempt` for how a call finds a provider that answers.

mod attempt;
mod gateway;
mod lane;
mod price;
mod provider;
pub mod wire;

pub use gateway::Gateway;
pub use lane::{Balance, LaneStatus};
pub use price::Price;
pub use provider::{ConfigError, Patience, ProviderConfig};
