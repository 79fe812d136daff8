//! What a person says to an agent while a run goes on, and after it.

use crate::scene::{Scene, develop, edits, passed, said, three};
use maestria_kernel::{
    Command, Event, Refused,
    message::{BadMessage, Message},
    outcome::Verdict,
    review::ReviewVerdict,
    state::{RunState, TaskState},
};

impl Scene {
    fn tell(&mut self, number: u128, text: &str) {
        let (task, message) = (self.id(number), Box::new(said(text)));
        self.ok(Command::Tell { task, message });
    }

    /// What the newest attempt at a task was told.
    fn heard(&self, number: u128) -> Vec<String> {
        let id = self.id(number);
        let dispatched = self.log.iter().rev().find_map(|event| match event {
            Event::TaskDispatched { task, guidance, .. } if *task == id => Some(guidance.clone()),
            _ => None,
        });
        dispatched.unwrap()
    }
}

fn one() -> Scene {
    Scene::new(three(), develop(), edits(&[(1, &[])]))
}

#[test]
fn a_task_that_waits_begins_with_what_was_said() {
    let mut s = Scene::new(three(), develop(), edits(&[(1, &[]), (2, &["E1"])]));
    s.tell(2, "mind the tests");
    s.tell(2, "and the docs");
    s.smooth(1);
    assert_eq!(
        s.heard(2),
        [
            "A person (ada) says: mind the tests",
            "A person (ada) says: and the docs"
        ]
    );
    s.smooth(2);
    assert_eq!(s.run.tasks[&s.id(2)].attempt, 1, "it was heard before it began");
}

#[test]
fn work_that_comes_in_after_a_word_goes_back_with_it_unreviewed() {
    let mut s = one();
    s.tell(1, "use a map");
    assert_eq!(s.state(1), TaskState::Running, "nobody is interrupted");
    s.finish(1, Verdict::Completed);
    assert_eq!(
        (s.state(1), s.heard(1)),
        (TaskState::Running, vec!["A person (ada) says: use a map".to_owned()])
    );
    assert!(s.run.reviews.is_empty());
    s.smooth(1);
    assert_eq!(s.state(1), TaskState::Done, "what was heard is not said again");
}

#[test]
fn what_is_said_during_a_review_is_done_before_the_merge() {
    let mut s = one();
    s.finish(1, Verdict::Completed);
    s.tell(1, "use a map");
    assert_eq!(s.state(1), TaskState::Reviewing);
    s.review(1, Some(ReviewVerdict::Approve));
    assert_eq!(s.heard(1), ["A person (ada) says: use a map"]);
    assert!(!s.kinds().contains(&"task.merge_started"));
    s.smooth(1);
    s.ok(Command::Validated { checks: passed(true) });
    assert_eq!(s.run.state, RunState::Completed);
}

#[test]
fn a_failed_attempt_passes_the_word_on() {
    let mut s = one();
    s.tell(1, "use a map");
    s.finish(1, Verdict::Crashed);
    assert!(
        s.heard(1).contains(&"A person (ada) says: use a map".to_owned()),
        "{:?}",
        s.heard(1)
    );
}

#[test]
fn who_speaks_to_nobody_is_told_so_and_may_have_it_done_again() {
    let mut s = one();
    s.smooth(1);
    let task = s.id(1);
    let tell = Command::Tell {
        task,
        message: Box::new(said("use a map")),
    };
    assert!(matches!(s.take(&tell), Err(Refused::Deaf { state: "done", .. })));
    s.ok(Command::Validated { checks: passed(true) });
    assert!(matches!(s.take(&tell), Err(Refused::Deaf { .. })));
    s.ok(Command::Rerun {
        from: task,
        message: Some(Box::new(said("use a map"))),
        by: "ada".to_owned(),
    });
    s.ok(Command::Rewound);
    assert_eq!(s.heard(1), ["A person (ada) says: use a map"]);
    s.smooth(1);
    assert_eq!(s.state(1), TaskState::Done);
}

#[test]
fn an_empty_word_changes_nothing() {
    let mut s = one();
    let nothing = Message {
        text: " ".to_owned(),
        ..said("")
    };
    let tell = Command::Tell {
        task: s.id(1),
        message: Box::new(nothing),
    };
    assert_eq!(s.take(&tell), Err(Refused::Message(BadMessage::Empty)));
    assert!(!s.kinds().contains(&"task.told"));
}
