//! Native agents: Maestria's own editor, analyst and reviewer, on any model.
//!
//! A native agent is a loop: the model is told what to do and which tools there are, its tool calls are ruled on by the
//! permission policy and executed in the worktree, and their answers go back, until it answers without a call. What it
//! has really done is read from the tree and from exit codes.

mod files;
mod leash;
mod reviewing;
mod tools;
mod turns;
mod worker;

pub use worker::NativeWorker;
