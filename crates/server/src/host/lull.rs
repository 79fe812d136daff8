//! When the queue may move: to begin a run takes the processor and the disk that the answer to the next submission needs.

use std::time::{Duration, Instant};

/// So long nobody must have submitted anything.
const QUIET: Duration = Duration::from_millis(50);

/// As long as somebody does without end, one run begins so often.
const PACE: Duration = Duration::from_millis(250);

/// The pause between submissions.
#[derive(Debug, Default)]
pub(super) struct Lull {
    submitted: Option<Instant>,
    /// When the queue has moved, or would have but for submissions.
    moved: Option<Instant>,
}

impl Lull {
    /// Somebody has submitted a run.
    pub(super) fn note(&mut self, now: Instant) {
        if self.submitted.is_none_or(|submitted| submitted + QUIET <= now) {
            self.moved = Some(now);
        }
        self.submitted = Some(now);
    }

    /// How long the queue is to wait yet; `None` when it moves by one run now.
    pub(super) fn rest(&mut self, now: Instant) -> Option<Duration> {
        let quiet = self.submitted? + QUIET;
        let due = self.moved.map_or(quiet, |moved| quiet.min(moved + PACE));
        if due <= now {
            self.moved = Some(now);
            return None;
        }
        Some(due - now)
    }
}

#[cfg(test)]
mod tests;
