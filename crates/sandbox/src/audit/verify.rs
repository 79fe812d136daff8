//! Reads a trail from its first line to its head and believes nothing that is not sealed.

use std::fs;
use std::io;

use ring::hmac;
use serde::Serialize;

use super::{Audit, Entry, FIRST, Line, seal};

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
    let text = match fs::read_to_string(audit.trail()) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if audit.head_path().exists() {
                Err(Broken::Head {
                    why: "it is there, and the trail is not".to_owned(),
                })
            } else {
                Ok(nothing)
            };
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Broken::Changed {
                line: 0,
                why: "the trail is not text any more".to_owned(),
            });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let key = audit.key().map_err(unreadable)?;
    let mut seen = nothing;
    let mut at_head = seen.last.clone();
    let head = audit
        .head(&key)
        .map_err(|error| Broken::Head { why: error.to_string() })?;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index as u64 + 1;
        let changed = |why: String| Broken::Changed { line: number, why };
        if !line.ends_with('\n') {
            return Err(changed("it ends in the middle".to_owned()));
        }
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
        return Err(Broken::Head {
            why: "it belongs to another trail".to_owned(),
        });
    }
    Ok(seen)
}
