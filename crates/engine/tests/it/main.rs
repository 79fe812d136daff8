//! The engine on a faked world: whole runs, and a crash at every single commit.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's scene fails its test at once")]

mod again;
mod crashes;
mod scene;
mod stories;
