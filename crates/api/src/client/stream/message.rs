//! Server-sent events, put together from pieces that are cut anywhere.

/// The longest message taken, in bytes.
const LONGEST: usize = 16 << 20;

/// A message with something to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// `event:`; empty for most.
    pub(super) kind: String,
    /// `id:`, if it is a number.
    pub(super) id: Option<u64>,
    /// All lines of `data:`.
    pub(super) data: String,
}

/// A message that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// What has come of the message that is open.
#[derive(Debug, Default)]
pub(super) struct Messages {
    line: Vec<u8>,
    open: Message,
    has_data: bool,
}

impl Messages {
    /// Takes a piece and hands over each message that it completes.
    pub(super) fn feed(&mut self, piece: &[u8], mut each: impl FnMut(Message)) -> Result<(), TooLong> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.open.data.len() > LONGEST {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']), &mut each);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &str, each: &mut impl FnMut(Message)) {
        if line.is_empty() {
            let message = std::mem::take(&mut self.open);
            if std::mem::take(&mut self.has_data) {
                each(message);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.open.kind),
            "id" => self.open.id = value.parse().ok(),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
            }
            // A comment, or what this client has no use for.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
