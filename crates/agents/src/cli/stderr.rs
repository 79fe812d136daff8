//! Reads an agent's stderr: the known problems in it, and its last lines for people.

use crate::{
    cli::{
        config::Kind,
        lines::{Line, Lines},
        text::one_line,
    },
    recovery::{self, Found, Place, Sign},
};
use std::collections::VecDeque;

/// Lines kept for people.
const KEPT: usize = 20;
/// Problems kept.
const MOST: usize = 50;
/// The longest stderr line read, in bytes.
const LONGEST: usize = 256 << 10;

/// What stderr has shown.
#[derive(Debug)]
pub struct Stderr {
    kind: Kind,
    lines: Lines,
    found: Vec<Found>,
    last: VecDeque<String>,
}

impl Stderr {
    /// Nothing seen yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            lines: Lines::bounded(LONGEST),
            found: Vec::new(),
            last: VecDeque::new(),
        }
    }

    /// Takes a piece; returns the problems it shows.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Found> {
        let before = self.found.len();
        for line in self.lines.push(bytes) {
            self.line(line);
        }
        self.found[before..].to_vec()
    }

    /// The stream has ended.
    pub fn finish(&mut self) {
        if let Some(line) = self.lines.finish() {
            self.line(line);
        }
    }

    /// The known problems, in order.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// The last lines, for people; empty when there were none.
    pub fn last_words(&self) -> String {
        self.last.iter().cloned().collect::<Vec<_>>().join(" | ")
    }

    fn line(&mut self, line: Line) {
        let (Line::Whole(bytes) | Line::Cut(bytes)) = line else {
            return;
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let sign = Sign {
            cli: self.kind.as_str(),
            place: Place::Stderr,
            text,
            status: None,
            exit: None,
        };
        if self.found.len() < MOST {
            self.found.extend(recovery::find(sign));
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(one_line(text, 300));
    }
}
