//! The program as a real process: what a person sees, exit codes, both streams.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's scene fails its test at once")]

mod approvals;
mod audit;
mod canaries;
mod demo;
mod gateway;
mod input;
mod policy;
mod process;
mod questions;
mod real_workers;
mod sandbox;
mod secrets;
mod serve;
mod tables;
mod traces;
mod trust;
mod violations;
mod workers;
