//! Bad input: what failed, with which value, and what to do; and the exit code.

use crate::process::{program, run};

#[test]
fn mistakes_are_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("bad.toml"), "[limits]\nparalel = 1\n").unwrap();
    let long = "x".repeat(100 * 1024);
    let cases: [(&[&str], i32, &str); 14] = [
        (&["show"], 1, "there are no runs yet"),
        (&["run", ""], 1, "the task is empty"),
        (&["run", "x", "--target", "/no/such/place"], 3, "/no/such/place"),
        (&["run", "x", "--agents", "nobody"], 1, "there is no agent `nobody`"),
        (&["run", "x", "--workflow", "devlop"], 1, "did you mean `develop`?"),
        (&["run", "x", "--budget", "-3"], 2, "-3"),
        (&["run", "x", "--budget", "abc"], 2, "`abc` is not an amount of dollars"),
        (&["--config", "bad.toml", "runs"], 1, "did you mean `limits.parallel`?"),
        (&["--config", "none.toml", "runs"], 1, "none.toml"),
        (&["show", "run_000000"], 1, "there is no run `run_000000`"),
        (&["decisions", "approve", "dec_1"], 1, "no open decision `dec_1`"),
        (
            &["agents", "replay", "clippy", "bad.toml"],
            1,
            "`clippy` is no kind of agent",
        ),
        (&["frobnicate"], 2, "frobnicate"),
        (
            &["run", &long, "--dry-run", "--workflow", "none"],
            1,
            "there is no workflow `none`",
        ),
    ];
    for (args, code, told) in cases {
        let left = run(home.path(), args);
        let shown: Vec<String> = args.iter().map(|a| a.chars().take(40).collect()).collect();
        assert_eq!(left.code, code, "{shown:?}\n{}", left.err);
        assert!(
            format!("{}{}", left.err, left.out).contains(told),
            "{shown:?}\n{}{}",
            left.err,
            left.out
        );
        assert!(!left.err.contains("panicked"), "{}", left.err);
    }
}

#[test]
fn targets_that_cannot_be_worked_on_are_refused_with_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let plain = home.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("a.txt"), "a").unwrap();
    let playbook = home.path().join("p.toml");
    std::fs::write(&playbook, "[[rule]]\nwhen = []\nsteps = [{ text = \"done\" }]\n").unwrap();
    let config = format!(
        "[providers.p]\ndialect = \"playbook\"\nscript = \"{}\"\n",
        playbook.display()
    );
    std::fs::write(home.path().join("c.toml"), config).unwrap();
    let left = run(home.path(), &["--config", "c.toml", "run", "x", "--target", "plain"]);
    assert_eq!(left.code, 3, "{}", left.err);
    assert!(
        left.err.contains("not in a git repository") && left.err.contains("--copy"),
        "{}",
        left.err
    );
}

#[test]
fn no_run_begins_when_the_days_budget_is_spent() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("c.toml"), "[budget]\nday = 0.0\n").unwrap();
    let left = run(home.path(), &["--config", "c.toml", "run", "x"]);
    assert_eq!(left.code, 1, "{}", left.err);
    assert!(
        left.err.contains("the day's budget is spent: $0.00 of $0.00"),
        "{}",
        left.err
    );
}

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    let home = tempfile::tempdir().unwrap();
    let left = run(
        home.path(),
        &["run", "Add a flag. Then update README.md", "--target", ".", "--dry-run"],
    );
    assert_eq!(left.code, 0, "{}", left.err);
    assert!(
        left.out.contains("planned by rules") && left.out.contains("E2") && left.out.contains("estimate"),
        "{}",
        left.out
    );
    assert!(run(home.path(), &["runs"]).out.contains("no runs yet"));
}

#[test]
fn recorded_streams_are_replayed_with_their_outcome() {
    let home = tempfile::tempdir().unwrap();
    let streams = concat!(env!("CARGO_MANIFEST_DIR"), "/../agents/fixtures/");
    for (agent, name, outcome) in [
        ("claude", "claude-2.1.329-write-denied", "denied"),
        ("claude", "claude-2.1.329-nologin", "not_logged_in"),
        ("codex", "codex-0.169.0-ratelimit", "rate_limited"),
        ("gemini", "gemini-0.61.0-outside", "outside_workspace"),
    ] {
        let (stream, stderr) = (format!("{streams}{name}.jsonl"), format!("{streams}{name}.stderr"));
        let mut args = vec!["agents", "replay", agent, &stream];
        if std::path::Path::new(&stderr).exists() {
            args.extend(["--stderr", &stderr]);
        }
        let left = run(home.path(), &args);
        assert_eq!(left.code, 0, "{}", left.err);
        let last: serde_json::Value = serde_json::from_str(left.out.lines().last().unwrap()).unwrap();
        assert_eq!(last["outcome"], outcome, "{name}");
    }
}

#[test]
fn configuration_is_written_shown_and_checked() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["config", "init"]).code, 0);
    assert!(run(home.path(), &["config", "init"]).err.contains("--force"));
    assert_eq!(run(home.path(), &["config", "check"]).out.trim(), "ok");
    assert!(
        run(home.path(), &["config", "show", "--origin"])
            .out
            .contains("parallel = 4  # default")
    );
    assert!(run(home.path(), &["completions", "bash"]).out.contains("maestria"));
    let doctor = run(home.path(), &["doctor"]);
    assert_eq!(doctor.code, 0, "{}", doctor.out);
    assert!(
        doctor.out.contains("git version") && doctor.out.contains("database"),
        "{}",
        doctor.out
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one() {
    let home = tempfile::tempdir().unwrap();
    for args in [&["agents"][..], &["config", "show"], &["runs", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = program(home.path(), args).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(0), "{args:?} {said}");
        assert!(!said.contains("panicked"), "{args:?} {said}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = program(home.path(), args).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{args:?} {said}");
        assert!(said.contains("cannot print"), "{args:?} {said}");
    }
}
