//! Events woven into spans: pure, and the same however often it is done. A span is there when it has ended; its parents may come
//! later, under ids that are known before.

mod task;

use super::{
    convention::{gen_ai, maestria},
    span::{Kind, Span},
};
use maestria_kernel::{
    At, Cost, DecisionId, Event, ReviewId, RunId, TaskId, Usage,
    decision::About,
    finding::Validation,
    port::Stored,
    request::Request,
    review::{Opinion, Review},
    state::{Phase, RunState},
    trace::{SpanId, TraceId},
};
use std::collections::BTreeMap;
use task::Thread;

/// One run, as far as its events are known.
#[derive(Debug)]
pub(super) struct Loom {
    run: RunId,
    contents: bool,
    /// How often it was begun: once, and again after each end that was none.
    openings: u64,
    begun: At,
    ended: Option<At>,
    gist: Gist,
    /// The states it was in; the last is the one it is in, unless that has ended, too.
    stages: Vec<Stage>,
    tasks: BTreeMap<TaskId, Thread>,
    reviews: BTreeMap<ReviewId, Asked>,
    decisions: BTreeMap<DecisionId, (At, &'static str, Option<TaskId>)>,
}

/// What every root span says.
#[derive(Debug, Default)]
struct Gist {
    workflow: String,
    project: Option<String>,
    text: String,
    usage: Usage,
    scripted: bool,
}

/// A state that the run is in, or was.
#[derive(Debug)]
struct Stage {
    /// Which of its stages it is, from 0.
    number: u64,
    state: RunState,
    begun: At,
    ended: Option<At>,
}

impl Stage {
    fn id(&self, run: RunId) -> SpanId {
        SpanId::of("stage", run, self.number)
    }
}

/// A review, from its request on.
#[derive(Debug)]
struct Asked {
    review: Review,
    begun: At,
    ended: Option<At>,
}

impl Loom {
    /// A run of which nothing is known yet; with `contents`, spans hold what people and agents have said.
    pub(super) fn new(run: RunId, contents: bool) -> Self {
        Self {
            run,
            contents,
            openings: 0,
            begun: At::default(),
            ended: None,
            gist: Gist::default(),
            stages: Vec::new(),
            tasks: BTreeMap::new(),
            reviews: BTreeMap::new(),
            decisions: BTreeMap::new(),
        }
    }

    pub(super) const fn trace(&self) -> TraceId {
        TraceId::of(self.run)
    }

    /// Whether nothing of it is under way.
    pub(super) const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// The span that everything of the run lies in.
    fn root(&self) -> SpanId {
        SpanId::of("run", self.run, self.openings)
    }

