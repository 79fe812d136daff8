use super::Loom;
use crate::telemetry::span::Span;
use maestria_kernel::{
    At, Cost, Event, RunId, Seq, TaskId, TaskKey, Usage,
    finding::Validation,
    outcome::{Outcome, Verdict},
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind},
    port::Stored,
    request::Request,
    state::{Phase, RunState},
    trace::SpanId,
    violation::{self, Violation},
    workflow::{Limits, Workflow},
};
use uuid::Uuid;

const EXECUTING: RunState = RunState::Active(Phase::Executing);
const PLANNING: RunState = RunState::Active(Phase::Planning);

fn run() -> RunId {
    RunId::new(Uuid::from_u128(7))
}

fn task() -> TaskId {
    TaskId::new(Uuid::from_u128(1))
}

fn submitted() -> Event {
    let workflow = Workflow {
        name: "develop".to_owned(),
        description: String::new(),
        stages: Vec::new(),
        reviews_existing: false,
        limits: Limits::default(),
    };
    Event::RunSubmitted {
        request: Box::new(Request {
            text: "the person's words".to_owned(),
            target: "/t/shop".to_owned(),
            workspace: "/w".to_owned(),
            workflow,
            agents: Vec::new(),
            budget: None,
            shares: Vec::new(),
            by: "ada".to_owned(),
        }),
    }
}

fn planned() -> Event {
    let task = PlannedTask {
        id: task(),
        key: TaskKey::from("E1"),
        title: "a title".to_owned(),
        instructions: "the instructions".to_owned(),
        kind: TaskKind::Edit,
        needs: Vec::new(),
        files: Vec::new(),
        agent: None,
        estimate: Estimate::default(),
    };
    Event::PlanProposed {
        plan: Box::new(Plan {
            summary: String::new(),
            source: PlanSource::Rules { because: String::new() },
            tasks: vec![task],
        }),
        shares: Vec::new(),
    }
}

fn went(from: RunState, to: RunState) -> Event {
    Event::RunTransitioned {
        from,
        to,
        because: String::new(),
    }
}

fn dispatched(attempt: u16) -> Event {
    Event::TaskDispatched {
        task: task(),
        attempt,
        agent: "claude".into(),
        session: None,
        guidance: Vec::new(),
    }
}

fn finished(attempt: u16, verdict: Verdict) -> Event {
    Event::TaskFinished {
        task: task(),
        attempt,
        outcome: Box::new(Outcome::bare(verdict, "because the model said so")),
    }
}

/// A run whose task fails once, is retried, and merged; then it is begun again from that task, and aborted.
fn story() -> Vec<Stored> {
    let events = vec![
        submitted(),
        planned(),
        went(PLANNING, EXECUTING),
        Event::TaskUnblocked { task: task() },
        dispatched(1),
        Event::ToolStarted {
            task: task(),
            tool: "bash".to_owned(),
            summary: "make".to_owned(),
        },
        Event::ViolationRecorded {
            task: task(),
            agent: Some("claude".into()),
            attempt: 1,
            count: 1,
            violation: Box::new(Violation::new(
                violation::Kind::Path,
                "write.outside",
                "make/it",
                "it lies outside",
            )),
        },
        Event::BudgetRefused {
            task: Some(task()),
            because: "run: $1.00 of $1.00 is spent".to_owned(),
            of_run: true,
        },
        finished(1, Verdict::Crashed),
        dispatched(2),
        Event::ModelCalled {
            task: Some(task()),
            model: "p/m".to_owned(),
            usage: Usage {
                cost: Cost(5),
                ..Usage::default()
            },
            millis: 3,
            scripted: false,
            request: None,
        },
        finished(2, Verdict::Completed),
        Event::TaskMergeStarted { task: task() },
        Event::TaskMerged {
            task: task(),
            commit: None,
            checks: Validation::none(),
        },
        went(EXECUTING, RunState::Completed),
        Event::TaskReset { task: task() },
        went(RunState::Completed, EXECUTING),
        Event::TaskUnblocked { task: task() },
        dispatched(3),
        went(EXECUTING, RunState::Aborting),
        went(RunState::Aborting, RunState::Aborted),
    ];
    let stored = |(event, n): (Event, u64)| Stored {
        seq: Seq(n),
        at: At(1000 * i64::try_from(n).unwrap()),
        event,
    };
    events.into_iter().zip(1..).map(stored).collect()
}

