//! Server-sent events, cut anywhere: bytes in, the data of whole events out.

/// The longest event taken, in bytes.
const MOST: usize = 16 << 20;

/// Puts events together from chunks.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: String,
}

/// An event longer than 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// Takes a chunk and returns the data of the events that it completes.
    ///
    /// # Errors
    /// [`TooLong`] when an event does not end.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut whole = Vec::new();
        for byte in chunk {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.line(&line, &mut whole);
            } else {
                self.line.push(*byte);
            }
            if self.line.len() + self.data.len() > MOST {
                return Err(TooLong);
            }
        }
        Ok(whole)
    }

    /// The data of an event that the stream's end completes.
    pub fn end(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mut whole = Vec::new();
        self.line(&line, &mut whole);
        self.line(b"", &mut whole);
        whole.pop()
    }

    fn line(&mut self, line: &[u8], whole: &mut Vec<String>) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if !self.data.is_empty() {
                whole.push(std::mem::take(&mut self.data));
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(&String::from_utf8_lossy(data));
        }
    }
}
