//! Random commands in random order: nothing panics, settling ends, and a replay of the log gives the same run.

use crate::scene::{Scene, develop, edits, passed, said, three};
use maestria_kernel::{
    Command, Run, Task,
    decision::{About, Stuck},
    outcome::{Outcome, Verdict},
    review::{Opinion, ReviewVerdict},
    state::{Phase, RunState, TaskState},
    violation::{Kind, Violation},
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

#[derive(Debug, Clone)]
enum Move {
    Finish(u8, Verdict),
    Review(u8, Option<ReviewVerdict>),
    Merge(u8, bool),
    Validate(bool),
    Answer(u8),
    Control(u8),
    Violate(u8),
    Tell(u8),
    Wake(u32),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let verdict = prop_oneof![
        6 => Just(Verdict::Completed),
        1 => Just(Verdict::Crashed),
        1 => Just(Verdict::NoChange),
        1 => Just(Verdict::NotLoggedIn),
        1 => Just(Verdict::RateLimited),
        1 => Just(Verdict::Interrupted),
    ];
    let opinion = prop_oneof![
        4 => Just(Some(ReviewVerdict::Approve)),
        1 => Just(Some(ReviewVerdict::RequestChanges)),
        1 => Just(Some(ReviewVerdict::Reject)),
        1 => Just(None),
    ];
    let one = prop_oneof![
        6 => (any::<u8>(), verdict).prop_map(|(n, v)| Move::Finish(n, v)),
        6 => (any::<u8>(), opinion).prop_map(|(n, v)| Move::Review(n, v)),
        6 => (any::<u8>(), any::<bool>()).prop_map(|(n, ok)| Move::Merge(n, ok)),
        2 => any::<bool>().prop_map(Move::Validate),
        2 => any::<u8>().prop_map(Move::Answer),
        1 => any::<u8>().prop_map(Move::Control),
        6 => any::<u8>().prop_map(Move::Violate),
        2 => any::<u8>().prop_map(Move::Tell),
        2 => any::<u32>().prop_map(Move::Wake),
    ];
    proptest::collection::vec(one, 1..80)
}

fn command(scene: &Scene, step: &Move) -> Option<Command> {
    let by = || "someone".to_owned();
    let task = |n: u8, state: TaskState| {
        let fitting: Vec<_> = scene.run.ordered().into_iter().filter(|t| t.state == state).collect();
        fitting
            .get(usize::from(n) % fitting.len().max(1))
            .map(|t| (t.plan.id, t.attempt))
    };
    match step {
        Move::Finish(n, verdict) => task(*n, TaskState::Running).map(|(task, attempt)| Command::Finish {
            task,
            attempt,
            outcome: Box::new(Outcome::bare(*verdict, "random")),
        }),
        Move::Review(n, verdict) => {
            let open: Vec<_> = scene.run.reviews.iter().filter(|r| r.opinion.is_none()).collect();
            open.get(usize::from(*n) % open.len().max(1))
                .map(|r| Command::Reviewed {
                    review: r.id,
                    opinion: Opinion {
                        verdict: *verdict,
                        text: String::new(),
                        findings: Vec::new(),
                    },
                })
        }
        Move::Merge(n, ok) => task(*n, TaskState::Merging).map(|(task, _)| {
            if *ok {
                Command::Merged {
                    task,
                    commit: Some("c".into()),
                    checks: passed(true),
                }
            } else {
                Command::Bounced {
                    task,
                    conflicts: Vec::new(),
                    checks: passed(false),
                }
            }
        }),
        Move::Validate(ok) => Some(Command::Validated { checks: passed(*ok) }),
        Move::Answer(n) => {
            let decision = scene.run.open_decisions().next()?;
            let choice = decision.options[usize::from(*n) % decision.options.len()].choice;
            Some(Command::Answer {
                decision: decision.id,
                choice: Some(choice),
                approve: true,
                by: by(),
                because: by(),
            })
        }
        Move::Control(n) => Some(match n % 6 {
            0 => Command::Pause { by: by() },
            1 | 2 => Command::Resume { by: by() },
            3 => Command::Retry { by: by() },
            4 => Command::RequestReview { by: by() },
            _ => Command::Abort {
                by: by(),
                because: String::new(),
            },
        }),
        Move::Violate(n) => {
            let all = scene.run.ordered();
            let task = all.get(usize::from(*n) % all.len().max(1))?.plan.id;
            let violation = Violation::new(Kind::Command, "delete.recursive_force", "rm -rf /", "random");
            Some(Command::Observe {
                event: Box::new(violation.of(task)),
            })
        }
        Move::Tell(n) => {
            let all = scene.run.ordered();
            let task = all.get(usize::from(*n) % all.len().max(1))?.plan.id;
            let message = Box::new(said(&format!("word {n}")));
            Some(Command::Tell { task, message })
        }
        Move::Wake(_) => Some(Command::Wake),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_breaks_a_run(moves in moves()) {
        let mut scene = Scene::new(three(), develop(), edits(&[(1, &[]), (2, &["E1"]), (3, &[]), (4, &["E2", "E3"])]));
        let mut replay = Run::blank(scene.run.id);
        for event in &scene.log {
            replay.apply(event, scene.now);
        }
        let mut told = scene.log.len();
        for step in &moves {
            if let Move::Wake(wait) = step {
                scene.now.0 += i64::from(*wait % 400_000);
            }
            let Some(command) = command(&scene, step) else { continue };
            let before = scene.run.clone();
            match scene.take(&command) {
                Ok(()) => {
                    for event in &scene.log[told..] {
                        replay.apply(event, scene.now);
                    }
                    told = scene.log.len();
                }
                Err(_) => assert_eq!(before, scene.run, "a refused command changes nothing"),
            }
            check(&scene.run);
        }
        // The scene was set at other moments, so times are not compared.
        assert_eq!(replay.state, scene.run.state);
        assert_eq!(replay.seq, scene.run.seq);
        assert_eq!(
            replay.tasks.values().map(known).collect::<Vec<_>>(),
            scene.run.tasks.values().map(known).collect::<Vec<_>>()
        );
    }
}

/// What a replay must know of a task.
fn known(task: &Task) -> (TaskState, u16, u16, u16, usize, usize, bool) {
    let Task {
        state,
        attempt,
        rework,
        violations,
        offences,
        messages,
        stopping,
        ..
    } = task;
    (
        *state,
        *attempt,
        *rework,
        *violations,
        offences.len(),
        messages.len(),
        stopping.is_some(),
    )
}

/// What must hold after every command.
fn check(run: &Run) {
    let count = |state| run.tasks.values().filter(|t| t.state == state).count();
    assert!(count(TaskState::Merging) <= 1, "the merge queue is serial");
    assert!(count(TaskState::Running) <= usize::from(run.workflow().limits.parallel));
    for task in run.tasks.values() {
        let passes = matches!(task.state, TaskState::Approved | TaskState::Merging);
        let executing = run.state == RunState::Active(Phase::Executing);
        assert!(
            !(passes && executing) || task.messages.is_empty(),
            "nothing is merged over a message"
        );
        let most = usize::from(run.workflow().limits.violations);
        if task.state == TaskState::Running && task.offences.len() >= most {
            assert!(
                task.stopping.is_some(),
                "nobody works on after the last violation that is tolerated"
            );
        }
        if task.state == TaskState::Running && task.stopping.is_some() {
            assert!(task.offences.len() >= most, "nobody is stopped before it");
        }
        assert!(task.rework <= run.workflow().limits.rework_rounds, "rework is bounded");
        if task.state == TaskState::Running {
            for need in run.needs(task) {
                assert_eq!(
                    run.tasks[&need].state,
                    TaskState::Done,
                    "nothing runs before what it needs"
                );
            }
        }
    }
    // A run that ends cancels its tasks first, and closes their questions at the end.
    let asked = run.open_decisions().filter(|_| run.state != RunState::Aborting);
    for decision in asked {
        if let About::Task {
            task,
            stuck: Stuck::Violations,
        } = decision.about
        {
            assert_eq!(run.tasks[&task].state, TaskState::Held, "its task waits for the answer");
        }
    }
    if let RunState::Escalated(_) = run.state {
        assert!(
            run.open_decisions().next().is_some(),
            "an escalated run says what a person should decide"
        );
    }
    if run.state.is_finished() {
        assert_eq!(run.open_decisions().count(), 0, "a finished run asks nothing");
        assert!(
            run.tasks.values().all(|t| !t.state.is_active()),
            "a finished run has no work under way"
        );
    }
}
