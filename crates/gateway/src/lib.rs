//! Model calls: one request shape in, every provider's dialect out, streamed.
//!
//! What it is for: the kernel's [`Models`](maestria_kernel::port::Models) port. What it must never do: know runs or
//! tasks, show a key, or read the ambient environment. Where to start reading: [`Gateway`], then [`wire`] for the
//! dialects and [`provider`] for how a call is made.

mod gateway;
mod price;
pub mod provider;
pub mod wire;

pub use gateway::{ConfigError, Gateway, ProviderConfig};
pub use price::Price;
