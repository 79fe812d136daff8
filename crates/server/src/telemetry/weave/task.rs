//! A task's part of the weave: from the moment it is ready until it is merged or left out, with its attempts, their tools, and
//! its merges.

use crate::telemetry::{
    convention::{gen_ai, maestria},
    span::Span,
};
use maestria_kernel::{
    At, Event, TaskId,
    outcome::Outcome,
    plan::{PlannedTask, TaskKind},
    port::Stored,
    trace::{SpanId, TraceId},
};

/// Calls of tools that are remembered while they are under way.
const MOST_TOOLS: usize = 64;

/// A task, as far as its events are known.
#[derive(Debug)]
pub(super) struct Thread {
    trace: TraceId,
    task: TaskId,
    key: String,
    kind: TaskKind,
    instructions: String,
    /// How often it was begun: more than once when it is done again from the start.
    rounds: u64,
    /// Since when it is ready, at work or in review; `None` while it waits or is done.
    begun: Option<At>,
    attempts: Vec<Attempt>,
    tools: Vec<Tool>,
    merging: Option<At>,
}

#[derive(Debug)]
struct Attempt {
    number: u16,
    agent: String,
    session: Option<String>,
    begun: At,
    ended: Option<At>,
}

/// A call of a tool that is under way.
#[derive(Debug)]
struct Tool {
    id: SpanId,
    name: String,
    arguments: String,
    begun: At,
    parent: SpanId,
}

/// Whose event it is, if a task's.
pub(super) const fn subject(event: &Event) -> Option<TaskId> {
    match event {
        Event::TaskUnblocked { task }
        | Event::TaskDispatched { task, .. }
        | Event::TaskFinished { task, .. }
        | Event::TaskMergeStarted { task }
        | Event::TaskMerged { task, .. }
        | Event::TaskBounced { task, .. }
        | Event::TaskSkipped { task, .. }
        | Event::TaskCancelled { task }
        | Event::TaskReset { task }
        | Event::SessionOpened { task, .. }
        | Event::ToolStarted { task, .. }
        | Event::ToolFinished { task, .. } => Some(*task),
        _ => None,
    }
}

impl Thread {
    pub(super) fn new(task: &PlannedTask, trace: TraceId) -> Self {
        Self {
            trace,
            task: task.id,
            key: task.key.to_string(),
            kind: task.kind,
            instructions: task.instructions.clone(),
            rounds: 0,
            begun: None,
            attempts: Vec::new(),
            tools: Vec::new(),
            merging: None,
        }
    }

    /// The span of its present round.
    pub(super) fn id(&self) -> SpanId {
        SpanId::of("task", self.task, self.rounds)
    }

    /// The attempt that was under way at a moment, or the last before it.
    pub(super) fn attempt_at(&self, at: At) -> Option<u16> {
        let before = self.attempts.iter().rev().find(|attempt| attempt.begun <= at);
        before.map(|attempt| attempt.number)
    }

