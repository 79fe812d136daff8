//! The fake's standard streams: whole lines out, JSON lines in.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

/// Something from the host.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A line.
    Line(Value),
    /// stdin was closed.
    Closed,
}

/// stdin and stdout.
#[derive(Debug)]
pub struct Wire {
    lines: Receiver<Value>,
    written: usize,
    die_after: Option<usize>,
}

impl Wire {
    pub(crate) fn open(die_after: Option<usize>) -> Self {
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else {
                    continue;
                };
                if to.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            lines,
            written: 0,
            die_after,
        }
    }

    /// Waits for the host.
    pub fn hear(&self) -> Input {
        self.lines.recv().map_or(Input::Closed, Input::Line)
    }

    /// Sends one JSON line.
    pub fn tell(&mut self, line: &Value) {
        self.bytes(line.to_string().as_bytes());
    }

    /// Sends any bytes as one line; ends the process where the plan says so, or when nobody listens.
    pub fn bytes(&mut self, line: &[u8]) {
        let mut out = io::stdout().lock();
        if self.die_after == Some(self.written) {
            let _ = out.write_all(&line[..line.len() / 2]).and_then(|()| out.flush());
            std::process::abort();
        }
        let sent = out
            .write_all(line)
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush());
        if sent.is_err() {
            std::process::exit(141);
        }
        self.written += 1;
    }
}

/// Swallows TERM and INT for as long as the value returned lives.
pub(crate) fn ignore_term() -> Option<tokio::runtime::Runtime> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .ok()?;
    let _inside = runtime.enter();
    // A handler once installed stays, even when its stream is dropped.
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind));
    }
    Some(runtime)
}
