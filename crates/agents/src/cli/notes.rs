//! The notebook a dialect writes into while it reads: events in order, and the facts behind them.

use crate::{
    cli::{
        asked::{Asked, summary},
        config::Kind,
        text::{clip, one_line},
        worker::CallPricing,
    },
    outcome::seen::{By, Denial, End, Seen, Trouble},
    recovery::{self, Place, Sign},
};
use maestria_kernel::{
    Cost, Event, TaskId,
    id::SessionId,
    money::Usage,
    outcome::Verdict,
    permission::{Action, Question},
};
use serde_json::Value;
use std::collections::HashMap;

/// The longest text kept of one message, in bytes.
const LONGEST_SAID: usize = 16 << 10;
/// The longest report kept, in bytes; later tasks read it as evidence.
const LONGEST_REPORT: usize = 64 << 10;
/// The most facts of one sort that are kept: a stream without end must not cost memory without end.
const MOST_FACTS: usize = 500;

/// What reading a line came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Something to tell.
    Saw(Event),
    /// The agent asks for leave and waits.
    Asked(Asked),
    /// The agent asks for something we do not know, and waits.
    Strange {
        /// The request's id.
        id: Value,
        /// What it asks.
        method: String,
    },
    /// The agent takes a question back.
    Withdrawn(Value),
    /// The answer to a request of ours.
    Replied {
        /// The request's id.
        id: Value,
        /// The result, or the error.
        result: Result<Value, Value>,
    },
    /// The turn has begun or gone on; tells a driver which one.
    Turn(String),
    /// The agent's turn is over.
    Ended,
}

/// A tool call under way.
#[derive(Debug, Clone)]
struct Call {
    tool: String,
    writes: bool,
    reads: bool,
    path: Option<String>,
    what: String,
}

/// See the module.
#[derive(Debug)]
pub struct Notes {
    /// The kind of agent, for the recovery table.
    pub kind: Kind,
    /// The facts so far.
    pub seen: Seen,
    task: TaskId,
    steps: Vec<Step>,
    calls: HashMap<String, Call>,
    denied: Vec<String>,
    chunk: String,
    /// How much of `chunk` was told already.
    told: usize,
    /// History that a resumed session plays back is neither told nor counted.
    pub muted: bool,
    /// The gateway counts the calls; what the stream says of them is left aside, so that nothing counts twice.
    pub metered: bool,
    /// What calls cost that the agent names no cost of.
    pub pricing: Option<CallPricing>,
}

impl Notes {
    /// An empty notebook.
    pub fn new(kind: Kind, task: TaskId) -> Self {
        Self {
            kind,
            seen: Seen::default(),
            task,
            steps: Vec::new(),
            calls: HashMap::new(),
            denied: Vec::new(),
            chunk: String::new(),
            told: 0,
            muted: false,
            metered: false,
            pricing: None,
        }
    }

