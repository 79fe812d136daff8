//! Names for traces (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).
//!
//! The ids are made out of those that a run and its parts have anyway: nobody has to remember them, a worker can be told of
//! its span before that span is written, and a run that goes on after a crash goes on in the same trace.

use crate::id::{ReviewId, RunId, TaskId};
use std::fmt;

/// The name of a trace; never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The name of a span within its trace; never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// The trace of a run: the digits of its id.
    pub const fn of(run: RunId) -> Self {
        Self(run.bytes())
    }

    /// The trace that 32 hexadecimal digits name.
    pub fn parse(digits: &str) -> Option<Self> {
        digits_of(digits).filter(|bytes| *bytes != [0; 16]).map(Self)
    }

    /// Whether this trace is among the `percent` of all that are kept. Everybody who asks gets the same answer.
    pub fn is_sampled(self, percent: u8) -> bool {
        let (high, low) = self.0.split_at(8);
        mixed(number(high) ^ mixed(number(low))) % 100 < u64::from(percent)
    }
}

impl SpanId {
    /// The name of a part of something that has an id: the same for the same words.
    pub fn of(part: &str, id: impl fmt::Display, number: u64) -> Self {
        // FNV-1a, then mixed: close names must not have close ids.
        let words = format!("{part}/{id}/{number}");
        let folded = words.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mixed(folded).max(1).to_be_bytes())
    }

    /// An attempt at a task.
    pub fn of_attempt(task: TaskId, attempt: u16) -> Self {
        Self::of("attempt", task, attempt.into())
    }

    /// A review.
    pub fn of_review(review: ReviewId) -> Self {
        Self::of("review", review, 0)
    }

    /// The span that 16 hexadecimal digits name.
    pub fn parse(digits: &str) -> Option<Self> {
        digits_of(digits).filter(|bytes| *bytes != [0; 8]).map(Self)
    }
}

/// Where in which trace something happens: what `traceparent` and `TRACEPARENT` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The trace.
    pub trace: TraceId,
    /// The span that it happens in.
    pub span: SpanId,
    /// Whether the trace is kept.
    pub sampled: bool,
}

impl Place {
    /// An attempt at a task, in a run of which `percent` are kept.
    pub fn of_attempt(run: RunId, task: TaskId, attempt: u16, percent: u8) -> Self {
        Self::within(TraceId::of(run), SpanId::of_attempt(task, attempt), percent)
    }

    /// A review, in a run of which `percent` are kept.
    pub fn of_review(run: RunId, review: ReviewId, percent: u8) -> Self {
        Self::within(TraceId::of(run), SpanId::of_review(review), percent)
    }

    fn within(trace: TraceId, span: SpanId, percent: u8) -> Self {
        let sampled = trace.is_sampled(percent);
        Self { trace, span, sampled }
    }

    /// Reads a `traceparent`; `None` for what is none. Of a newer version only what this one knows is read.
    pub fn parse(text: &str) -> Option<Self> {
        let version = text.get(..2).filter(|v| is_hex(v) && *v != "ff")?;
        let rest = text.get(2..)?.strip_prefix('-')?;
        let whole = rest.len() == 52 || (version != "00" && rest.as_bytes().get(52) == Some(&b'-'));
        let mut parts = rest.get(..52).filter(|_| whole)?.split('-');
        let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let [flags] = digits_of(flags)?;
        Some(Self {
            trace: TraceId::parse(trace)?,
            span: SpanId::parse(span)?,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Lowercase digits only, as the standard has them.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn digits_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !is_hex(text) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The end of splitmix64.
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