    /// Takes account of the next event; returns the spans that it ends.
    pub(super) fn take(&mut self, stored: &Stored) -> Vec<Span> {
        let at = stored.at;
        match &stored.event {
            Event::RunSubmitted { request } => self.submit(request, at),
            Event::RunPrepared { .. } => {
                let id = SpanId::of("prepare", self.run, stored.seq.0);
                vec![self.part("prepare", id, (self.begun, at))]
            }
            Event::RunTransitioned { to, .. } => self.go(*to, at),
            Event::PlanProposed { plan, .. } => {
                let trace = self.trace();
                let planned = plan.tasks.iter().map(|task| (task.id, Thread::new(task, trace)));
                self.tasks = planned.collect();
                Vec::new()
            }
            Event::TaskAdded { task } => {
                self.tasks.insert(task.id, Thread::new(task, self.trace()));
                Vec::new()
            }
            Event::ReviewRequested { review } => {
                let asked = Asked {
                    review: (**review).clone(),
                    begun: at,
                    ended: None,
                };
                self.reviews.insert(review.id, asked);
                Vec::new()
            }
            Event::ReviewReceived { review, opinion } => self.reviewed(*review, opinion, at).into_iter().collect(),
            Event::ValidationFinished { checks } => vec![self.validated(checks, stored)],
            Event::DecisionRequested { decision } => {
                let (about, task) = subject(&decision.about);
                self.decisions.insert(decision.id, (at, about, task));
                Vec::new()
            }
            Event::DecisionMade { decision, answer } => self.decided(*decision, answer.choice.as_str(), at),
            Event::DecisionWithdrawn { decision, .. } => self.decided(*decision, "withdrawn", at),
            Event::ModelCalled {
                task,
                model,
                usage,
                millis,
                scripted,
                request,
            } => {
                self.gist.usage += *usage;
                self.gist.scripted |= scripted;
                // What went through the gateway is told from its books, which know more.
                match request {
                    Some(_) => Vec::new(),
                    None => vec![self.called(stored, *task, model, *usage, *millis)],
                }
            }
            Event::ViolationRecorded { task, violation, .. } => {
                let span = self
                    .moment("violation", Some(*task), stored)
                    .with(maestria::RULE, violation.rule.as_str())
                    .failing(Some(violation.kind.as_str()));
                vec![self.saying(span, &violation.subject)]
            }
            Event::BudgetRefused { task, because, .. } => {
                let span = self.moment("budget refused", *task, stored);
                vec![
                    span.with(maestria::BUDGET, because.as_str())
                        .failing(Some("budget_exhausted")),
                ]
            }
            event => self.of_task(event, stored),
        }
    }

    /// What has happened at once, where it happened.
    fn moment(&self, name: &'static str, task: Option<TaskId>, stored: &Stored) -> Span {
        let id = SpanId::of(name, self.run, stored.seq.0);
        self.part(name, id, (stored.at, stored.at))
            .under(self.place(task, None, stored.at))
            .maybe(maestria::TASK, task.map(|task| task.to_string()))
    }

    /// With words of people or agents, if those are asked for.
    fn saying(&self, span: Span, words: &str) -> Span {
        if self.contents {
            span.with(maestria::TEXT, words)
        } else {
            span
        }
    }

    fn of_task(&mut self, event: &Event, stored: &Stored) -> Vec<Span> {
        let Some(id) = task::subject(event) else {
            return Vec::new();
        };
        let contents = self.contents;
        let Some(thread) = self.tasks.get_mut(&id) else {
            return Vec::new();
        };
        let spans = thread.take(event, stored, contents);
        self.of_run(spans)
    }

    /// Spans of tasks, told whose they are.
    fn of_run(&self, spans: Vec<Span>) -> Vec<Span> {
        let whose = |span: Span| {
            let parent = span.parent.unwrap_or_else(|| self.root());
            span.under(parent).with(maestria::RUN, self.run.to_string())
        };
        spans.into_iter().map(whose).collect()
    }

    fn submit(&mut self, request: &Request, at: At) -> Vec<Span> {
        self.begun = at;
        self.gist.workflow.clone_from(&request.workflow.name);
        self.gist.project = request.project();
        self.gist.text.clone_from(&request.text);
        self.enter(RunState::Active(Phase::Planning), at);
        Vec::new()
    }

    fn go(&mut self, to: RunState, at: At) -> Vec<Span> {
        let open = self.stages.last().filter(|stage| stage.ended.is_none());
        let mut spans: Vec<Span> = open.map(|stage| self.stage_span(stage, at)).into_iter().collect();
        if let Some(stage) = self.stages.last_mut() {
            stage.ended.get_or_insert(at);
        }
        if matches!(to, RunState::Completed | RunState::Failed | RunState::Aborted) {
            spans.extend(self.end(to, at));
            return spans;
        }
        if self.ended.take().is_some() {
            self.openings += 1;
            self.begun = at;
        }
        self.enter(to, at);
        spans
    }

    fn enter(&mut self, state: RunState, at: At) {
        self.stages.push(Stage {
            number: self.stages.len() as u64,
            state,
            begun: at,
            ended: None,
        });
    }

