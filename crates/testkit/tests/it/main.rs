//! The testkit proved: the model server by a plain HTTP client and by the real CLIs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says why by panicking")]

mod built;
mod fake_agent;
mod model_server;
mod real_cli;
