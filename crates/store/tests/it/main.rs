//! The store: one suite of promises on every backend, and what SQLite makes of files, disks and processes that fail.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's scene fails its test at once")]

mod disks;
mod kills;
mod life;
mod power;
mod promises;
mod refusals;
mod scene;