    fn stage_span(&self, stage: &Stage, at: At) -> Span {
        self.part(named(stage.state), stage.id(self.run), (stage.begun, at))
    }

    /// Everything that is still open ends with the run.
    fn end(&mut self, to: RunState, at: At) -> Vec<Span> {
        self.ended = Some(at);
        let ended = self.tasks.values_mut().flat_map(|thread| thread.end(at)).collect();
        let mut spans = self.of_run(ended);
        let failed = (to != RunState::Completed).then(|| to.as_str());
        let name = format!("{} {}", gen_ai::INVOKE_WORKFLOW, self.gist.workflow);
        let mut span = Span::new(self.trace(), self.root(), name, (self.begun, at))
            .with(maestria::RUN, self.run.to_string())
            .with(gen_ai::OPERATION, gen_ai::INVOKE_WORKFLOW)
            .with(gen_ai::WORKFLOW_NAME, self.gist.workflow.as_str())
            .maybe(maestria::PROJECT, self.gist.project.clone())
            .with(maestria::RUN_STATE, to.as_str())
            .with(maestria::SCRIPTED, self.gist.scripted)
            .failing(failed);
        span = used(span, self.gist.usage);
        if self.openings > 0 {
            span = span
                .under(SpanId::of("run", self.run, 0))
                .with(maestria::REOPENED, self.openings);
        }
        spans.push(self.saying(span, &self.gist.text));
        spans
    }

    fn validated(&self, checks: &Validation, stored: &Stored) -> Span {
        let began = At(stored.at.0 - i64::try_from(checks.millis).unwrap_or(0));
        let id = SpanId::of("validate", self.run, stored.seq.0);
        let failed = (checks.passed == Some(false)).then_some("checks_failed");
        self.part("validate", id, (began, stored.at))
            .maybe(maestria::CHECKS_PASSED, checks.passed)
            .with(maestria::FINDINGS, checks.findings.len() as u64)
            .failing(failed)
    }

    fn reviewed(&mut self, id: ReviewId, opinion: &Opinion, at: At) -> Option<Span> {
        let asked = self.reviews.get_mut(&id)?;
        asked.ended = Some(at);
        let (review, begun) = (asked.review.clone(), asked.begun);
        let verdict = opinion.verdict.map(|verdict| verdict.to_string());
        let failed = verdict.is_none().then_some("no_verdict");
        let span = self
            .part(
                &format!("review {}", review.reviewer),
                SpanId::of_review(id),
                (begun, at),
            )
            .under(self.above(review.task))
            .with(gen_ai::OPERATION, gen_ai::INVOKE_AGENT)
            .with(gen_ai::AGENT_NAME, review.reviewer.as_str())
            .maybe(maestria::TASK, review.task.map(|task| task.to_string()))
            .with(maestria::REVIEW_TRIGGER, review.trigger.to_string())
            .with(maestria::REVIEW_ROUND, review.round)
            .with(maestria::REVIEW_INDEPENDENT, review.independent)
            .with(maestria::FINDINGS, opinion.findings.len() as u64)
            .maybe(maestria::VERDICT, verdict)
            .failing(failed);
        Some(self.saying(span, &opinion.text))
    }

    fn decided(&mut self, id: DecisionId, choice: &str, at: At) -> Vec<Span> {
        let Some((begun, about, task)) = self.decisions.remove(&id) else {
            return Vec::new();
        };
        let span = self
            .part(&format!("decision {about}"), SpanId::of("decision", id, 0), (begun, at))
            .under(self.above(task))
            .with(maestria::DECISION, id.to_string())
            .with(maestria::DECISION_ABOUT, about)
            .with(maestria::DECISION_CHOICE, choice)
            .maybe(maestria::TASK, task.map(|task| task.to_string()));
        vec![span]
    }

