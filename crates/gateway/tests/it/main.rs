//! The gateway against a loopback model server.

mod provider;
mod server;
