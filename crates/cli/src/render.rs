//! Everything that is shown, as pure functions from runs and events to text.
//!
//! What comes from agents, models or repositories is cleaned of control characters before it is shown.

mod columns;
mod events;
mod frame;
mod paint;
mod plan;
mod summary;
mod tables;

pub(crate) use columns::columns;
pub(crate) use events::{json_line, line};
pub(crate) use frame::frame;
pub(crate) use paint::{Paint, clean, cut, fit, wrap};
pub(crate) use plan::plan;
pub(crate) use summary::{decision, show, summary};
pub(crate) use tables::{agents, doctor, runs};

use std::time::Duration;

/// What failed and what to do about it.
pub(crate) fn problem(what: &str, hint: &str) -> String {
    let what = what.trim();
    if hint.is_empty() {
        format!("error: {what}")
    } else {
        format!("error: {what}\n\nhint: {hint}")
    }
}

/// `42s`, `3m05s`, `2h07m`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// What every face says of a run whose answers came from a script.
pub(crate) const SCRIPTED: &str = "SCRIPTED: answers come from a playbook, not from a model";
