//! Server-sent events, cut anywhere: bytes in, the data of whole events out; and events as they are written.

use serde_json::Value;

/// The longest event taken, in bytes.
const MOST: usize = 16 << 20;

/// Puts events together from chunks.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    /// Some line of the open event was data, if only an empty one.
    some: bool,
}

/// An event longer than 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event does not end")]
pub struct TooLong;

impl Events {
    /// Takes a chunk and hands over the data of each event that it completes.
    ///
    /// # Errors
    /// [`TooLong`] when an event does not end.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.line.is_empty() {
                self.take(line, &mut each);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take(&whole, &mut each);
                whole.clear();
                self.line = whole;
            }
            rest = after;
        }
        self.line.extend_from_slice(rest);
        if self.line.len() + self.data.len() > MOST {
            return Err(TooLong);
        }
        Ok(())
    }

    /// No event is open.
    pub const fn is_between(&self) -> bool {
        self.line.is_empty() && !self.some
    }

    /// Hands over the data of an event that the stream's end completes.
    pub fn end(&mut self, mut each: impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        self.take(&line, &mut each);
        self.take(b"", &mut each);
    }

    fn take(&mut self, line: &[u8], each: &mut impl FnMut(&[u8])) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if std::mem::take(&mut self.some) && !self.data.is_empty() {
                each(&self.data);
            }
            self.data.clear();
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if std::mem::replace(&mut self.some, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
    }
}

/// Writes an event with only data.
pub fn data(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    json(value, out);
    out.extend_from_slice(b"\n\n");
}

/// Writes an event with a name.
pub fn named(name: &str, value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    json(value, out);
    out.extend_from_slice(b"\n\n");
}

fn json(value: &Value, out: &mut Vec<u8>) {
    // Into memory, a value is always written.
    let _ = serde_json::to_writer(out, value);
}
