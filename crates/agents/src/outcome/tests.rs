use super::{
    Ended, Evidence, Exit, Expect, judge, report,
    seen::{By, Denial, End, Reset, Seen, Trouble},
    tree::{TreeFacts, fingerprint, look},
};
use crate::cli::config::Kind;
use maestria_kernel::{
    id::CommitId,
    outcome::{FileChange, Outcome, Verdict},
    time::At,
};
use std::{path::Path, process::Command, time::Duration};

fn evidence<'a>(seen: &'a Seen, ended: &'a Ended) -> Evidence<'a> {
    Evidence {
        kind: Kind::Claude,
        seen,
        stderr: &[],
        last_words: "",
        exit: Some(Exit::code(0)),
        ended,
        tree: None,
        expect: Expect::Change,
        now: At(1_000),
    }
}

fn finished() -> Seen {
    Seen {
        begun: true,
        end: Some(End::Success),
        report: "All done.".to_owned(),
        edits: vec!["/w/a.rs".to_owned()],
        ..Seen::default()
    }
}

fn changed() -> TreeFacts {
    let files = vec![FileChange {
        path: "a.rs".to_owned(),
        added: 3,
        removed: 1,
    }];
    let root = "/w".into();
    TreeFacts { files, root }
}

fn verdict(evidence: &Evidence<'_>) -> Verdict {
    judge(evidence).outcome.verdict
}

fn denial(by: By, outside: bool) -> Denial {
    Denial {
        what: "Write /x".to_owned(),
        path: Some("/x".to_owned()),
        outside,
        by,
        problem: None,
    }
}

#[test]
fn a_success_needs_the_terminal_event_and_the_tree() {
    let (seen, ended) = (finished(), Ended::ByItself);
    let base = evidence(&seen, &ended);
    let (tree, empty) = (changed(), TreeFacts::default());
    assert_eq!(
        verdict(&Evidence {
            tree: Some(&tree),
            ..base
        }),
        Verdict::Completed
    );
    let nothing = judge(&Evidence {
        tree: Some(&empty),
        ..base
    })
    .outcome;
    assert_eq!(nothing.verdict, Verdict::NoChange);
    assert!(nothing.reason.contains("/w/a.rs"), "{}", nothing.reason);
    assert_eq!(
        verdict(&Evidence {
            tree: Some(&empty),
            expect: Expect::Answer,
            ..base
        }),
        Verdict::Completed
    );
    let silent = Seen {
        report: String::new(),
        ..finished()
    };
    let answer = Evidence {
        expect: Expect::Answer,
        tree: Some(&empty),
        ..evidence(&silent, &ended)
    };
    assert_eq!(verdict(&answer), Verdict::Failed);
    let open = Seen {
        end: None,
        ..finished()
    };
    assert_eq!(
        verdict(&Evidence {
            tree: Some(&tree),
            ..evidence(&open, &ended)
        }),
        Verdict::Crashed
    );
}

#[test]
fn claims_are_proved_by_git_or_only_claimed() {
    let seen = Seen {
        edits: vec!["/w/a.rs".to_owned(), "/w/b.rs".to_owned()],
        ..finished()
    };
    let (ended, tree) = (Ended::ByItself, changed());
    let outcome = judge(&Evidence {
        tree: Some(&tree),
        ..evidence(&seen, &ended)
    })
    .outcome;
    let proved: Vec<bool> = outcome.claims.iter().map(|claim| claim.is_proved()).collect();
    assert_eq!(proved, [true, false, false], "{:?}", outcome.claims);
    assert!(outcome.claims[1].text.contains("/w/b.rs"));
}

#[test]
fn what_the_agents_own_rules_denied_is_not_done_but_our_denial_may_be_got_over() {
    let ended = Ended::ByItself;
    let (tree, empty) = (changed(), TreeFacts::default());
    let cases = [
        (By::Agent, false, &tree, Verdict::Denied),
        (By::Agent, true, &tree, Verdict::OutsideWorkspace),
        (By::Host, false, &tree, Verdict::Completed),
        (By::Sandbox, true, &tree, Verdict::Completed),
        (By::Host, false, &empty, Verdict::Denied),
        (By::Sandbox, true, &empty, Verdict::OutsideWorkspace),
    ];
    for (by, outside, tree, wanted) in cases {
        let seen = Seen {
            denials: vec![denial(by, outside)],
            ..finished()
        };
        assert_eq!(
            verdict(&Evidence {
                tree: Some(tree),
                ..evidence(&seen, &ended)
            }),
            wanted,
            "{by:?} {outside}"
        );
    }
}

