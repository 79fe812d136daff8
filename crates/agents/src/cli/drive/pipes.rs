//! The three pipes of a process: reading without an end of its own, writing that never blocks the reading, and a copy of
//! what was read.

use maestria_kernel::port::Boxed;
use maestria_secrets::{Stream, funnel};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write,
    path::Path,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::ChildStdin,
};

/// The most that is kept of a stream on disk, in bytes.
const MOST_RECORDED: usize = 64 << 20;

/// Reads what is there; 0 at the end, and on any error: what cannot be read any more has ended.
pub(super) async fn read<R: AsyncRead + Unpin>(from: &mut Option<R>, buffer: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Waits for what is under way; for ever when nothing is.
pub(super) async fn maybe(future: &mut Option<Boxed<'static, ()>>) {
    match future {
        Some(running) => {
            running.await;
            *future = Some(Box::pin(std::future::pending()));
        }
        None => std::future::pending().await,
    }
}

/// A process's stdin. Lines queue up here while the agent does not read.
#[derive(Debug)]
pub(super) struct Input {
    pipe: Option<ChildStdin>,
    queue: VecDeque<Vec<u8>>,
    /// How much of the first entry is written.
    written: usize,
    closing: bool,
}

impl Input {
    pub(super) fn new(pipe: Option<ChildStdin>) -> Self {
        Self {
            pipe,
            queue: VecDeque::new(),
            written: 0,
            closing: false,
        }
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        if self.pipe.is_some() && !self.closing {
            self.queue.push_back(bytes);
        }
    }

    /// Closes the pipe as soon as everything is written.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Writes the next piece; safe to be dropped and called again. Waits for ever when there is nothing to write.
    pub(super) async fn pump(&mut self) {
        if self.queue.is_empty() && self.closing {
            self.pipe = None;
        }
        let (Some(pipe), Some(first)) = (&mut self.pipe, self.queue.front()) else {
            return std::future::pending().await;
        };
        match pipe.write(&first[self.written..]).await {
            Ok(count) => {
                self.written += count;
                if self.written == first.len() {
                    self.queue.pop_front();
                    self.written = 0;
                }
            }
            // Nobody reads any more: the process is ending, which its exit tells.
            Err(_) => {
                self.pipe = None;
                self.queue.clear();
            }
        }
    }
}

/// A copy of a process's streams, for people and for replay, without secrets.
#[derive(Debug)]
pub(super) struct Record {
    stdout: Option<Copy>,
    stderr: Option<Copy>,
}

#[derive(Debug)]
struct Copy {
    file: File,
    cleaned: Stream,
    left: usize,
}

impl Record {
    /// Copies into `stream.jsonl` and `stderr.txt` of a folder. A disk that refuses costs the copy, not the work.
    pub(super) fn open(folder: Option<&Path>) -> Self {
        let open = |name: &str| {
            let folder = folder?;
            fs::create_dir_all(folder).ok()?;
            let file = File::options().create(true).append(true).open(folder.join(name)).ok()?;
            Some(Copy {
                file,
                cleaned: Stream::new(funnel()),
                left: MOST_RECORDED,
            })
        };
        Self {
            stdout: open("stream.jsonl"),
            stderr: open("stderr.txt"),
        }
    }

    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        keep(&mut self.stdout, bytes);
    }

    pub(super) fn stderr(&mut self, bytes: &[u8]) {
        keep(&mut self.stderr, bytes);
    }

    /// The streams have ended: writes what was held back because it could have been the beginning of a secret.
    pub(super) fn finish(&mut self) {
        for copy in [&mut self.stdout, &mut self.stderr] {
            if let Some(open) = copy {
                let rest = open.cleaned.finish();
                write(copy, &rest);
            }
        }
    }
}

fn keep(copy: &mut Option<Copy>, bytes: &[u8]) {
    if let Some(open) = copy {
        let cleaned = open.cleaned.push(bytes);
        write(copy, &cleaned);
    }
}

fn write(copy: &mut Option<Copy>, bytes: &[u8]) {
    let Some(open) = copy else { return };
    let count = bytes.len().min(open.left);
    open.left -= count;
    if open.file.write_all(&bytes[..count]).is_err() || open.left == 0 {
        *copy = None;
    }
}

#[cfg(test)]
mod tests;
