//! Reads a trail from its end: a page of the newest entries costs a page, however long the trail is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Read at once.
const CHUNK: u64 = 64 << 10;

/// The lines of a trail, the newest first, each with the place at which it begins. What is appended meanwhile moves no place.
#[derive(Debug)]
pub struct Backwards {
    file: Option<File>,
    /// Everything before this place is still to be read.
    unread: u64,
    /// What stands from there on and was not given yet.
    read: Vec<u8>,
}

impl Backwards {
    /// Lines that end before a place.
    pub(super) fn new(file: File, before: u64) -> io::Result<Self> {
        let unread = file.metadata()?.len().min(before);
        Ok(Self {
            file: Some(file),
            unread,
            read: Vec::new(),
        })
    }

    /// No lines.
    pub(super) const fn empty() -> Self {
        Self {
            file: None,
            unread: 0,
            read: Vec::new(),
        }
    }

    fn read_more(&mut self, file: &File) -> io::Result<()> {
        let length = CHUNK.min(self.unread);
        let mut chunk = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.unread -= length;
        file.read_exact_at(&mut chunk, self.unread)?;
        chunk.append(&mut self.read);
        self.read = chunk;
        Ok(())
    }

    /// The last line of what was read, if it begins there.
    fn last_line(&mut self) -> Option<(u64, String)> {
        let end = self.read.len() - usize::from(self.read.ends_with(b"\n"));
        let begin = match self.read[..end].iter().rposition(|byte| *byte == b'\n') {
            Some(before) => before + 1,
            None if self.unread == 0 && !self.read.is_empty() => 0,
            None => return None,
        };
        let line = String::from_utf8_lossy(&self.read[begin..end]).into_owned();
        self.read.truncate(begin);
        Some((self.unread + begin as u64, line))
    }
}

impl Iterator for Backwards {
    type Item = io::Result<(u64, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = self.file.take()?;
        let next = loop {
            if let Some(line) = self.last_line() {
                break Some(Ok(line));
            }
            if self.unread == 0 {
                return None;
            }
            if let Err(error) = self.read_more(&file) {
                // What cannot be read now is not tried again.
                return Some(Err(error));
            }
        };
        self.file = Some(file);
        next
    }
}
