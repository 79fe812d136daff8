//! `maestria policy`: verdicts, exit codes, files of rules; nothing is ever run.

use crate::process::{left, program, run};
use std::{fs, io::Write as _, process::Stdio};

#[test]
fn a_verdict_names_rule_part_and_reason_and_sets_the_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let cases = [
        ("git commit -m 'rm -rf /'", 0, "allow command.allowed"),
        ("sudo ls", 0, "monitor monitor.privilege"),
        ("echo \"$(rm -rf x)\"", 5, "block delete.recursive_force"),
        ("cd x && git push", 6, "confirm git.push"),
        ("echo 'x", 6, "confirm command.unreadable"),
    ];
    for (command, code, told) in cases {
        let left = run(home.path(), &["policy", "test", "--", command]);
        assert_eq!(left.code, code, "{command}\n{}{}", left.out, left.err);
        assert!(left.out.starts_with(told), "{command}\n{}", left.out);
    }
    let words = run(
        home.path(),
        &["policy", "test", "--", "git", "commit", "-m", "x; rm -rf y"],
    );
    assert_eq!(words.code, 0, "{}", words.out);
    let part = run(home.path(), &["policy", "test", "--", "nice r''m -rf \"a\u{1b}b\""]);
    assert!(part.out.contains(r"rm -rf a\u{1b}b"), "{}", part.out);
    assert!(!part.out.contains('\u{1b}'));
}

#[test]
fn a_batch_gets_one_verdict_a_line() {
    let home = tempfile::tempdir().unwrap();
    let mut child = program(home.path(), &["policy", "test", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "{\"id\":\"a\",\"command\":\"rm -rf x\",\"why\":\"more\"}\n\n{\"id\":2,\"command\":\"ls\"}\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let left = left(&child.wait_with_output().unwrap());
    let answers: Vec<serde_json::Value> = left
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(left.code, 0, "{}", left.err);
    assert_eq!(
        (&answers[0]["id"], &answers[0]["verdict"]),
        (&"a".into(), &"block".into())
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["verdict"]),
        (&2.into(), &"allow".into())
    );
    assert!(answers[0]["rule"].is_string() && answers[0]["reason"].is_string() && answers[0]["part"].is_string());
    fs::write(home.path().join("bad.jsonl"), "{\"id\":1}\n").unwrap();
    let bad = run(home.path(), &["policy", "test", "--batch", "bad.jsonl"]);
    assert_eq!(bad.code, 1);
    assert!(
        bad.err.contains("bad.jsonl:1") && bad.err.contains("command"),
        "{}",
        bad.err
    );
}

const DEPLOY: &str = r#"
[[command]]
id = "deploy.production"
programs = ["deploy"]
words = ["production"]
verdict = "block"
because = "production is deployed by people"
match = ["deploy --now production"]
not_match = ["deploy staging"]
"#;

#[test]
fn files_of_the_person_and_of_the_project_add_rules() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(".maestria")).unwrap();
    fs::write(home.path().join(".maestria/policy.toml"), DEPLOY).unwrap();
    fs::create_dir_all(home.path().join(".config/maestria")).unwrap();
    let own = DEPLOY.replace("deploy", "ship").replace("\"block\"", "\"confirm\"");
    fs::write(home.path().join(".config/maestria/policy.toml"), own).unwrap();
    assert_eq!(
        run(home.path(), &["policy", "test", "--", "sudo deploy production"]).code,
        5
    );
    assert_eq!(run(home.path(), &["policy", "test", "--", "ship production"]).code, 6);
    assert!(run(home.path(), &["policy", "list"]).out.contains("deploy.production"));
    let told = run(home.path(), &["policy", "explain", "deploy.production"]);
    assert!(
        told.out.contains("production is deployed by people") && told.out.contains("deploy staging"),
        "{}",
        told.out
    );
    assert_eq!(run(home.path(), &["policy", "explain", "nothing"]).code, 1);
}

#[test]
fn a_file_of_rules_with_a_mistake_is_refused_with_the_place() {
    let home = tempfile::tempdir().unwrap();
    let cases = [
        ("[[command]]\nid = 3\n", "line 2"),
        ("[[comand]]\nid = \"x\"\n", "comand"),
        ("[[command]\n", "line 1"),
        (
            &DEPLOY.replace("[\"deploy staging\"]", "[\"deploy production\"]"),
            "should not match its example `deploy production`",
        ),
        (
            &DEPLOY.replace("--now production", "elsewhere"),
            "should match its example `deploy elsewhere`",
        ),
        (
            &DEPLOY.replace("match = [\"deploy --now production\"]\nnot_", "match = []\nnot_"),
            "no example under `match`",
        ),
    ];
    for (text, told) in cases {
        fs::write(home.path().join("p.toml"), text).unwrap();
        let left = run(home.path(), &["policy", "check", "p.toml"]);
        assert_eq!(left.code, 1, "{text}");
        assert!(
            left.err.contains(told) && left.err.contains("p.toml"),
            "{text}\n{}",
            left.err
        );
    }
    fs::write(home.path().join("p.toml"), DEPLOY).unwrap();
    let left = run(home.path(), &["policy", "check", "p.toml"]);
    assert_eq!((left.code, left.out.trim()), (0, "ok"), "{}", left.err);
}

#[test]
fn paths_are_decided_by_where_they_lead() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("ws/src")).unwrap();
    let path = |op: &str, path: &str| {
        run(
            home.path(),
            &["policy", "path", "--op", op, "--cwd", "ws", "--rw", "ws", "--", path],
        )
    };
    assert_eq!(path("write", "src/new.rs").code, 0);
    let out = path("write", "../../etc/passwd");
    assert_eq!(out.code, 5);
    assert!(out.out.starts_with("block path.outside"), "{}", out.out);
    assert_eq!(path("create", ".git/hooks/pre-commit").code, 5);
    assert_eq!(path("burn", "x").code, 2);
    let missing = run(
        home.path(),
        &["policy", "path", "--op", "read", "--rw", "nowhere", "--", "x"],
    );
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("nowhere"), "{}", missing.err);
}
