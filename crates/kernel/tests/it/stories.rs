//! Whole runs, decided step by step.

use crate::scene::{Scene, agent, develop, edits, passed, task, three};
use maestria_kernel::{
    At, Command, Cost, Effect, Event, Refused, Usage,
    agent::Vendor,
    decision::{About, Choice, Stuck},
    finding::{Finding, Severity},
    outcome::{Outcome, Verdict},
    permission::{Action, Question},
    plan::TaskKind,
    review::{Opinion, ReviewVerdict, Trigger},
    state::{Phase, RunState, TaskState},
    workflow::Stage,
};

fn two_edits() -> Scene {
    Scene::new(three(), develop(), edits(&[(1, &[]), (2, &[])]))
}

#[test]
fn a_run_goes_from_plan_to_completed() {
    let mut s = Scene::new(three(), develop(), {
        let mut tasks = edits(&[(2, &["E1"]), (3, &["E1"])]);
        tasks.insert(0, task(1, TaskKind::Investigate, &[]));
        tasks
    });
    assert_eq!(s.run.state, RunState::Active(Phase::Executing));
    assert_eq!((s.state(1), s.state(2)), (TaskState::Running, TaskState::Waiting));
    s.finish(1, Verdict::Completed);
    assert_eq!(
        (s.state(1), s.state(2), s.state(3)),
        (TaskState::Done, TaskState::Running, TaskState::Running)
    );
    s.finish(2, Verdict::Completed);
    s.finish(3, Verdict::Completed);
    s.review(2, Some(ReviewVerdict::Approve));
    s.review(3, Some(ReviewVerdict::Approve));
    assert_eq!(
        (s.state(2), s.state(3)),
        (TaskState::Merging, TaskState::Approved),
        "the merge queue is serial"
    );
    s.merge(2);
    s.merge(3);
    assert_eq!(s.run.state, RunState::Active(Phase::Validating));
    assert!(s.owed.contains(&Effect::Validate));
    s.ok(Command::Validated { checks: passed(true) });
    assert_eq!(s.run.state, RunState::Completed);
    assert_eq!(s.run.confidence.unwrap().score.0, 1000);
    assert_eq!(s.owed.last(), Some(&Effect::Summarise));
}

#[test]
fn requested_changes_go_back_to_the_author_and_end_with_a_person() {
    let mut s = two_edits();
    for round in 0..2 {
        s.finish(1, Verdict::Completed);
        s.review(1, Some(ReviewVerdict::RequestChanges));
        let author = &s.run.tasks[&s.id(1)];
        assert_eq!((author.state, author.rework), (TaskState::Running, round + 1));
        assert!(
            author.guidance[0].contains("A reviewer asks for changes"),
            "{:?}",
            author.guidance
        );
    }
    s.finish(1, Verdict::Completed);
    s.review(1, Some(ReviewVerdict::RequestChanges));
    assert_eq!(s.state(1), TaskState::Held);
    assert_eq!(
        s.run.state,
        RunState::Active(Phase::Executing),
        "the other branch goes on"
    );
    s.smooth(2);
    assert_eq!(s.run.state, RunState::Escalated(Phase::Executing));
    s.answer(Choice::Accept);
    assert_eq!(s.state(1), TaskState::Merging);
}

#[test]
fn an_unsure_reviewer_is_followed_by_another_then_by_a_person() {
    let mut s = two_edits();
    s.finish(1, Verdict::Completed);
    let first = s.run.review(s.awaited(1)).unwrap().reviewer.clone();
    s.review(1, Some(ReviewVerdict::Unsure));
    let second = s.run.review(s.awaited(1)).unwrap().reviewer.clone();
    assert_ne!(first, second);
    s.review(1, None);
    assert_eq!(s.state(1), TaskState::Held);
}