fn woven(events: &[Stored]) -> Vec<Span> {
    let mut loom = Loom::new(run(), false);
    events.iter().flat_map(|stored| loom.take(stored)).collect()
}

fn the<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn a_run_that_is_begun_again_lies_below_what_it_was() {
    let spans = woven(&story());
    let [first, second] = the(&spans, "invoke_workflow develop")[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(
        (first.begun, first.ended, first.parent, first.failed),
        (At(1000), At(15_000), None, false)
    );
    assert_eq!((second.parent, second.failed), (Some(first.id), true));
    assert_eq!((second.begun, second.ended), (At(17_000), At(21_000)));
    let tasks = the(&spans, "task E1");
    assert_eq!(tasks.len(), 2);
    assert_eq!((tasks[0].parent, tasks[1].parent), (Some(first.id), Some(second.id)));
    let attempts = the(&spans, "invoke_agent claude");
    let parents: Vec<_> = attempts.iter().map(|span| span.parent).collect();
    assert_eq!(parents, [Some(tasks[0].id), Some(tasks[0].id), Some(tasks[1].id)]);
    assert_eq!(
        attempts.iter().map(|span| span.failed).collect::<Vec<_>>(),
        [true, false, true]
    );
    assert_eq!(
        attempts[1].id,
        SpanId::of_attempt(task(), 2),
        "a worker was told this before"
    );
    let call = the(&spans, "chat m")[0];
    assert_eq!(
        (call.parent, call.begun, call.ended),
        (Some(attempts[1].id), At(10_997), At(11_000))
    );
    let tool = the(&spans, "execute_tool bash")[0];
    assert_eq!(
        (tool.parent, tool.ended),
        (Some(attempts[0].id), At(9000)),
        "it ended with its attempt"
    );
    for name in ["violation", "budget refused"] {
        let moment = the(&spans, name)[0];
        assert_eq!((moment.parent, moment.failed), (Some(attempts[0].id), true), "{name}");
    }
    assert_eq!(the(&spans, "executing").len(), 2);
    assert_eq!(the(&spans, "aborting")[0].parent, Some(second.id));
    let mut ids: Vec<_> = spans.iter().map(|span| span.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
}

/// Whoever takes over at any event weaves what is missing, and nothing else.
#[test]
fn it_does_not_matter_who_weaves() {
    let story = story();
    let whole = woven(&story);
    for cut in 0..=story.len() {
        let before = woven(&story[..cut]);
        let mut loom = Loom::new(run(), false);
        story[..cut].iter().for_each(|stored| drop(loom.take(stored)));
        let after = story[cut..].iter().flat_map(|stored| loom.take(stored));
        let both: Vec<Span> = before.into_iter().chain(after).collect();
        assert_eq!(both, whole, "cut at {cut}");
    }
}

#[test]
fn nothing_that_was_said_is_in_it_unless_it_is_asked_for() {
    let said = [
        "the person's words",
        "the instructions",
        "a title",
        "because the model",
        "make",
    ];
    let shown = format!("{:?}", woven(&story()));
    for words in said {
        assert!(!shown.contains(words), "{words}");
    }
    let mut open = Loom::new(run(), true);
    let spans: Vec<Span> = story().iter().flat_map(|stored| open.take(stored)).collect();
    let shown = format!("{spans:?}");
    assert!(shown.contains(said[0]) && shown.contains(said[1]), "{shown}");
}

#[test]
fn events_of_nothing_that_is_known_weave_nothing() {
    let mut loom = Loom::new(run(), true);
    let mut story = story();
    // Without plan and request: a log that begins in the middle.
    for stored in story.drain(3..) {
        let spans = loom.take(&stored);
        assert!(spans.iter().all(|span| !span.name.starts_with("task")), "{spans:?}");
    }
}
