//! Coding CLIs as workers: Claude Code, Codex, Gemini, and every agent that speaks the Agent Client Protocol.
//!
//! A CLI's bytes go through one [`reader::Reader`], live and in replay, which turns them into the product's events and
//! into facts ([`crate::outcome::Seen`]). The protocols are pure state machines ([`talk`]); only [`drive`] touches a process.
//!
//! Where to start reading: [`reader`], then one dialect ([`claude`]), then [`worker`].

pub mod access;
pub mod acp;
pub mod asked;
pub mod claude;
pub mod codex;
pub mod config;
pub mod drive;
pub mod gemini;
pub mod home;
pub mod launch;
pub mod lines;
pub mod notes;
pub mod opencode;
pub mod probe;
pub mod prompt;
pub mod reader;
pub mod repair;
pub mod slot;
pub mod stderr;
pub mod talk;
#[cfg(test)]
mod tests;
pub mod text;
pub mod worker;

pub use access::{Access, Switchboard};
pub use config::{AgentConfig, Kind, Transport, Way};
pub use reader::{Dialect, Reader};
pub use worker::{CallPricing, CliAgent, Surroundings};