#[test]
fn failed_attempts_back_off_then_another_agent_then_a_person() {
    let mut s = Scene::new(
        vec![agent("claude", Vendor::Claude), agent("codex", Vendor::Codex)],
        develop(),
        edits(&[(1, &[])]),
    );
    let mut agents = Vec::new();
    let mut guard = 0;
    while s.state(1) != TaskState::Held {
        guard += 1;
        assert!(guard < 50, "this must end");
        match s.state(1) {
            TaskState::Running => {
                agents.push(s.run.tasks[&s.id(1)].agent.clone().unwrap().to_string());
                s.finish(1, Verdict::Crashed);
            }
            TaskState::Parked => {
                s.now = s.run.tasks[&s.id(1)].parked_until.unwrap();
                s.ok(Command::Wake);
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(agents, ["claude", "claude", "claude", "codex", "codex", "codex"]);
    assert_eq!(s.run.state, RunState::Escalated(Phase::Executing));
    s.answer(Choice::Skip);
    assert_eq!(s.run.state, RunState::Failed, "nothing could be done");
    s.ok(Command::Retry { by: "ada".to_owned() });
    assert_eq!(s.state(1), TaskState::Running);
}

#[test]
fn who_is_not_logged_in_is_benched_and_the_tier_goes_down() {
    let mut s = two_edits();
    let before = s.run.tasks[&s.id(1)].agent.clone();
    s.finish(1, Verdict::NotLoggedIn);
    let kinds = s.kinds();
    assert!(kinds.contains(&"agent.benched") && kinds.iter().filter(|k| **k == "tier.chosen").count() == 2);
    assert_eq!(s.state(1), TaskState::Running);
    assert_ne!(s.run.tasks[&s.id(1)].agent, before, "another agent takes over");
}

#[test]
fn a_rate_limit_parks_until_the_reset_when_nobody_else_is_there() {
    let mut s = Scene::new(vec![agent("claude", Vendor::Claude)], develop(), edits(&[(1, &[])]));
    let id = s.id(1);
    let mut outcome = Outcome::bare(Verdict::RateLimited, "429");
    outcome.retry_at = Some(At(99_000));
    s.ok(Command::Finish {
        task: id,
        attempt: 1,
        outcome: Box::new(outcome),
    });
    assert_eq!(s.state(1), TaskState::Parked);
    assert!(s.owed.contains(&Effect::Wake { at: At(99_000) }));
    s.ok(Command::Wake);
    assert_eq!(s.state(1), TaskState::Parked, "the reset has not come");
    s.now = At(99_000);
    s.ok(Command::Wake);
    assert_eq!(s.state(1), TaskState::Running);
}

#[test]
fn conflicts_and_failing_checks_go_back_to_the_author() {
    let mut s = two_edits();
    s.finish(1, Verdict::Completed);
    s.review(1, Some(ReviewVerdict::Approve));
    s.bounce(1, &["src/a.rs"]);
    assert!(s.run.tasks[&s.id(1)].guidance[0].contains("src/a.rs"));
    s.finish(1, Verdict::Completed);
    s.review(1, Some(ReviewVerdict::Approve));
    s.bounce(1, &[]);
    assert!(s.run.tasks[&s.id(1)].guidance[0].contains("make test"));
    s.finish(1, Verdict::Completed);
    s.review(1, Some(ReviewVerdict::Approve));
    s.bounce(1, &[]);
    assert_eq!(s.state(1), TaskState::Held);
    let decision = s.run.open_decisions().next().unwrap();
    assert!(matches!(
        decision.about,
        About::Task {
            stuck: Stuck::Checks,
            ..
        }
    ));
}

#[test]
fn pausing_freezes_and_resuming_thaws() {
    let mut s = two_edits();
    s.ok(Command::Pause { by: "ada".to_owned() });
    let frozen = s.owed.iter().filter(|e| matches!(e, Effect::Freeze { .. })).count();
    assert_eq!(frozen, 2);
    s.finish(1, Verdict::Completed);
    assert_eq!(
        s.run.state,
        RunState::Paused(Phase::Executing),
        "results are taken, but nothing new begins"
    );
    assert!(matches!(
        s.take(&Command::Pause { by: "ada".to_owned() }),
        Err(Refused::State { .. })
    ));
    s.ok(Command::Resume { by: "ada".to_owned() });
    assert!(s.owed.iter().any(|e| matches!(e, Effect::Thaw { .. })));
    assert_eq!(s.run.state, RunState::Active(Phase::Executing));
}

#[test]
fn an_interrupted_attempt_goes_on_after_the_pause_and_is_nobodys_failure() {
    let mut s = two_edits();
    s.ok(Command::Pause {
        by: "terminal".to_owned(),
    });
    s.finish(1, Verdict::Interrupted);
    let t = &s.run.tasks[&s.id(1)];
    assert_eq!((t.state, t.failures), (TaskState::Ready, 0));
    s.ok(Command::Resume { by: "ada".to_owned() });
    assert_eq!((s.state(1), s.run.tasks[&s.id(1)].attempt), (TaskState::Running, 2));
}

#[test]
fn an_aborted_run_ends_with_its_last_worker() {
    let mut s = two_edits();
    s.ok(Command::Abort {
        by: "ada".to_owned(),
        because: "changed my mind".to_owned(),
    });
    assert_eq!(s.run.state, RunState::Aborting);
    assert_eq!(s.owed.iter().filter(|e| matches!(e, Effect::Stop { .. })).count(), 2);
    s.finish(1, Verdict::Interrupted);
    assert_eq!(s.run.state, RunState::Aborting, "one is still alive");
    s.finish(2, Verdict::Interrupted);
    assert_eq!(s.run.state, RunState::Aborted);
}

#[test]
fn failed_checks_are_mended_once_then_a_person_decides() {
    let mut s = two_edits();
    s.smooth(1);
    s.smooth(2);
    s.ok(Command::Validated { checks: passed(false) });
    assert_eq!(s.run.state, RunState::Active(Phase::Executing));
    let fix = s.run.ordered().last().unwrap().plan.id;
    s.ok(Command::Finish {
        task: fix,
        attempt: 1,
        outcome: Box::new(Outcome::bare(Verdict::Completed, "mended")),
    });
    let review = s.run.reviews.last().unwrap().id;
    let opinion = maestria_kernel::review::Opinion {
        verdict: Some(ReviewVerdict::Approve),
        text: String::new(),
        findings: Vec::new(),
    };
    s.ok(Command::Reviewed { review, opinion });
    s.ok(Command::Merged {
        task: fix,
        commit: None,
        checks: passed(true),
    });
    assert_eq!(s.run.state, RunState::Active(Phase::Validating));
    s.ok(Command::Validated { checks: passed(false) });
    assert_eq!(s.run.state, RunState::Escalated(Phase::Validating));
    s.answer(Choice::Accept);
    assert_eq!(s.run.state, RunState::Completed);
}

#[test]
fn low_confidence_asks_and_expiry_takes_nothing() {
    let mut workflow = develop();
    workflow.stages.retain(|stage| *stage != Stage::Review);
    let mut s = Scene::new(three(), workflow, edits(&[(1, &[])]));
    s.finish(1, Verdict::Completed);
    s.merge(1);
    s.ok(Command::Validated {
        checks: maestria_kernel::finding::Validation::none(),
    });
    assert_eq!(s.run.state, RunState::Escalated(Phase::Validating));
    s.now = s.run.open_decisions().next().unwrap().expires_at;
    s.ok(Command::Wake);
    assert_eq!(s.run.state, RunState::Aborted, "nobody answered: nothing is taken");
}

fn call(cost: i64) -> Command {
    let usage = Usage {
        cost: Cost(cost),
        ..Usage::default()
    };
    let event = Event::ModelCalled {
        task: None,
        model: "m".to_owned(),
        usage,
        millis: 0,
        scripted: false,
        request: None,
    };
    Command::Observe { event: Box::new(event) }
}

#[test]
fn a_spent_budget_freezes_and_asks() {
    let mut s = two_edits();
    s.run.budget = Some(Cost(1_000_000));
    s.ok(call(900_000));
    assert_eq!(s.run.state, RunState::Active(Phase::Executing));
    s.ok(call(200_000));
    assert_eq!(s.run.state, RunState::Escalated(Phase::Executing));
    assert_eq!(s.owed.iter().filter(|e| matches!(e, Effect::Freeze { .. })).count(), 2);
    s.answer(Choice::Stop);
    assert_eq!(s.run.state, RunState::Aborting);
}

#[test]
fn without_money_no_other_answer_lets_the_run_go_on() {
    let mut s = two_edits();
    s.run.budget = Some(Cost(1_000_000));
    while s.state(1) != TaskState::Held {
        s.fail_later(1, Verdict::Crashed);
    }
    let decision = s.run.open_decisions().next().unwrap().id;
    s.ok(call(2_000_000));
    let dispatched = |s: &Scene| s.run.tasks.values().map(|t| t.attempt).sum::<u16>();
    let before = dispatched(&s);
    s.ok(Command::Answer {
        decision,
        choice: Some(Choice::Retry),
        approve: true,
        by: "ada".to_owned(),
        because: String::new(),
    });
    assert_eq!(s.run.state, RunState::Escalated(Phase::Executing));
    assert_eq!(dispatched(&s), before, "nothing is started without money");
    s.answer(Choice::Raise);
    assert_eq!(s.run.state, RunState::Active(Phase::Executing));
    assert!(dispatched(&s) > before, "it goes on once there is money");
}

fn advised(verdict: Option<ReviewVerdict>) -> Opinion {
    Opinion {
        verdict,
        text: "look at main.rs".to_owned(),
        findings: Vec::new(),
    }
}

#[test]
fn a_stuck_task_gets_a_colleagues_advice_before_a_person_is_asked() {
    let mut s = two_edits();
    let until_advice = |s: &mut Scene| {
        while s.state(1) != TaskState::Reviewing {
            s.fail_later(1, Verdict::NoChange);
        }
        let review = s.run.reviews.last().unwrap().clone();
        assert_eq!(review.trigger, Trigger::Blocker);
        assert_ne!(Some(&review.reviewer), s.run.tasks[&s.id(1)].agent.as_ref());
        review.id
    };
    for round in 1..=develop().limits.rework_rounds {
        let review = until_advice(&mut s);
        assert_eq!(s.run.open_decisions().count(), 0, "nobody was asked yet");
        let opinion = advised(Some(ReviewVerdict::RequestChanges));
        s.ok(Command::Reviewed { review, opinion });
        let task = &s.run.tasks[&s.id(1)];
        assert_eq!((task.state, task.rework), (TaskState::Running, round));
        assert!(
            task.guidance.iter().any(|g| g.contains("main.rs")),
            "{:?}",
            task.guidance
        );
    }
    while s.state(1) != TaskState::Held {
        s.fail_later(1, Verdict::NoChange);
    }
    assert_eq!(s.run.open_decisions().count(), 1, "rounds are bounded");
}

#[test]
fn a_colleague_without_advice_leaves_it_to_a_person() {
    let mut s = two_edits();
    while s.state(1) != TaskState::Reviewing {
        s.fail_later(1, Verdict::Failed);
    }
    let review = s.run.reviews.last().unwrap().id;
    let opinion = advised(Some(ReviewVerdict::Unsure));
    s.ok(Command::Reviewed { review, opinion });
    assert_eq!(s.state(1), TaskState::Held);
    let decision = s.run.open_decisions().next().unwrap();
    assert!(decision.context.contains("look at main.rs"), "{}", decision.context);
}

#[test]
fn what_was_found_while_a_task_ran_long_is_told_to_the_next_attempt() {
    let mut s = two_edits();
    s.now = s
        .now
        .after(std::time::Duration::from_secs(develop().limits.review_after_secs));
    s.ok(Command::Wake);
    let review = s.run.reviews.iter().find(|r| r.task == Some(s.id(1))).unwrap().clone();
    assert_eq!(review.trigger, Trigger::Elapsed);
    let opinion = advised(Some(ReviewVerdict::RequestChanges));
    s.ok(Command::Reviewed {
        review: review.id,
        opinion,
    });
    s.finish(1, Verdict::NoChange);
    let guidance = &s.run.tasks[&s.id(1)].guidance;
    assert!(guidance.iter().any(|g| g.contains("main.rs")), "{guidance:?}");
}

#[test]
fn money_spent_while_the_run_stands_still_is_asked_for_too() {
    let mut s = two_edits();
    s.run.budget = Some(Cost(1_000_000));
    s.ok(Command::Pause { by: "ada".to_owned() });
    s.ok(call(2_000_000));
    s.ok(call(1));
    assert_eq!(s.run.open_decisions().count(), 1, "asked once");
    s.ok(Command::Resume { by: "ada".to_owned() });
    assert_eq!(s.run.state, RunState::Escalated(Phase::Executing));
}

#[test]
fn a_worker_asks_once_and_hears_the_answer() {
    let mut s = two_edits();
    let question = Question::new(
        "Bash".to_owned(),
        Action::Run {
            command: "git push".to_owned(),
        },
    );
    let ask = Command::Ask {
        task: s.id(1),
        question: Box::new(question),
        because: "rule".to_owned(),
    };
    s.ok(ask.clone());
    s.ok(ask);
    assert_eq!(s.run.open_decisions().count(), 1);
    assert_eq!(s.run.state, RunState::Active(Phase::Executing), "others go on");
    s.answer(Choice::Refuse);
    assert!(matches!(s.owed.last(), Some(Effect::Tell { .. })));
    let decision = s.run.decisions[0].id;
    let again = Command::Answer {
        decision,
        choice: None,
        approve: true,
        by: "bob".to_owned(),
        because: String::new(),
    };
    assert!(matches!(s.take(&again), Err(Refused::Answered { .. })));
}

#[test]
fn late_and_doubled_reports_are_refused() {
    let mut s = two_edits();
    s.finish(1, Verdict::Completed);
    let outcome = Box::new(Outcome::bare(Verdict::Completed, ""));
    let late = Command::Finish {
        task: s.id(1),
        attempt: 1,
        outcome,
    };
    assert_eq!(
        s.take(&late),
        Err(Refused::Stale {
            task: s.id(1),
            attempt: 1
        })
    );
    let review = s.awaited(1);
    s.review(1, Some(ReviewVerdict::Approve));
    let opinion = maestria_kernel::review::Opinion {
        verdict: None,
        text: String::new(),
        findings: Vec::new(),
    };
    assert_eq!(
        s.take(&Command::Reviewed { review, opinion }),
        Err(Refused::NoReview(review))
    );
}

#[test]
fn rerunning_a_task_redoes_what_needs_it_and_keeps_the_rest() {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[]), (2, &["E1"]), (3, &[])]));
    s.smooth(1);
    s.smooth(3);
    s.smooth(2);
    s.ok(Command::Validated { checks: passed(true) });
    s.ok(Command::Rerun {
        from: s.id(1),
        message: None,
        by: "ada".to_owned(),
    });
    assert_eq!(s.owed.last(), Some(&Effect::Rewind));
    assert_eq!(
        (s.state(1), s.state(2), s.state(3)),
        (TaskState::Waiting, TaskState::Waiting, TaskState::Done)
    );
    s.ok(Command::Rewound);
    assert_eq!((s.state(1), s.state(2)), (TaskState::Running, TaskState::Waiting));
}

