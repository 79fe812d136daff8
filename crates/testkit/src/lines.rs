//! A child process spoken to in JSON lines, with a deadline on every wait.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A child with its three streams held; killed when dropped.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: mpsc::UnboundedReceiver<Value>,
    stderr: Arc<Mutex<Vec<u8>>>,
    seen: Vec<Value>,
}

impl Lines {
    /// Starts `command`; lines on stdout that are not JSON arrive as JSON strings.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = piped.spawn()?;
        let (to, stdout) = mpsc::unbounded_channel();
        if let Some(pipe) = child.stdout.take() {
            tokio::spawn(async move {
                let mut lines = BufReader::new(pipe).split(b'\n');
                while let Ok(Some(line)) = lines.next_segment().await {
                    let text = String::from_utf8_lossy(&line);
                    let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
                    if to.send(value).is_err() {
                        return;
                    }
                }
            });
        }
        let stderr = Arc::new(Mutex::new(Vec::new()));
        if let Some(mut pipe) = child.stderr.take() {
            let kept = Arc::clone(&stderr);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&buffer[..count]);
                }
            });
        }
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
            seen: Vec::new(),
        })
    }

    /// The child's process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends one line.
    ///
    /// # Errors
    /// When the child no longer reads.
    pub async fn send(&mut self, line: &Value) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other("stdin is closed"))?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        stdin.flush().await
    }

    /// Closes the child's stdin.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// The next line.
    ///
    /// # Errors
    /// `TimedOut` after `within`, `UnexpectedEof` when the child closed stdout; both with everything seen so far.
    pub async fn next(&mut self, within: Duration) -> io::Result<Value> {
        match timeout(within, self.stdout.recv()).await {
            Ok(Some(line)) => {
                self.seen.push(line.clone());
                Ok(line)
            }
            Ok(None) => Err(self.failure(io::ErrorKind::UnexpectedEof, "the child closed stdout")),
            Err(_) => Err(self.failure(io::ErrorKind::TimedOut, "no line in time")),
        }
    }

    /// Reads lines until `wanted` holds for one, within `within` for all of them together.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub async fn until(&mut self, within: Duration, wanted: impl Fn(&Value) -> bool) -> io::Result<Value> {
        let end = tokio::time::Instant::now() + within;
        loop {
            let line = self
                .next(end.saturating_duration_since(tokio::time::Instant::now()))
                .await?;
            if wanted(&line) {
                return Ok(line);
            }
        }
    }

    /// Everything the child has said on stdout and was read.
    #[must_use]
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// Everything the child has said on stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Closes stdin and waits for the end.
    ///
    /// # Errors
    /// `TimedOut` when the child lives on.
    pub async fn wait(&mut self, within: Duration) -> io::Result<ExitStatus> {
        self.close();
        match timeout(within, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => Err(self.failure(io::ErrorKind::TimedOut, "the child lives on")),
        }
    }

    fn failure(&self, kind: io::ErrorKind, what: &str) -> io::Error {
        let seen: Vec<String> = self.seen.iter().map(ToString::to_string).collect();
        io::Error::new(
            kind,
            format!(
                "{what}; stdout so far:\n{}\nstderr:\n{}",
                seen.join("\n"),
                self.stderr()
            ),
        )
    }
}
