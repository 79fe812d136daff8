//! Never shipped: everything a test needs to stand in for the outside world.
//!
//! * [`model`] — a loopback model server that speaks every vendor's dialect, scripted by the prompt
//!   or by rules, with faults on demand (binary `model-server`).
//! * [`fake`] — agent command lines that speak the real protocols and misbehave as told
//!   (binary `fake-agent`).
//! * [`home`] — a HOME of its own and a cleared environment.
//! * [`real`] — where the real agent CLIs are, and how each is pointed at the model server.
//! * [`built`] — where those two binaries are, for the tests of other crates.
//! * [`collector`] — a collector of traces, with answers on demand.
//! * [`store`] — what every store promises, as one suite of tests for all of them.
//! * [`lines`] — a child process spoken to line by line, with deadlines instead of sleeps.
//!
//! It must never be a dependency of shipped code, reach beyond loopback, or read a key or a setting
//! of the person who runs the tests. Start reading at [`model`], then [`real`].

pub mod built;
pub mod collector;
pub mod fake;
pub mod home;
pub mod lines;
pub mod model;
pub mod ports;
pub mod real;
pub mod store;

pub use collector::Collector;
pub use home::TestHome;
pub use lines::Lines;
pub use model::ModelServer;
pub use real::{Launch, RealCli};