#[test]
fn the_plan_workflow_stops_after_the_plan() {
    let mut workflow = develop();
    workflow.stages = vec![Stage::Plan];
    let s = Scene::new(three(), workflow, edits(&[(1, &[])]));
    assert_eq!(s.run.state, RunState::Completed);
    assert!(!s.kinds().contains(&"task.dispatched"));
}

#[test]
fn a_task_that_runs_long_is_reviewed_meanwhile() {
    let mut s = two_edits();
    s.now = s.run.review_due(s.id(1));
    s.ok(Command::Wake);
    let review = s.run.review(s.awaited(1)).unwrap();
    assert_eq!(review.trigger, maestria_kernel::review::Trigger::Elapsed);
    assert_eq!(s.state(1), TaskState::Running);
}

/// Writes the kept log that `events.rs` reads, when asked to (`KEEP_EVENTS=1`), and checks that this version's events
/// survive a round trip.
#[test]
fn events_survive_their_wire_form() {
    let mut s = two_edits();
    s.finish(1, Verdict::Completed);
    s.review(1, Some(ReviewVerdict::RequestChanges));
    s.smooth(1);
    s.finish(2, Verdict::Crashed);
    s.smooth(2);
    s.ok(Command::Validated { checks: passed(true) });
    let mut lines = String::new();
    for event in &s.log {
        let text = serde_json::to_string(event).unwrap();
        let back = maestria_kernel::event::read(event.kind(), event.version(), &text).unwrap();
        assert_eq!(&back, event);
        lines.push_str(&text);
        lines.push('\n');
    }
    if std::env::var_os("KEEP_EVENTS").is_some() {
        let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/events/v1.jsonl");
        std::fs::write(path, lines).unwrap();
    }
}

