use super::{
    Place, Repair, Sign,
    directory::{Bounds, Grant, grant},
    find, problems,
};
use crate::cli::config::Kind;
use maestria_kernel::outcome::Verdict;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn the_table_can_be_read_and_names_only_known_agents() {
    assert!(problems().len() > 25);
    for problem in problems() {
        for cli in &problem.cli {
            assert!(Kind::named(cli).is_some(), "{}: {cli}", problem.id);
        }
        let somehow = problem.pattern.is_some() || !problem.status.is_empty() || !problem.exit.is_empty();
        assert!(somehow, "{} fits everything", problem.id);
        assert_ne!(problem.verdict, Verdict::Completed, "{}", problem.id);
    }
}

#[test]
fn no_repair_switches_an_agents_checks_off() {
    let text = include_str!("../../../../policies/recovery.toml").to_lowercase();
    let repairs: Vec<&str> = text.lines().filter(|line| line.starts_with("repair")).collect();
    assert!(!repairs.is_empty());
    for word in ["bypass", "yolo", "danger", "full-access", "full_access"] {
        assert!(repairs.iter().all(|line| !line.contains(word)), "{word}");
    }
}

#[test]
fn problems_are_recognised_where_they_show() {
    let cases = [
        (
            "codex",
            Place::Stderr,
            "Not inside a trusted directory and --skip-git-repo-check was not specified.",
            None,
            Verdict::Untrusted,
            Repair::Trust,
        ),
        (
            "codex",
            Place::Stderr,
            "ERROR codex_core::tools::router: error=patch rejected: writing outside of the project; rejected by user approval settings",
            None,
            Verdict::OutsideWorkspace,
            Repair::AddDirectory,
        ),
        (
            "codex",
            Place::Stderr,
            "ERROR error=patch rejected: blocked by read-only sandbox",
            None,
            Verdict::Denied,
            Repair::None,
        ),
        (
            "codex",
            Place::Error,
            "no rollout found for thread id 0",
            None,
            Verdict::SessionLost,
            Repair::NewSession,
        ),
        (
            "codex",
            Place::Error,
            "Quota exceeded. Check your plan and billing details.",
            None,
            Verdict::RateLimited,
            Repair::Wait,
        ),
        (
            "codex",
            Place::Error,
            "Missing environment variable: `OPENAI_API_KEY`.",
            None,
            Verdict::NotLoggedIn,
            Repair::LogIn,
        ),
        (
            "claude",
            Place::Error,
            "No conversation found with session ID: x",
            None,
            Verdict::SessionLost,
            Repair::NewSession,
        ),
        (
            "claude",
            Place::Error,
            "prompt_too_long: Prompt is too long",
            None,
            Verdict::ContextTooLong,
            Repair::NewSession,
        ),
        (
            "claude",
            Place::Stderr,
            "--dangerously-skip-permissions cannot be used with root/sudo privileges",
            None,
            Verdict::NotStarted,
            Repair::None,
        ),
        ("gemini", Place::Exit, "", Some(55), Verdict::Untrusted, Repair::Trust),
        (
            "gemini",
            Place::Exit,
            "",
            Some(42),
            Verdict::SessionLost,
            Repair::NewSession,
        ),
        (
            "gemini",
            Place::Tool,
            "File path '/x' must be within one of the workspace directories: /a",
            None,
            Verdict::OutsideWorkspace,
            Repair::AddDirectory,
        ),
        (
            "gemini",
            Place::Stderr,
            "Attempt 2 failed with status 429. Retrying with backoff...",
            None,
            Verdict::RateLimited,
            Repair::Wait,
        ),
        (
            "codex",
            Place::Stderr,
            "error: unexpected argument '--full-auto' found",
            None,
            Verdict::NotStarted,
            Repair::None,
        ),
    ];
    for (cli, place, text, exit, verdict, repair) in cases {
        let status = None;
        let found = find(Sign {
            cli,
            place,
            text,
            status,
            exit,
        })
        .unwrap_or_else(|| panic!("{cli}: {text}"));
        assert_eq!(
            (found.problem.verdict, found.problem.repair),
            (verdict, repair),
            "{cli}: {text} ({})",
            found.problem.id
        );
    }
    let once = Sign {
        cli: "gemini",
        place: Place::Stderr,
        text: "Attempt 1 failed with status 429. Retrying with backoff...",
        status: None,
        exit: None,
    };
    assert!(find(once).is_none(), "the first attempt is no sign yet");
}

#[test]
fn exactly_one_directory_is_added_and_the_dangerous_ones_never() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let folder = root.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    };
    let (person, target, worktree) = (
        folder("person"),
        folder("person/code/app"),
        folder("session/worktrees/a"),
    );
    let (allowed, other, shared) = (folder("allowed"), folder("other"), folder("shared"));
    folder("person/.ssh");
    folder("allowed/deep");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let allow_dirs = [allowed.clone()];
    let bounds = Bounds {
        person: Some(&person),
        target: &target,
        worktree: &worktree,
        allow_dirs: &allow_dirs,
    };
    let of = |path: &Path| grant(&path.display().to_string(), &bounds);
    assert_eq!(of(&allowed.join("deep/new.txt")), Grant::Add(allowed.join("deep")));
    assert_eq!(of(&allowed), Grant::Add(allowed.clone()));
    assert_eq!(of(&other.join("new.txt")), Grant::Ask(other.clone()));
    let never = [
        "/".into(),
        person.clone(),
        person.join(".ssh/id"),
        target.clone(),
        target.join("src"),
        person.join("code"),
        worktree.parent().unwrap().to_owned(),
        "/etc/hosts".into(),
        "/usr/local/x".into(),
        shared,
        other.join("missing/deep/x"),
        "/home/nobody-we-know/x".into(),
        root.path().to_owned(),
    ];
    for path in never {
        assert!(
            matches!(of(&path), Grant::Never(_)),
            "{}: {:?}",
            path.display(),
            of(&path)
        );
    }
}