    /// Takes the steps noted since the last time.
    pub fn take(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// Notes a step that is no event.
    pub fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn saw(&mut self, event: Event) {
        if !self.muted {
            self.steps.push(Step::Saw(event));
        }
    }

    /// The agent told its session's id.
    pub fn session(&mut self, id: &str) {
        if id.is_empty() || self.seen.session.as_ref().is_some_and(|known| known.as_str() == id) {
            return;
        }
        let session = SessionId::new(id);
        self.seen.session = Some(session.clone());
        let task = self.task;
        // Told even while history is played back: it is news to the run.
        self.steps.push(Step::Saw(Event::SessionOpened { task, session }));
    }

    /// A new turn has begun: what ended the last one is over.
    pub fn begin(&mut self) {
        self.seen.begun = true;
        self.seen.end = None;
        self.seen.trouble = None;
        self.seen.interrupted = false;
    }

    /// The agent said something.
    pub fn said(&mut self, text: &str) {
        self.flush();
        if text.trim().is_empty() || self.muted {
            return;
        }
        self.seen.report = clip(text, LONGEST_REPORT);
        self.seen.ended_on_denial = false;
        self.tell(text);
    }

    fn tell(&mut self, text: &str) {
        let (task, text) = (Some(self.task), clip(text, LONGEST_SAID));
        self.saw(Event::TaskSaid { task, text });
    }

    /// The agent said a piece of something; told as a whole by [`Notes::flush`].
    pub fn chunk(&mut self, text: &str) {
        if !self.muted && self.chunk.len() < LONGEST_REPORT {
            self.chunk.push_str(text);
        }
    }

    /// Tells what has come of a message so far; the message may go on.
    pub fn tell_chunk(&mut self) {
        let new = self.chunk.get(self.told..).unwrap_or_default().to_owned();
        self.told = self.chunk.len();
        if !new.trim().is_empty() {
            self.tell(&new);
        }
    }

    /// The message that came in pieces is whole: tells the rest of it.
    pub fn flush(&mut self) {
        self.tell_chunk();
        self.told = 0;
        let text = std::mem::take(&mut self.chunk);
        if !text.trim().is_empty() {
            self.seen.report = clip(&text, LONGEST_REPORT);
            self.seen.ended_on_denial = false;
        }
    }

    /// A tool began.
    pub fn started(&mut self, id: &str, question: &Question) {
        self.flush();
        let what = summary(question);
        let path = match &question.action {
            Action::Read { paths } | Action::Write { paths } => paths.first().cloned(),
            Action::Run { .. } | Action::Fetch { .. } | Action::Other { .. } => None,
        };
        let call = Call {
            tool: question.tool.clone(),
            writes: matches!(question.action, Action::Write { .. }),
            reads: matches!(question.action, Action::Read { .. }),
            path,
            what: what.clone(),
        };
        let known = self.calls.insert(id.to_owned(), call).is_some();
        self.seen.begun = true;
        if !known {
            let (task, tool) = (self.task, one_line(&question.tool, 100));
            self.saw(Event::ToolStarted {
                task,
                tool,
                summary: what,
            });
        }
    }

    /// A tool ended; `result` is what it returned. A failure may be a denial, which the recovery table knows.
    pub fn finished(&mut self, id: &str, ok: bool, result: &str) {
        self.flush();
        let call = self.calls.remove(id).unwrap_or_else(|| Call {
            tool: "tool".to_owned(),
            writes: false,
            reads: false,
            path: None,
            what: String::new(),
        });
        self.seen.ended_on_denial = false;
        if !ok && !self.denied_before(id) {
            self.explain(id, &call, result);
        }
        let (task, tool, summary) = (self.task, one_line(&call.tool, 100), one_line(result, 200));
        self.saw(Event::ToolFinished {
            task,
            tool,
            ok,
            summary,
        });
    }

    fn denied_before(&mut self, id: &str) -> bool {
        let known = self.denied.iter().any(|known| known == id);
        self.seen.ended_on_denial |= known;
        known
    }

    /// Finds out whether a failed tool was denied.
    fn explain(&mut self, id: &str, call: &Call, result: &str) {
        let sign = Sign {
            cli: self.kind.as_str(),
            place: Place::Tool,
            text: result,
            status: None,
            exit: None,
        };
        let Some(found) = recovery::find(sign) else { return };
        let path = found.path.or_else(|| call.path.clone());
        let outside = found.problem.verdict == Verdict::OutsideWorkspace || self.lies_outside(path.as_deref());
        let by = if found.problem.soft || call.reads {
            By::Sandbox
        } else {
            By::Agent
        };
        self.deny(Some(id), &format!("{} {}", call.tool, call.what), path, outside, by);
        if let Some(denial) = self.seen.denials.last_mut() {
            denial.problem = Some(found.problem.id.as_str());
        }
    }

    /// The path of a tool call that is under way.
    pub fn path_of(&self, id: &str) -> Option<String> {
        self.calls.get(id).and_then(|call| call.path.clone())
    }

    /// The path that a tool call under way writes.
    pub fn written_path(&self, id: &str) -> Option<String> {
        self.calls
            .get(id)
            .filter(|call| call.writes)
            .and_then(|call| call.path.clone())
    }

    /// Whether an absolute path lies outside the folder that the agent says it works in.
    pub fn lies_outside(&self, path: Option<&str>) -> bool {
        match (path, &self.seen.cwd) {
            (Some(path), Some(cwd)) => path.starts_with('/') && !std::path::Path::new(path).starts_with(cwd),
            (Some(_) | None, _) => false,
        }
    }

    /// Something was denied. The first that is known of a tool call counts.
    pub fn deny(&mut self, id: Option<&str>, what: &str, path: Option<String>, outside: bool, by: By) {
        if self.muted {
            return;
        }
        self.seen.ended_on_denial = true;
        let reads = id.and_then(|id| self.calls.get(id)).is_some_and(|call| call.reads);
        // What it could not read, it may have done without; what it could not write, it has not done.
        let by = if reads && by == By::Agent { By::Sandbox } else { by };
        if let Some(id) = id {
            if self.denied.iter().any(|known| known == id) {
                return;
            }
            self.denied.push(id.to_owned());
        }
        if self.seen.denials.len() < MOST_FACTS {
            let what = one_line(what, 200);
            self.seen.denials.push(Denial {
                what,
                path,
                outside,
                by,
                problem: None,
            });
        }
    }

    /// A file was changed, as the agent says.
    pub fn edited(&mut self, path: &str) {
        let edits = &mut self.seen.edits;
        if !self.muted && edits.len() < MOST_FACTS && !edits.iter().any(|known| known == path) {
            edits.push(path.to_owned());
        }
    }

    /// A model was called.
    pub fn called(&mut self, mut usage: Usage, millis: u64) {
        if usage == Usage::default() || self.muted || self.metered {
            return;
        }
        let model = self.seen.model.clone().unwrap_or_else(|| self.kind.as_str().to_owned());
        // OpenCode knows the prices of its models, the free ones too.
        if let (Cost::ZERO, Some(pricing), true) = (usage.cost, self.pricing, self.kind != Kind::Opencode) {
            usage.cost = pricing(&model, &usage);
        }
        self.seen.usage += usage;
        let event = Event::ModelCalled {
            task: Some(self.task),
            model,
            usage,
            millis,
            scripted: false,
            request: None,
        };
        self.saw(event);
    }

    /// The agent tries again after an error.
    pub fn retrying(&mut self, status: Option<u16>, text: &str) {
        self.seen.retries += 1;
        let text = one_line(text, 500);
        self.seen.retrying = Some(Trouble {
            status,
            text: text.clone(),
        });
        self.warn(&format!("retry {}: {text}", self.seen.retries));
    }

    /// An error that was not retried.
    pub fn trouble(&mut self, status: Option<u16>, text: &str) {
        let text = clip(text.trim(), 2000);
        // An error that names its status says more than the same one repeated without.
        let better = self
            .seen
            .trouble
            .as_ref()
            .is_none_or(|known| known.status.is_none() || status.is_some());
        if better {
            self.seen.trouble = Some(Trouble { status, text });
        }
    }

    /// The turn is over.
    pub fn end(&mut self, end: End) {
        self.flush();
        self.seen.end = Some(end);
        self.steps.push(Step::Ended);
    }

    /// Something came that cannot be used; it was survived.
    pub fn warn(&mut self, warning: &str) {
        let (task, warning) = (self.task, one_line(warning, 500));
        self.saw(Event::WorkerWarned { task, warning });
    }
}
