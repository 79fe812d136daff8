//! Supervised worker processes on Linux: how a coding agent is started, limited, paused, and ended so that nothing of it is left.
//!
//! A worker never runs as a direct child. The product's child is a tiny guard which makes a user and PID namespace; the namespace's
//! init starts the worker. When init ends, the kernel kills everything inside, whatever it forked, detached or ignored. Where the
//! kernel refuses namespaces, the guard is a child subreaper and hunts its descendants instead; [`Tier`] says which holds.
//!
//! This crate must never inherit the caller's environment, leave a descriptor open in a worker, call something "killed" which
//! may still live, or claim a limit which nothing enforces.
//!
//! What a worker can touch is held by the [`Walls`] around it: sixteen [`Layer`]s, each proved by an attempt before the program
//! runs. A worker that asked for them and does not get them all is not started.
//!
//! What a worker may do is decided before it does it, by [`policy`] for commands and [`path`] for files.
//!
//! Start reading at [`Supervised::spawn`] (`spawn.rs`), then `confine.rs` for what runs between fork and exec.
#![allow(unsafe_code)] // namespaces, pre-exec code, pidfds and signals have no safe interface; this is the one crate for them

pub mod audit;
mod confine;
mod control;
mod kin;
mod layer;
mod limits;
mod net;
pub mod path;
pub mod policy;
mod probe;
mod profile;
mod raw;
mod spawn;
mod spec;
mod stray;
mod supervised;
mod usage;
mod walls;

pub use layer::{Layer, Layers};
pub use limits::{Backend, Enforced, Limits};
pub use net::Stranger;
pub use probe::{Abilities, Ability, probe, standing};
pub use profile::{BadEndpoint, Demand, Endpoint, Network, Profile, Standing, Walls};
pub use spawn::SpawnError;
pub use spec::{Spec, Stdin, Tier};
pub use stray::{MARKER, Stray, find_marked};
pub use supervised::{DROP_WAIT, Exit, Gone, Grace, StopStep, Stopped, Supervised};
pub use usage::Usage;