#[test]
fn why_a_process_is_gone_decides_when_its_final_event_is_missing() {
    let seen = Seen {
        begun: true,
        ..Seen::default()
    };
    let cases = [
        (Ended::Stopped, Verdict::Interrupted),
        (Ended::Idle(Duration::from_secs(1)), Verdict::TimedOut),
        (Ended::Overtime(Duration::from_secs(1)), Verdict::TimedOut),
        (Ended::ByItself, Verdict::Crashed),
        (Ended::NotStarted("no such program".to_owned()), Verdict::NotStarted),
    ];
    for (ended, wanted) in cases {
        assert_eq!(verdict(&evidence(&seen, &ended)), wanted, "{ended:?}");
    }
    let memory = Exit {
        out_of_memory: true,
        signal: Some(9),
        code: None,
    };
    let by_itself = Ended::ByItself;
    assert_eq!(
        verdict(&Evidence {
            exit: Some(memory),
            ..evidence(&seen, &by_itself)
        }),
        Verdict::OutOfMemory
    );
    let term = Exit {
        signal: Some(15),
        ..Exit::default()
    };
    assert_eq!(
        verdict(&Evidence {
            exit: Some(term),
            ..evidence(&seen, &by_itself)
        }),
        Verdict::Interrupted
    );
    let waiting = Seen {
        retrying: Some(Trouble {
            status: Some(429),
            text: "slow down".to_owned(),
        }),
        ..seen
    };
    let idle = Ended::Idle(Duration::from_secs(1));
    assert_eq!(verdict(&evidence(&waiting, &idle)), Verdict::RateLimited);
}

#[test]
fn a_rate_limit_says_when_it_ends() {
    let trouble = Some(Trouble {
        status: Some(429),
        text: "usage limit reached".to_owned(),
    });
    let seen = Seen {
        end: Some(End::Error),
        trouble,
        reset: Some(Reset::After(Duration::from_secs(60))),
        ..Seen::default()
    };
    let ended = Ended::ByItself;
    let outcome = judge(&evidence(&seen, &ended)).outcome;
    assert_eq!(
        (outcome.verdict, outcome.retry_at),
        (Verdict::RateLimited, Some(At(61_000)))
    );
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", folder)
        .envs([
            ("GIT_AUTHOR_NAME", "T"),
            ("GIT_AUTHOR_EMAIL", "t@localhost"),
            ("GIT_COMMITTER_NAME", "T"),
            ("GIT_COMMITTER_EMAIL", "t@localhost"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository() -> (tempfile::TempDir, CommitId) {
    let root = tempfile::tempdir().unwrap();
    git(root.path(), &["init", "-q", "-b", "main"]);
    std::fs::write(root.path().join("old.txt"), "one\n").unwrap();
    git(root.path(), &["add", "."]);
    git(root.path(), &["commit", "-q", "-m", "start"]);
    let base = CommitId::new(git(root.path(), &["rev-parse", "HEAD"]));
    (root, base)
}

#[tokio::test]
async fn the_tree_shows_new_changed_and_committed_files_and_is_committed_once() {
    let (root, base) = repository();
    let trailers = [("Maestria-Task", "t".to_owned())];
    let commit = async |message| {
        let (_, look) = look(root.path(), &base).await.unwrap();
        look.commit_since(message, &trailers).await.unwrap()
    };
    assert_eq!(commit("nothing").await, None);
    let before = fingerprint(root.path()).await.unwrap();
    std::fs::write(root.path().join("new file.txt"), "a\nb\n").unwrap();
    std::fs::write(root.path().join("old.txt"), "two\n").unwrap();
    assert_ne!(fingerprint(root.path()).await.unwrap(), before);
    let (facts, _) = look(root.path(), &base).await.unwrap();
    let files: Vec<_> = facts
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.added, file.removed))
        .collect();
    assert_eq!(files, [("new file.txt", 2, 0), ("old.txt", 1, 1)]);
    assert!(facts.has("old.txt") && facts.has(&root.path().join("new file.txt").display().to_string()));
    let first = commit("work").await.unwrap();
    assert_eq!(commit("again").await, Some(first));
    let words = git(
        root.path(),
        &["log", "-1", "--format=%an %(trailers:key=Maestria-Task,valueonly)"],
    );
    assert_eq!(words, "Maestria t");
    assert_eq!(
        look(root.path(), &base).await.unwrap().0.files.len(),
        2,
        "a commit is still a change"
    );
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(report::read(root.path()), None);
    let outcome = Outcome::bare(Verdict::Completed, "because");
    report::write(&root.path().join("deep"), &outcome).unwrap();
    assert_eq!(report::read(&root.path().join("deep")), Some(outcome));
    std::fs::write(root.path().join(report::NAME), "{ half").unwrap();
    assert_eq!(report::read(root.path()), None);
}