    /// Takes account of an event of the task; returns the spans that it ends. Those without a parent lie in the run.
    pub(super) fn take(&mut self, event: &Event, stored: &Stored, contents: bool) -> Vec<Span> {
        let at = stored.at;
        match event {
            Event::TaskUnblocked { .. } => self.begin(at),
            Event::TaskDispatched {
                attempt,
                agent,
                session,
                ..
            } => {
                self.begin(at);
                self.attempts.push(Attempt {
                    number: *attempt,
                    agent: agent.to_string(),
                    session: session.as_ref().map(ToString::to_string),
                    begun: at,
                    ended: None,
                });
            }
            Event::SessionOpened { session, .. } => {
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.session = Some(session.to_string());
                }
            }
            Event::ToolStarted { tool, summary, .. } => self.tool_started(tool, summary, stored),
            Event::ToolFinished { tool, ok, summary, .. } => {
                return self
                    .tool_finished(tool, *ok, contents.then_some(summary), at)
                    .into_iter()
                    .collect();
            }
            Event::TaskFinished { attempt, outcome, .. } => return self.finished(*attempt, outcome, at, contents),
            Event::TaskMergeStarted { .. } => self.merging = Some(at),
            Event::TaskMerged { checks, .. } => {
                let merged = self.merged(stored, checks.passed, None);
                return merged.into_iter().chain(self.over("done", at)).collect();
            }
            Event::TaskBounced { checks, conflicts, .. } => {
                let why = if conflicts.is_empty() {
                    "checks_failed"
                } else {
                    "conflict"
                };
                return self.merged(stored, checks.passed, Some(why)).into_iter().collect();
            }
            Event::TaskSkipped { .. } => return self.over("skipped", at).into_iter().collect(),
            Event::TaskCancelled { .. } => return self.over("cancelled", at).into_iter().collect(),
            Event::TaskReset { .. } => return self.over("reset", at).into_iter().collect(),
            _ => {}
        }
        Vec::new()
    }

    /// The run ends, and with it what is open.
    pub(super) fn end(&mut self, at: At) -> Vec<Span> {
        let unfinished = self.attempts.iter().rfind(|attempt| attempt.ended.is_none());
        let cut_off = unfinished.map(|attempt| (attempt.number, attempt.begun));
        let spans: Vec<Span> = cut_off
            .map(|(number, begun)| self.attempt_span(number, (begun, at)).failing(Some("cut_off")))
            .into_iter()
            .collect();
        self.attempts.iter_mut().for_each(|attempt| {
            attempt.ended.get_or_insert(at);
        });
        spans.into_iter().chain(self.over("ended", at)).collect()
    }

    fn begin(&mut self, at: At) {
        if self.begun.is_none() {
            self.begun = Some(at);
            self.rounds += 1;
        }
    }

    /// Ends the round.
    fn over(&mut self, state: &str, at: At) -> Option<Span> {
        let begun = self.begun.take()?;
        self.tools.clear();
        let span = Span::new(self.trace, self.id(), format!("task {}", self.key), (begun, at))
            .with(maestria::TASK, self.task.to_string())
            .with(maestria::TASK_KEY, self.key.as_str())
            .with(maestria::TASK_KIND, kind(self.kind))
            .with(maestria::TASK_STATE, state)
            .with(maestria::ATTEMPTS, self.attempts.len() as u64)
            .failing((state == "cancelled" || state == "ended").then_some(state));
        Some(span)
    }

    fn finished(&mut self, number: u16, outcome: &Outcome, at: At, contents: bool) -> Vec<Span> {
        let open = |attempt: &&mut Attempt| attempt.number == number && attempt.ended.is_none();
        let Some(attempt) = self.attempts.iter_mut().rfind(open) else {
            return Vec::new();
        };
        attempt.ended = Some(at);
        let begun = attempt.begun;
        let failed = (!outcome.verdict.is_success()).then_some(outcome.verdict.as_str());
        let mut span = self
            .attempt_span(number, (begun, at))
            .with(maestria::VERDICT, outcome.verdict.as_str())
            .failing(failed);
        span = super::used(span, outcome.usage);
        if contents {
            span = span.with(maestria::TEXT, self.instructions.as_str());
        }
        // What never told its end has ended with its attempt.
        let cut: Vec<Tool> = self.tools.drain(..).collect();
        let tools = cut.into_iter().map(|tool| self.tool_span(&tool, at, None));
        let mut spans: Vec<Span> = tools.collect();
        spans.push(span);
        spans
    }

    fn attempt_span(&self, number: u16, time: (At, At)) -> Span {
        let attempt = self.attempts.iter().rfind(|attempt| attempt.number == number);
        let agent = attempt.map_or("", |attempt| attempt.agent.as_str());
        let session = attempt.and_then(|attempt| attempt.session.clone());
        let id = SpanId::of_attempt(self.task, number);
        Span::new(self.trace, id, format!("{} {agent}", gen_ai::INVOKE_AGENT), time)
            .under(self.id())
            .with(gen_ai::OPERATION, gen_ai::INVOKE_AGENT)
            .with(gen_ai::AGENT_NAME, agent)
            .maybe(gen_ai::CONVERSATION, session)
            .with(maestria::TASK, self.task.to_string())
            .with(maestria::TASK_KEY, self.key.as_str())
            .with(maestria::ATTEMPT, number)
    }

    fn tool_started(&mut self, name: &str, summary: &str, stored: &Stored) {
        if self.tools.len() >= MOST_TOOLS {
            self.tools.remove(0);
        }
        let parent = self.attempt_at(stored.at);
        self.tools.push(Tool {
            id: SpanId::of("tool", self.task, stored.seq.0),
            name: name.to_owned(),
            arguments: summary.to_owned(),
            begun: stored.at,
            parent: parent.map_or_else(|| self.id(), |attempt| SpanId::of_attempt(self.task, attempt)),
        });
    }

    /// The oldest call of a tool ends first: events do not say which it was.
    fn tool_finished(&mut self, name: &str, ok: bool, result: Option<&String>, at: At) -> Option<Span> {
        let place = self.tools.iter().position(|tool| tool.name == name)?;
        let tool = self.tools.remove(place);
        let span = self
            .tool_span(&tool, at, result)
            .failing((!ok).then_some("tool_failed"));
        Some(span)
    }

    fn tool_span(&self, tool: &Tool, at: At, result: Option<&String>) -> Span {
        let span = Span::new(
            self.trace,
            tool.id,
            format!("{} {}", gen_ai::EXECUTE_TOOL, tool.name),
            (tool.begun, at),
        )
        .under(tool.parent)
        .with(gen_ai::OPERATION, gen_ai::EXECUTE_TOOL)
        .with(gen_ai::TOOL_NAME, tool.name.as_str())
        .with(maestria::TASK, self.task.to_string());
        match result {
            Some(result) => span
                .with(gen_ai::TOOL_ARGUMENTS, tool.arguments.as_str())
                .with(gen_ai::TOOL_RESULT, result.as_str()),
            None => span,
        }
    }

    fn merged(&mut self, stored: &Stored, passed: Option<bool>, failed: Option<&str>) -> Option<Span> {
        let begun = self.merging.take()?;
        let id = SpanId::of("merge", self.task, stored.seq.0);
        let span = Span::new(self.trace, id, format!("merge {}", self.key), (begun, stored.at))
            .under(self.id())
            .with(maestria::TASK, self.task.to_string())
            .maybe(maestria::CHECKS_PASSED, passed)
            .failing(failed);
        Some(span)
    }
}

const fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Investigate => "investigate",
        TaskKind::Edit => "edit",
        TaskKind::Review => "review",
    }
}
