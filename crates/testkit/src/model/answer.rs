//! An answer of the scripted model, before it is put into a dialect.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// What a tool is called with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// A JSON object.
    Json(Value),
    /// Plain text, for free-form tools.
    Free(String),
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Call { name: String, input: Input },
}

/// A whole answer, and how it is to be spoilt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<Part>,
    /// Leave usage out.
    pub(crate) no_usage: bool,
    /// Break the JSON of tool arguments.
    pub(crate) bad_tool_json: bool,
}

impl Answer {
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        Self {
            parts,
            no_usage: false,
            bad_tool_json: false,
        }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::of(vec![Part::Text(text.into())])
    }

    /// Whether a tool result will come back.
    pub(crate) fn calls(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Call { .. }))
    }

    /// The arguments as they go over the wire, spoilt if so scripted.
    pub(crate) fn arguments(&self, input: &Value) -> String {
        let whole = input.to_string();
        if self.bad_tool_json {
            format!("{}\u{7}", clip(&whole, whole.len() / 2))
        } else {
            whole
        }
    }

    /// A plausible number of output tokens (four bytes each).
    pub(crate) fn tokens(&self) -> usize {
        let bytes: usize = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Call {
                    name,
                    input: Input::Json(value),
                } => name.len() + value.to_string().len(),
                Part::Call {
                    name,
                    input: Input::Free(text),
                } => name.len() + text.len(),
            })
            .sum();
        bytes / 4 + 1
    }
}

/// An id no other answer of this process has.
pub(crate) fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}_{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Up to three pieces, so that every stream has something to be cut between.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    let step = text.len().div_ceil(3).max(1);
    let mut rest = text;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let piece = clip(rest, step);
        // A wide character at the cut would give an empty piece.
        let piece = if piece.is_empty() { rest } else { piece };
        out.push(piece);
        rest = &rest[piece.len()..];
    }
    out
}

/// The first `limit` bytes or a few less, never splitting a character.
fn clip(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
