//! Violations: whose they are, how many, and what follows of too many.

use crate::scene::{Scene, agent, develop, edits, three};
use maestria_kernel::{
    Command, Effect, Event, Run, TaskId,
    agent::Vendor,
    decision::{About, Choice, Stuck},
    outcome::Verdict,
    state::{RunState, TaskState},
    violation::{Kind, Unit, Violation},
};

fn blocked(number: usize) -> Violation {
    Violation::new(
        Kind::Command,
        "delete.recursive_force",
        &format!("rm -rf /{number}"),
        "it deletes",
    )
}

fn violate(scene: &mut Scene, number: u128, violation: Violation) {
    let task = scene.id(number);
    scene.ok(Command::Observe {
        event: Box::new(violation.of(task)),
    });
}

fn stops(scene: &Scene, task: TaskId) -> usize {
    scene.owed.iter().filter(|owed| **owed == Effect::Stop { task }).count()
}

/// A run whose worker has just been stopped.
fn stopped() -> Scene {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[]), (2, &[])]));
    for number in 1..=5 {
        violate(&mut s, 1, blocked(number));
    }
    s
}

#[test]
fn the_run_knows_whose_a_violation_is_and_counts() {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[]), (2, &[])]));
    violate(&mut s, 1, blocked(1));
    violate(&mut s, 2, blocked(1));
    violate(&mut s, 1, blocked(2).over(5, 6, Unit::Seconds));
    let told: Vec<_> = s
        .log
        .iter()
        .filter_map(|event| match event {
            Event::ViolationRecorded {
                task,
                agent,
                attempt,
                count,
                violation,
            } => Some((
                *task,
                agent.clone().unwrap().to_string(),
                *attempt,
                *count,
                violation.excess,
            )),
            _ => None,
        })
        .collect();
    let names: Vec<String> = [1, 2]
        .map(|n| s.run.tasks[&s.id(n)].agent.clone().unwrap().to_string())
        .into();
    assert_eq!(told[0], (s.id(1), names[0].clone(), 1, 1, None));
    assert_eq!(told[1], (s.id(2), names[1].clone(), 1, 1, None));
    assert_eq!((told[2].3, told[2].4.unwrap().measured), (2, 6));
    assert_eq!(s.run.tasks[&s.id(1)].violations, 2);
}

#[test]
fn what_is_shown_of_a_violation_drives_no_terminal_and_is_bounded() {
    let violation = Violation::new(
        Kind::Command,
        "r",
        &format!("a\u{1b}[2J\n\u{202e}{}", "x".repeat(5000)),
        "b",
    );
    assert!(!violation.subject.contains(char::is_control), "{}", violation.subject);
    assert!(violation.subject.starts_with("a\\u{1b}[2J\\n\\u{202e}xx") && violation.subject.ends_with('…'));
    assert!(violation.subject.chars().count() < 1100);
}

#[test]
fn the_fifth_stops_the_worker_once_and_a_person_decides_when_it_has_ended() {
    let mut s = stopped();
    let id = s.id(1);
    assert_eq!(s.state(1), TaskState::Running, "it is on its way out");
    assert_eq!(stops(&s, id), 1);
    violate(&mut s, 1, blocked(6));
    assert_eq!(stops(&s, id), 1, "it is stopped once");
    assert_eq!(s.run.open_decisions().count(), 0, "nobody decides before it has ended");
    s.finish(1, Verdict::Interrupted);
    assert_eq!(
        (s.state(1), s.state(2)),
        (TaskState::Held, TaskState::Running),
        "the other worker goes on"
    );
    let decision = s.run.open_decisions().next().unwrap().clone();
    assert_eq!(
        decision.about,
        About::Task {
            task: id,
            stuck: Stuck::Violations
        }
    );
    let choices: Vec<Choice> = decision.options.iter().map(|o| o.choice).collect();
    assert_eq!(choices, [Choice::Retry, Choice::Skip, Choice::Stop]);
    assert_eq!(
        (decision.recommended, decision.on_expiry),
        (Choice::Retry, Choice::Skip)
    );
    for number in 1..=6 {
        assert!(
            decision.context.contains(&format!("`rm -rf /{number}`")),
            "{}",
            decision.context
        );
    }
}

