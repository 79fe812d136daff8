//! Recorded streams, read as live ones are.

use crate::app::now;
use maestria_agents::{
    cli::config::Kind,
    replay::{Recording, replay as read},
};

/// The product's events of a recorded stream, one JSON object a line, the last one with its `"outcome"`.
///
/// # Errors
/// A sentence when no such agent is known.
pub fn replay(agent: &str, stream: &[u8], stderr: &[u8], exit: Option<i32>) -> Result<Vec<String>, String> {
    let kind = Kind::named(agent).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        format!("`{agent}` is no kind of agent; there are {}", known.join(", "))
    })?;
    let replayed = read(&Recording {
        kind,
        stream,
        stderr,
        exit,
        now: now(),
    });
    Ok(replayed.lines().map(|line| line.to_string()).collect())
}