#[test]
fn a_secret_in_a_change_sends_it_back_like_a_failed_check() {
    let mut s = two_edits();
    s.finish(1, Verdict::Completed);
    let review = s.awaited(1);
    let opinion = advised(Some(ReviewVerdict::Approve));
    s.ok(Command::Reviewed { review, opinion });
    let mut checks = passed(true);
    checks.findings.push(Finding {
        severity: Severity::Blocking,
        file: Some("a.env".to_owned()),
        line: Some(3),
        message: "a token".to_owned(),
    });
    assert!(checks.failed());
    s.ok(Command::Bounced {
        task: s.id(1),
        conflicts: Vec::new(),
        checks,
    });
    let task = &s.run.tasks[&s.id(1)];
    assert_eq!(task.rework, 1);
    assert!(
        task.guidance.iter().any(|g| g.contains("a.env:3: a token")),
        "{:?}",
        task.guidance
    );
}

#[test]
fn what_needs_a_persons_consent_is_asked_and_not_sent_back() {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[])]));
    s.finish(1, Verdict::Completed);
    let review = s.awaited(1);
    let opinion = advised(Some(ReviewVerdict::Approve));
    s.ok(Command::Reviewed { review, opinion });
    let mut checks = passed(true);
    checks.findings.push(Finding {
        severity: Severity::Confirm,
        file: Some(".github/workflows/ci.yml".to_owned()),
        line: None,
        message: "a build server runs this".to_owned(),
    });
    assert!(!checks.failed() && checks.to_confirm().is_some());
    s.ok(Command::Bounced {
        task: s.id(1),
        conflicts: Vec::new(),
        checks,
    });
    assert_eq!(s.run.tasks[&s.id(1)].rework, 0);
    let asked = s.run.open_decisions().next().unwrap();
    let stuck = Stuck::Consent;
    assert_eq!(asked.about, About::Task { task: s.id(1), stuck });
    assert!(asked.context.contains("ci.yml"), "{}", asked.context);
    assert_ne!(asked.on_expiry, Choice::Accept, "nobody's silence agrees");
    s.answer(Choice::Accept);
    assert_eq!(s.state(1), TaskState::Merging);
}
