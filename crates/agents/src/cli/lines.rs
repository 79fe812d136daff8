//! Bytes into lines, with a bound: a line of any length is survived, and costs no more memory than the bound.

/// The longest line that is read, in bytes; tool results with pictures reach a few megabytes.
pub const LONGEST: usize = 16 << 20;

/// What came out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its end.
    Whole(Vec<u8>),
    /// A line that was too long and was thrown away.
    Skipped {
        /// Its length in bytes.
        bytes: u64,
    },
    /// What stood after the last line end when the stream ended.
    Cut(Vec<u8>),
}

/// Splits a stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
    /// Length of the line under way once it is too long to keep.
    skipping: Option<u64>,
    bound: Option<usize>,
}

impl Lines {
    /// A splitter with another bound than [`LONGEST`].
    pub fn bounded(bound: usize) -> Self {
        Self {
            bound: Some(bound),
            ..Self::default()
        }
    }

    /// Takes a piece; returns the lines it completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut out = Vec::new();
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.keep(piece);
            if pieces.peek().is_some() {
                out.push(self.complete());
            }
        }
        out
    }

    /// The stream has ended; returns what is left.
    pub fn finish(&mut self) -> Option<Line> {
        match self.complete() {
            Line::Whole(rest) if rest.is_empty() => None,
            Line::Whole(rest) => Some(Line::Cut(rest)),
            line => Some(line),
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let bound = self.bound.unwrap_or(LONGEST);
        match &mut self.skipping {
            Some(length) => *length += piece.len() as u64,
            None if self.kept.len() + piece.len() > bound => {
                self.skipping = Some((self.kept.len() + piece.len()) as u64);
                self.kept = Vec::new();
            }
            None => self.kept.extend_from_slice(piece),
        }
    }

    fn complete(&mut self) -> Line {
        match self.skipping.take() {
            Some(bytes) => Line::Skipped { bytes },
            None => Line::Whole(std::mem::take(&mut self.kept)),
        }
    }
}
