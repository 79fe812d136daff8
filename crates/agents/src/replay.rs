//! Replays a recorded stream through the code that reads a live one: the product's own events, one JSON object a line,
//! and at the end the outcome.

#[cfg(test)]
mod tests;

use crate::{
    cli::{
        config::Kind,
        notes::Step,
        reader::{Dialect, Reader},
        stderr::Stderr,
    },
    outcome::{Ended, Evidence, Exit, Expect, judge},
};
use maestria_kernel::{Event, TaskId, money::Usage, outcome::Outcome, time::At};
use serde_json::{Value, json};

/// A recorded run of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Recording<'a> {
    /// The kind of agent.
    pub kind: Kind,
    /// What it wrote on its stdout.
    pub stream: &'a [u8],
    /// What it wrote on its stderr; empty when that was not recorded.
    pub stderr: &'a [u8],
    /// Its exit code, if it is known.
    pub exit: Option<i32>,
    /// The moment of the replay, for relative times.
    pub now: At,
}

/// What a recording comes to.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The product's events, in order. They belong to a task that does not exist (the nil id).
    pub events: Vec<Event>,
    /// How it ended, judged without a tree to look at.
    pub outcome: Outcome,
}

impl Replayed {
    /// The events and then the outcome, one JSON object a line. The last one has the verdict as `"outcome"`.
    pub fn lines(&self) -> impl Iterator<Item = Value> + '_ {
        let events = self.events.iter().map(|event| json!(event));
        events.chain(std::iter::once_with(|| last_line(&self.outcome)))
    }
}

fn last_line(outcome: &Outcome) -> Value {
    let mut line = json!(outcome);
    if let Some(fields) = line.as_object_mut() {
        fields.remove("verdict");
        fields.insert("kind".to_owned(), json!("replay.judged"));
        fields.insert("outcome".to_owned(), json!(outcome.verdict.as_str()));
    }
    line
}

/// Replays a recording.
pub fn replay(recording: &Recording<'_>) -> Replayed {
    let dialect = Dialect::detect(recording.stream).unwrap_or_else(|| Dialect::usual(recording.kind));
    let mut reader = Reader::new(
        recording.kind,
        dialect,
        TaskId::new(uuid::Uuid::nil()),
        Usage::default(),
    );
    let mut steps = reader.push(recording.stream);
    steps.extend(reader.finish());
    let mut stderr = Stderr::new(recording.kind);
    stderr.push(recording.stderr);
    stderr.finish();
    let judgement = judge(&Evidence {
        kind: recording.kind,
        seen: reader.seen(),
        stderr: stderr.found(),
        last_words: &stderr.last_words(),
        exit: recording.exit.map(Exit::code),
        ended: &Ended::Unknown,
        tree: None,
        expect: Expect::Unknown,
        now: recording.now,
    });
    Replayed {
        events: steps.into_iter().filter_map(event).collect(),
        outcome: judgement.outcome,
    }
}

fn event(step: Step) -> Option<Event> {
    match step {
        Step::Saw(event) => Some(event),
        Step::Asked(_)
        | Step::Strange { .. }
        | Step::Withdrawn(_)
        | Step::Replied { .. }
        | Step::Turn(_)
        | Step::Ended => None,
    }
}
