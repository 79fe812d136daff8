//! How providers are called: over HTTP, or from a script.

pub mod http;
pub mod playbook;