    /// A call that no gateway has seen.
    fn called(&self, stored: &Stored, task: Option<TaskId>, model: &str, usage: Usage, millis: u64) -> Span {
        let begun = At(stored.at.0 - i64::try_from(millis).unwrap_or(0));
        let id = SpanId::of("call", self.run, stored.seq.0);
        let (provider, name) = model.split_once('/').map_or((None, model), |(p, m)| (Some(p), m));
        let span = self
            .part(&format!("{} {name}", gen_ai::CHAT), id, (begun, stored.at))
            .under(self.place(task, None, stored.at))
            .of_kind(Kind::Client)
            .with(gen_ai::OPERATION, gen_ai::CHAT)
            .maybe(gen_ai::PROVIDER, provider)
            .with(gen_ai::REQUEST_MODEL, name)
            .with(gen_ai::RESPONSE_MODEL, name)
            .maybe(maestria::TASK, task.map(|task| task.to_string()));
        used(span, usage)
    }

    /// The span in which somebody called a model at a moment: a review, an attempt, or the stage the run was in.
    pub(super) fn place(&self, task: Option<TaskId>, agent: Option<&str>, at: At) -> SpanId {
        let judges = |asked: &&Asked| {
            asked.review.task == task
                && agent == Some(asked.review.reviewer.as_str())
                && asked.begun <= at
                && asked.ended.is_none_or(|ended| at <= ended)
        };
        if let Some(asked) = self.reviews.values().rev().find(judges) {
            return SpanId::of_review(asked.review.id);
        }
        if let Some((id, thread)) = task.and_then(|id| Some((id, self.tasks.get(&id)?))) {
            return thread
                .attempt_at(at)
                .map_or_else(|| thread.id(), |attempt| SpanId::of_attempt(id, attempt));
        }
        let stage = self.stages.iter().rfind(|stage| stage.begun <= at);
        match stage.filter(|_| task.is_none()) {
            Some(stage) => stage.id(self.run),
            None => self.root(),
        }
    }

    /// What a part of a task, or of the run, lies in.
    fn above(&self, task: Option<TaskId>) -> SpanId {
        let thread = task.and_then(|task| self.tasks.get(&task));
        thread.map_or_else(|| self.root(), Thread::id)
    }

    fn part(&self, name: &str, id: SpanId, time: (At, At)) -> Span {
        Span::new(self.trace(), id, name, time)
            .under(self.root())
            .with(maestria::RUN, self.run.to_string())
    }
}

/// A stage's name, for people.
const fn named(state: RunState) -> &'static str {
    match state {
        RunState::Active(Phase::Planning) => "planning",
        RunState::Active(Phase::Executing) => "executing",
        RunState::Active(Phase::Validating) => "validating",
        RunState::Escalated(_) => "waiting for a person",
        RunState::Paused(_) => "paused",
        RunState::Aborting => "aborting",
        RunState::Completed | RunState::Failed | RunState::Aborted => "ended",
    }
}

/// What a decision is about, in a word, and whose it is.
const fn subject(about: &About) -> (&'static str, Option<TaskId>) {
    match about {
        About::Permission { task, .. } => ("permission", Some(*task)),
        About::Task { task, .. } => ("task", Some(*task)),
        About::Confidence => ("confidence", None),
        About::Validation => ("validation", None),
        About::Planning => ("planning", None),
        About::Budget => ("budget", None),
    }
}

/// With what it used.
pub(super) fn used(span: Span, usage: Usage) -> Span {
    span.with(gen_ai::INPUT_TOKENS, usage.input.0)
        .with(gen_ai::OUTPUT_TOKENS, usage.output.0)
        .with(gen_ai::CACHE_READ_TOKENS, usage.cached.0)
        .with(maestria::COST, dollars(usage.cost))
}

pub(super) fn dollars(cost: Cost) -> f64 {
    cost.0 as f64 / 1e6
}

#[cfg(test)]
mod tests;
