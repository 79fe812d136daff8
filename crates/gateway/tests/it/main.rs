//! The gateway against loopback model servers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod batches;
mod books;
mod budgets;
mod cache;
mod faults;
mod pairs;
mod passes;
mod provider;
mod routing;
mod stage;
