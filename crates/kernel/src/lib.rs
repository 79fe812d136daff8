//! Words and decisions of Maestria.
//!
//! What it is for: everything that *decides* lives here as pure functions over plain data. A run is a value
//! ([`Run`]), what a person or a worker wants is a [`Command`], what happened is an [`Event`], what must be done
//! next is an [`Effect`].
//!
//! ```text
//! decide(&Run, &Command, now) -> Result<Vec<Event>, Refused>
//! Run::apply(&mut self, &Event, at)
//! effects(&Run, &Event) -> Vec<Effect>
//! ```
//!
//! What it must never do: know a clock, a disk, a network, a process or an async runtime. Time and ids are arguments.
//! The outside implements the traits in [`port`]; nothing here implements them.
//!
//! Where to start reading: [`state`] (the two state tables), then [`decide`](mod@decide), then [`settle`].

pub mod agent;
pub mod command;
pub mod confidence;
pub mod decide;
pub mod decision;
pub mod effect;
pub mod event;
pub mod finding;
pub mod id;
pub mod ledger;
pub mod message;
pub mod model;
pub mod money;
pub mod outcome;
pub mod permission;
pub mod plan;
pub mod port;
pub mod progress;
pub mod request;
pub mod review;
pub mod run;
pub mod settle;
pub mod state;
pub mod time;
pub mod trace;
pub mod violation;
pub mod workflow;

pub use command::Command;
pub use decide::{Refused, decide};
pub use effect::{Effect, effects};
pub use event::Event;
pub use id::{AgentName, DecisionId, EffectId, ReviewId, RunId, Seq, TaskId, TaskKey};
pub use money::{Cost, Tokens, Usage};
pub use run::{Run, Task};
pub use time::At;
