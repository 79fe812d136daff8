//! Leave that a person gives: for one question, bound to its folder and environment, for one time, for a while.

use crate::scene::{Scene, develop, edits, three};
use maestria_kernel::{
    Command, DecisionId, Effect, Event, Refused,
    decision::Choice,
    outcome::Verdict,
    permission::{Action, Bound, Lasting, Question},
};
use std::time::Duration;

fn question(command: &str, cwd: &str, sha256: &str) -> Question {
    let action = Action::Run {
        command: command.to_owned(),
    };
    let bound = Bound {
        cwd: cwd.to_owned(),
        sha256: sha256.to_owned(),
    };
    Question {
        bound: Some(bound),
        ..Question::new("Bash".to_owned(), action)
    }
}

fn ask(scene: &mut Scene, question: &Question) {
    let task = scene.id(1);
    scene.ok(Command::Ask {
        task,
        question: Box::new(question.clone()),
        because: "rule".to_owned(),
    });
}

/// A worker that has asked, and the decision.
fn asked(question: &Question) -> (Scene, DecisionId) {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[])]));
    ask(&mut s, question);
    let decision = s.run.open_decisions().next().unwrap().id;
    (s, decision)
}

#[test]
fn leave_is_used_once_and_told_with_what_it_is_bound_to() {
    let push = question("git push", "/w", "aa");
    let (mut s, decision) = asked(&push);
    assert_eq!(
        s.take(&Command::Use { decision }),
        Err(Refused::NoLeave(decision)),
        "nobody has answered"
    );
    s.answer(Choice::Accept);
    assert_eq!(s.run.answered(s.id(1), &push).map(|d| d.id), Some(decision));
    s.ok(Command::Use { decision });
    let used = Event::ApprovalUsed {
        task: s.id(1),
        decision,
        bound: push.bound.clone(),
    };
    assert_eq!(s.log.last(), Some(&used));
    assert_eq!(
        s.take(&Command::Use { decision }),
        Err(Refused::NoLeave(decision)),
        "twice"
    );
    ask(&mut s, &push);
    assert_eq!(s.run.open_decisions().count(), 1, "the next time is another question");
}

#[test]
fn another_command_folder_or_environment_is_another_question() {
    let (mut s, _) = asked(&question("git push", "/w", "aa"));
    s.answer(Choice::Accept);
    for (number, other) in [
        question("git push --force", "/w", "aa"),
        question("git push", "/elsewhere", "aa"),
        question("git push", "/w", "bb"),
        Question::new(
            "Bash".to_owned(),
            Action::Run {
                command: "git push".to_owned(),
            },
        ),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(s.run.answered(s.id(1), other), None);
        ask(&mut s, other);
        assert_eq!(s.run.open_decisions().count(), number + 1, "{other:?}");
    }
}

#[test]
fn leave_that_is_not_used_expires() {
    let push = question("git push", "/w", "aa");
    for (wait, good) in [(3599, true), (3600, false)] {
        let (mut s, decision) = asked(&push);
        s.answer(Choice::Accept);
        let given = s.now;
        s.now = given.after(Duration::from_secs(wait));
        // The scene's clock goes on by one with each command.
        s.now.0 -= 1;
        assert_eq!(s.take(&Command::Use { decision }).is_ok(), good, "{wait}");
    }
}

#[test]
fn a_refusal_holds_for_the_worker_and_no_longer() {
    let push = question("git push", "/w", "aa");
    let (mut s, decision) = asked(&push);
    s.answer(Choice::Refuse);
    assert_eq!(s.take(&Command::Use { decision }), Err(Refused::NoLeave(decision)));
    ask(&mut s, &push);
    assert_eq!(
        s.run.open_decisions().count(),
        0,
        "a person is not asked again and again"
    );
    s.fail_later(1, Verdict::Crashed);
    assert_eq!(s.run.tasks[&s.id(1)].attempt, 2);
    ask(&mut s, &push);
    assert_eq!(s.run.open_decisions().count(), 1, "another worker, another question");
}

#[test]
fn leave_is_for_the_worker_that_asked() {
    let push = question("git push", "/w", "aa");
    let (mut s, _) = asked(&push);
    s.answer(Choice::Accept);
    s.fail_later(1, Verdict::Crashed);
    assert_eq!(s.run.answered(s.id(1), &push), None, "an attempt later it is none");
}

#[test]
fn always_is_offered_with_its_rule_and_owes_the_writing_of_it() {
    let mut push = question("git push", "/w", "aa");
    push.lasting = Some(Lasting {
        file: "/home/ada/policy.toml".to_owned(),
        id: "always.1".to_owned(),
        rule: "[[allow]]\nid = \"always.1\"\n".to_owned(),
    });
    let (mut s, decision) = asked(&push);
    let known = s.run.decision(decision).unwrap();
    let choices: Vec<Choice> = known.options.iter().map(|o| o.choice).collect();
    assert_eq!(choices, [Choice::Accept, Choice::Always, Choice::Refuse]);
    assert_eq!((known.approval(), known.denial()), (Choice::Accept, Choice::Refuse));
    assert!(known.context.contains("/home/ada/policy.toml") && known.context.contains("id = \"always.1\""));
    s.answer(Choice::Always);
    assert!(
        s.owed
            .ends_with(&[Effect::Tell { decision }, Effect::Keep { decision }]),
        "{:?}",
        s.owed
    );
    for _ in 0..2 {
        s.ok(Command::Use { decision });
    }
    s.ok(Command::Kept { decision, failed: None });
    let kept = Event::RuleKept {
        decision,
        file: "/home/ada/policy.toml".to_owned(),
        rule: "always.1".to_owned(),
    };
    assert_eq!(s.log.last(), Some(&kept));
    let (mut s, decision) = asked(&question("git push", "/w", "aa"));
    let none = Command::Answer {
        decision,
        choice: Some(Choice::Always),
        approve: true,
        by: "ada".to_owned(),
        because: String::new(),
    };
    assert!(
        matches!(s.take(&none), Err(Refused::NoChoice { .. })),
        "where no rule is offered"
    );
}
