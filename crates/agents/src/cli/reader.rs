//! One reading of every dialect, live and in replay: raw bytes in, steps and facts out. Pure: no clock, no process.

use crate::{
    cli::{
        acp::Acp,
        claude::Claude,
        codex::{app_server::AppServer, exec::Exec},
        config::Kind,
        gemini::Gemini,
        lines::{Line, Lines},
        notes::{Notes, Step},
        opencode::Opencode,
        text::one_line,
    },
    outcome::seen::Seen,
};
use maestria_kernel::{TaskId, money::Usage};
use serde_json::Value;

/// What an agent writes on its stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Claude Code's stream-json, with or without the control protocol; Qwen's, too.
    Claude,
    /// JSON-RPC lines of `codex app-server`.
    CodexAppServer,
    /// Events of `codex exec --json`.
    CodexExec,
    /// Gemini's stream-json.
    Gemini,
    /// Agent Client Protocol.
    Acp,
    /// Events of `opencode run --format json`.
    Opencode,
}

impl Dialect {
    /// Finds the dialect by the first line that only one of them has; `None` when no line tells.
    pub fn detect(stream: &[u8]) -> Option<Self> {
        stream
            .split(|b| *b == b'\n')
            .take(1000)
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .find_map(|line| Self::of_line(&line))
    }

    fn of_line(line: &Value) -> Option<Self> {
        if line.get("jsonrpc").is_some() {
            return Some(Self::Acp);
        }
        let kind = match line["type"].as_str() {
            None => {
                let rpc = line.get("method").is_some() || (line.get("id").is_some() && line.get("result").is_some());
                return rpc.then_some(Self::CodexAppServer);
            }
            Some(kind) => kind,
        };
        match kind {
            _ if line.get("sessionID").is_some() => Some(Self::Opencode),
            "system" | "control_response" | "control_request" | "stream_event" => Some(Self::Claude),
            "assistant" | "user" if line.get("message").is_some() => Some(Self::Claude),
            "result" if line.get("subtype").is_some() => Some(Self::Claude),
            "result" if line.get("status").is_some() => Some(Self::Gemini),
            "init" | "message" | "tool_use" | "tool_result" => Some(Self::Gemini),
            kind if ["thread.", "turn.", "item."]
                .iter()
                .any(|family| kind.starts_with(family)) =>
            {
                Some(Self::CodexExec)
            }
            _ => None,
        }
    }

    /// The dialect to assume of a kind of agent whose stream tells nothing.
    pub const fn usual(kind: Kind) -> Self {
        match kind {
            Kind::Claude | Kind::Qwen => Self::Claude,
            Kind::Codex => Self::CodexExec,
            Kind::Gemini => Self::Gemini,
            Kind::Opencode => Self::Opencode,
            Kind::Acp => Self::Acp,
        }
    }
}

/// A dialect's grammar: reads one JSON object and notes what it means.
trait Grammar: Send {
    fn read(&mut self, line: &Value, notes: &mut Notes);
}

impl Grammar for Claude {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(self, line, notes);
    }
}

impl Grammar for AppServer {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(self, line, notes);
    }
}

impl Grammar for Exec {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(self, line, notes);
    }
}

impl Grammar for Gemini {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(line, notes);
    }
}

impl Grammar for Acp {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(self, line, notes);
    }
}

impl Grammar for Opencode {
    fn read(&mut self, line: &Value, notes: &mut Notes) {
        Self::read(line, notes);
    }
}

/// Reads an agent's stdout.
pub struct Reader {
    lines: Lines,
    grammar: Box<dyn Grammar>,
    notes: Notes,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("seen", &self.notes.seen)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of a dialect; its events belong to `task`. `before` is what earlier processes of the same session used,
    /// for the dialects that count over a whole session.
    pub fn new(kind: Kind, dialect: Dialect, task: TaskId, before: Usage) -> Self {
        let grammar: Box<dyn Grammar> = match dialect {
            Dialect::Claude => Box::new(Claude::default()),
            Dialect::CodexAppServer => Box::new(AppServer::default()),
            Dialect::CodexExec => Box::new(Exec::new(before)),
            Dialect::Gemini => Box::new(Gemini),
            Dialect::Acp => Box::new(Acp::default()),
            Dialect::Opencode => Box::new(Opencode),
        };
        Self {
            lines: Lines::default(),
            grammar,
            notes: Notes::new(kind, task),
        }
    }

    /// Takes a piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Step> {
        for line in self.lines.push(bytes) {
            self.line(&line);
        }
        self.notes.take()
    }

    /// The stream has ended.
    pub fn finish(&mut self) -> Vec<Step> {
        if let Some(line) = self.lines.finish() {
            self.line(&line);
        }
        self.notes.flush();
        self.notes.take()
    }

    /// What the stream has shown.
    pub const fn seen(&self) -> &Seen {
        &self.notes.seen
    }

    /// What the stream has shown, taken out.
    pub fn into_seen(self) -> Seen {
        self.notes.seen
    }

    /// Notes facts that a driver knows and the stream does not show (a request that failed, a denial of ours).
    pub const fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    fn line(&mut self, line: &Line) {
        match line {
            Line::Whole(bytes) => self.json(bytes, false),
            // The last line of a process that was ended may be whole but for its line end.
            Line::Cut(bytes) => self.json(bytes, true),
            Line::Skipped { bytes } => self.notes.warn(&format!(
                "a line of {bytes} bytes was skipped; lines up to {} bytes are read",
                crate::cli::lines::LONGEST
            )),
        }
    }

    fn json(&mut self, bytes: &[u8], last: bool) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if std::str::from_utf8(bytes).is_err() {
            self.notes.warn("a line is not UTF-8; the bad bytes were replaced");
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_object() => self.grammar.read(&value, &mut self.notes),
            Ok(_) => self
                .notes
                .warn(&format!("a line is no JSON object: {}", one_line(text, 120))),
            Err(error) => {
                self.notes.seen.cut |= last;
                let what = if error.is_eof() {
                    "a line is cut off"
                } else {
                    "a line is no JSON"
                };
                self.notes
                    .warn(&format!("{what} ({} bytes): {}", text.len(), one_line(text, 120)));
            }
        }
    }
}
