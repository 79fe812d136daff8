//! Reads a trail from its first line to its head and believes nothing that is not sealed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};

use ring::hmac;
use serde::Serialize;

use super::{Audit, Entry, FIRST, Line, seal};

/// No entry has so many bytes.
const LONGEST: u64 = 16 << 20;

/// A trail that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// The last seal; kept elsewhere, it proves later that nothing before it was exchanged.
    pub last: String,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "broken", rename_all = "kebab-case")]
pub enum Broken {
    /// It cannot be read at all.
    #[error("the trail cannot be read: {why}")]
    Unreadable {
        /// What the system said.
        why: String,
    },
    /// A line was changed.
    #[error("line {line} was changed: {why}")]
    Changed {
        /// Which, from 1.
        line: u64,
        /// What does not fit.
        why: String,
    },
    /// Lines are missing or stand in another order.
    #[error("line {line} does not follow the one before it: entry {found} where {expected} belongs")]
    OutOfOrder {
        /// Which, from 1.
        line: u64,
        /// The entry that stands there.
        found: u64,
        /// The one that belongs there.
        expected: u64,
    },
    /// The end was cut off.
    #[error("the end is missing: {entries} entries are there, and there were {expected}")]
    Cut {
        /// How many there are.
        entries: u64,
        /// How many there were.
        expected: u64,
    },
    /// The head is missing or was changed.
    #[error("the head cannot be believed: {why}")]
    Head {
        /// Why.
        why: String,
    },
}

/// The entry of a line and its seal, if that is genuine.
pub(super) fn open(line: &str, key: &hmac::Key) -> Result<(Entry, String), String> {
    let line: Line<'_> =
        serde_json::from_str(line.trim_end_matches('\n')).map_err(|error| format!("it is no entry: {error}"))?;
    if seal(key, line.entry.get().as_bytes()) != line.seal {
        return Err("its seal does not fit".to_owned());
    }
    let entry = serde_json::from_str(line.entry.get()).map_err(|error| format!("it is no entry: {error}"))?;
    Ok((entry, line.seal.to_owned()))
}

pub(super) fn verify(audit: &Audit) -> Result<Verified, Broken> {
    let nothing = Verified {
        entries: 0,
        last: FIRST.to_owned(),
    };
    let unreadable = |error: io::Error| Broken::Unreadable { why: error.to_string() };
    let head_broken = |why: String| Broken::Head { why };
    let file = match File::open(audit.trail()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if audit.head_path().exists() {
                Err(head_broken("it is there, and the trail is not".to_owned()))
            } else {
                Ok(nothing)
            };
        }
        Err(error) => return Err(unreadable(error)),
    };
    let key = audit.key().map_err(unreadable)?;
    let (length, head) = at_rest(&file, || audit.head(&key)).map_err(unreadable)?;
    let head = head.map_err(|error| head_broken(error.to_string()))?;
    let mut lines = Lines::new(file.take(length));
    let mut seen = nothing;
    let mut at_head = seen.last.clone();
    while let Some((number, line)) = lines.next()? {
        let changed = |why: String| Broken::Changed { line: number, why };
        let (entry, seal) = open(line, &key).map_err(changed)?;
        if entry.seq != seen.entries + 1 || entry.prev != seen.last {
            return Err(Broken::OutOfOrder {
                line: number,
                found: entry.seq,
                expected: seen.entries + 1,
            });
        }
        seen = Verified {
            entries: entry.seq,
            last: seal,
        };
        if seen.entries == head.seq {
            at_head.clone_from(&seen.last);
        }
    }
    if seen.entries < head.seq {
        return Err(Broken::Cut {
            entries: seen.entries,
            expected: head.seq,
        });
    }
    if at_head != head.last {
        return Err(head_broken("it belongs to another trail".to_owned()));
    }
    Ok(seen)
}

/// How long the trail is at a moment in which nobody writes, and what else is so then.
pub(super) fn at_rest<T>(file: &File, also: impl FnOnce() -> T) -> io::Result<(u64, T)> {
    file.lock_shared()?;
    let rest = (file.metadata(), also());
    file.unlock()?;
    Ok((rest.0?.len(), rest.1))
}

/// The lines of a trail, one in memory at a time.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line and its number, from 1; none at the end.
    fn next(&mut self) -> Result<Option<(u64, &str)>, Broken> {
        self.line.clear();
        let read = self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line);
        read.map_err(|error| Broken::Unreadable { why: error.to_string() })?;
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let changed = |why: &str| Broken::Changed {
            line: self.number,
            why: why.to_owned(),
        };
        if !self.line.ends_with(b"\n") {
            let is_long = self.line.len() as u64 == LONGEST;
            return Err(changed(if is_long {
                "it is longer than any entry"
            } else {
                "it ends in the middle"
            }));
        }
        let line = str::from_utf8(&self.line).map_err(|_| changed("it is not text any more"))?;
        Ok(Some((self.number, line)))
    }
}
