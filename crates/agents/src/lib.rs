//! Who does the work: coding CLIs, ACP agents and native agents, each in its own worktree.
//!
//! What it is for: the kernel's [`Agents`](maestria_kernel::port::Agents), [`Planner`](maestria_kernel::port::Planner)
//! and [`Repository`](maestria_kernel::port::Repository) ports. What it must never do: decide what a run does next, or
//! believe an agent's word where the tree can be looked at.
//!
//! Where to start reading: [`roster`] (one port, many transports), then [`cli`] for the coding CLIs, [`native`] for the
//! agents on a model, [`worktree`] for the repository.

mod binding;
mod chain;
pub mod cli;
pub mod native;
pub mod outcome;
pub mod planner;
pub mod policy;
pub mod recovery;
pub mod replay;
pub mod review;
pub mod roster;
pub mod trust;
mod violation;
mod walls;
pub mod worktree;