#[test]
fn even_finished_work_waits_for_a_person_when_its_worker_was_stopped() {
    let mut s = stopped();
    s.finish(1, Verdict::Completed);
    assert_eq!(s.state(1), TaskState::Held);
}

#[test]
fn a_fresh_attempt_starts_without_a_past_and_is_told_what_not_to_do() {
    let mut s = stopped();
    s.finish(1, Verdict::Interrupted);
    s.answer(Choice::Retry);
    let task = &s.run.tasks[&s.id(1)];
    assert_eq!((task.state, task.attempt), (TaskState::Running, 2));
    assert_eq!(
        (task.offences.len(), task.violations, &task.session, &task.stopping),
        (0, 5, &None, &None)
    );
    assert!(
        task.guidance.iter().any(|line| line.contains("rm -rf /3")),
        "{:?}",
        task.guidance
    );
    for number in 1..=5 {
        violate(&mut s, 1, blocked(number));
    }
    s.finish(1, Verdict::Interrupted);
    let again = s.run.open_decisions().next().unwrap();
    assert_eq!(
        again.recommended,
        Choice::Skip,
        "what did not help is not recommended twice"
    );
    s.answer(Choice::Skip);
    assert_eq!(s.state(1), TaskState::Skipped);
}

#[test]
fn a_person_may_end_the_run_for_it() {
    let mut s = stopped();
    s.finish(1, Verdict::Interrupted);
    s.answer(Choice::Stop);
    assert_eq!(s.run.state, RunState::Aborting);
}

#[test]
fn the_limit_is_the_workflows_and_none_is_none() {
    for (limit, stopped) in [(1, true), (2, false), (0, false)] {
        let mut workflow = develop();
        workflow.limits.violations = limit;
        let mut s = Scene::new(vec![agent("claude", Vendor::Claude)], workflow, edits(&[(1, &[])]));
        violate(&mut s, 1, blocked(1));
        assert_eq!(s.run.tasks[&s.id(1)].stopping.is_some(), stopped, "{limit}");
    }
}

#[test]
fn kinds_have_limits_of_their_own() {
    let stopped_by = |limits: &[(Kind, u16)], most: u16, kinds: &[Kind]| {
        let mut workflow = develop();
        workflow.limits.violations = most;
        workflow.limits.violations_of = limits.iter().copied().collect();
        let mut s = Scene::new(vec![agent("claude", Vendor::Claude)], workflow, edits(&[(1, &[])]));
        for kind in kinds {
            violate(&mut s, 1, Violation::new(*kind, "rule", "subject", "because"));
        }
        s.run.tasks[&s.id(1)].stopping.clone()
    };
    let one_host = [(Kind::Network, 1)];
    assert_eq!(stopped_by(&one_host, 5, &[Kind::Command, Kind::Path]), None);
    let because = stopped_by(&one_host, 5, &[Kind::Command, Kind::Network]);
    assert_eq!(
        because.as_deref(),
        Some("1 violations of network; at 1 a worker is stopped")
    );
    assert!(
        stopped_by(&one_host, 0, &[Kind::Network]).is_some(),
        "without a limit of all"
    );
    let no_hosts = [(Kind::Network, 0)];
    assert_eq!(
        stopped_by(&no_hosts, 2, &[Kind::Network, Kind::Network, Kind::Path]),
        None
    );
    assert!(stopped_by(&no_hosts, 2, &[Kind::Network, Kind::Disk, Kind::Path]).is_some());
    let more_than_all = [(Kind::Path, 9)];
    assert!(stopped_by(&more_than_all, 2, &[Kind::Path, Kind::Path]).is_some());
}

/// Whoever is killed between the events begins again from the log: the same is decided from any prefix of it.
#[test]
fn a_run_that_is_read_back_knows_that_its_worker_is_to_be_stopped() {
    let s = stopped();
    let mut again = Run::blank(s.run.id);
    for event in &s.log {
        let text = serde_json::to_string(event).unwrap();
        let read = maestria_kernel::event::read(event.kind(), event.version(), &text).unwrap();
        again.apply(&read, s.now);
    }
    assert!(again.tasks[&s.id(1)].stopping.is_some());
    assert_eq!(again.tasks[&s.id(1)].offences, s.run.tasks[&s.id(1)].offences);
}
