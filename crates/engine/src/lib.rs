//! Drives runs: stores what was decided, performs the effects that are owed, turns each result into the next command.
//!
//! What it is for: durability. Events and the effects they owe are stored in one commit; a crash between the two is
//! repaired by performing what is still owed. What it must never do: decide anything itself (that is the kernel's
//! matter) or know how an agent, a repository or a database works (those are ports).
//!
//! Where to start reading: [`Engine`], then [`driver`] for the loop, then [`perform`] for the effects.

mod book;
pub mod clock;
mod driver;
mod engine;
mod journal;
mod lease;
mod observer;
mod perform;
mod summary;

pub use book::row;
pub use clock::{Clock, SystemClock};
pub use driver::{Leave, Patience};
pub use engine::{Engine, EngineError, Ports};
pub use lease::PASSING;
