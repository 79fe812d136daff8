//! The wire form of events: kinds, versions, and kept logs of every version.

use maestria_kernel::{
    At, DecisionId, Event, TaskId,
    decision::{About, Choice, Decision, options},
    event,
    permission::{Action, Permission, Question, Ruling},
    violation::Kind,
};
use std::{collections::BTreeSet, path::PathBuf};

#[test]
fn kinds_are_nouns_and_past_participles_and_unique() {
    let kinds: BTreeSet<&str> = Event::KINDS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), Event::KINDS.len());
    for kind in kinds {
        let (noun, verb) = kind.split_once('.').expect("noun.verbed");
        assert!(
            !noun.is_empty()
                && !verb.is_empty()
                && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_')
        );
    }
}

/// `tests/events/v1.jsonl` is a log as version 1 wrote it; it must stay readable for ever.
#[test]
fn kept_logs_stay_readable() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/events/v1.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = value["kind"].as_str().unwrap();
        let read = event::read(kind, 1, line).unwrap_or_else(|e| panic!("{e}\n{line}"));
        assert_eq!(read.kind(), kind);
        seen += 1;
    }
    assert!(seen > 20, "the kept log tells a whole run");
}

#[test]
fn events_of_a_newer_maestria_are_named_not_guessed() {
    for (kind, version) in [("run.teleported", 1), ("run.submitted", 9)] {
        let error = event::read(kind, version, "{}").unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains("upgrade"), "{error}");
    }
    assert!(
        event::read("run.ready", 1, "{")
            .unwrap_err()
            .to_string()
            .contains("run.ready")
    );
}

/// Version 1 told a violation in one sentence, and knew of one kind.
#[test]
fn a_violation_of_version_1_is_one_of_memory() {
    let body = r#"{"kind":"violation.recorded","task":"task_00000000000000000000000000000007","violation":"it used more memory than its limit, and the kernel ended it"}"#;
    let read = event::read("violation.recorded", 1, body).unwrap();
    let Event::ViolationRecorded {
        violation,
        count,
        agent,
        ..
    } = &read
    else {
        panic!("{read:?}")
    };
    assert_eq!((violation.kind, *count, agent), (Kind::Memory, 0, &None));
    assert_eq!(
        violation.because,
        "it used more memory than its limit, and the kernel ended it"
    );
    read_back(&read);
    let error = event::read("violation.recorded", 2, body).unwrap_err().to_string();
    assert!(
        error.contains("violation.recorded"),
        "a sentence is no violation of version 2: {error}"
    );
}

/// Names that stand beside each other on the wire must differ: what is written twice cannot be read again.
#[test]
fn whatever_a_worker_wants_is_read_back_as_it_was_written() {
    let wants = [
        Action::Read {
            paths: vec!["a".to_owned()],
        },
        Action::Write {
            paths: vec!["a".to_owned()],
        },
        Action::Run {
            command: "make".to_owned(),
        },
        Action::Fetch {
            url: "https://a.example".to_owned(),
        },
        Action::Other {
            tool: "Skill".to_owned(),
        },
    ];
    let task: TaskId = format!("task_{:032x}", 7).parse().unwrap();
    for action in wants {
        let question = Box::new(Question {
            tool: "the tool's own name".to_owned(),
            action: action.clone(),
        });
        read_back(&Event::PermissionRuled {
            task,
            question: question.clone(),
            permission: Box::new(Permission {
                ruling: Ruling::Rewrite { action },
                rule: "tool.unknown".to_owned(),
                because: "nobody knows it".to_owned(),
            }),
        });
        read_back(&Event::DecisionRequested {
            decision: Box::new(asked(About::Permission { task, question })),
        });
    }
}

fn asked(about: About) -> Decision {
    let id: DecisionId = format!("dec_{:032x}", 9).parse().unwrap();
    Decision {
        id,
        options: options(&about),
        about,
        question: "May it?".to_owned(),
        context: "It asks.".to_owned(),
        recommended: Choice::Refuse,
        expires_at: At(1),
        on_expiry: Choice::Refuse,
        answer: None,
    }
}

fn read_back(event: &Event) {
    let text = serde_json::to_string(event).unwrap();
    let read = event::read(event.kind(), event.version(), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(&read, event, "{text}");
}
