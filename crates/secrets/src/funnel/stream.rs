//! A text that comes in pieces: what may be the beginning of a secret waits for the rest of it.

use super::{Funnel, cut};
use std::sync::Arc;

/// What stays of the text that has gone, to see whether a key begins within a word.
const CONTEXT: usize = 16;

/// The most that waits, in bytes.
const MOST_HELD: usize = 256 << 10;

/// Cleans a text piece by piece; all pieces together are as clean as the whole.
#[derive(Debug)]
pub struct Stream {
    funnel: Arc<Funnel>,
    /// The last of what has gone, and what waits.
    held: Vec<u8>,
    /// How much of it has gone.
    gone: usize,
}

impl Stream {
    /// A text that begins.
    pub const fn new(funnel: Arc<Funnel>) -> Self {
        Self {
            funnel,
            held: Vec::new(),
            gone: 0,
        }
    }

    /// Takes a piece; returns what can go on.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.release(false)
    }

    /// The text has ended; returns the rest of it.
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(true)
    }

    fn release(&mut self, ended: bool) -> Vec<u8> {
        let ended = ended || self.held.len() > MOST_HELD;
        let mut look = self.funnel.look(&self.held, ended);
        let mut until = look.open.max(self.gone);
        while let Some(last) = look.hits.pop_if(|hit| hit.range.end > until) {
            // What is found goes as a whole or waits as a whole.
            until = until.min(last.range.start.max(self.gone));
        }
        look.hits.retain(|hit| hit.range.start >= self.gone);
        for hit in &mut look.hits {
            hit.range = hit.range.start - self.gone..hit.range.end - self.gone;
        }
        let cleaned = cut(&self.held[self.gone..until], &look.hits).into_owned();
        let kept = until.saturating_sub(CONTEXT);
        self.held.drain(..kept);
        self.gone = until - kept;
        cleaned
    }
}
