//! `maestria sandbox`: a program behind walls, what it is refused, and a machine without walls.

use crate::process::{program, run};
use std::process::Stdio;

/// Whether this machine can hold a sandbox; a machine that cannot must say what is missing.
fn can() -> bool {
    let home = tempfile::tempdir().unwrap();
    let doctor = run(home.path(), &["sandbox", "doctor"]);
    if doctor.code != 0 {
        assert!(doctor.out.contains("MISSING"), "{}{}", doctor.out, doctor.err);
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI must be able to make namespaces"
        );
        eprintln!("SKIPPED: {}", doctor.out);
    }
    doctor.code == 0
}

#[test]
fn a_write_outside_is_refused_and_explained() {
    if !can() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let left = run(
        home.path(),
        &[
            "sandbox",
            "run",
            "--",
            "sh",
            "-c",
            "echo in > here; cat here; echo x > /etc/maestria-probe",
        ],
    );
    assert_ne!(left.code, 0);
    assert_eq!(left.out, "in\n");
    assert!(
        left.err.contains("/etc/maestria-probe belongs to the system"),
        "{}",
        left.err
    );
    assert!(!std::path::Path::new("/etc/maestria-probe").exists());
}

#[test]
fn streams_and_code_are_the_programs_own() {
    if !can() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut child = program(
        home.path(),
        &["sandbox", "run", "--", "sh", "-c", "cat; echo err >&2; exit 7"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through").unwrap();
    let left = child.wait_with_output().unwrap();
    assert_eq!(left.status.code(), Some(7));
    assert_eq!(left.stdout, b"through");
    assert_eq!(String::from_utf8_lossy(&left.stderr), "err\n");
}

#[test]
fn a_layer_that_is_missing_keeps_it_from_starting() {
    let home = tempfile::tempdir().unwrap();
    let left = run(
        home.path(),
        &["sandbox", "run", "--remove", "landlock", "--", "sh", "-c", "echo ran"],
    );
    assert_eq!((left.code, left.out.as_str()), (5, ""), "{}", left.err);
    assert!(
        left.err.contains("landlock") && left.err.contains("--allow-degraded"),
        "{}",
        left.err
    );
    let left = run(
        home.path(),
        &[
            "sandbox",
            "run",
            "--allow-degraded",
            "--remove",
            "landlock",
            "--",
            "sh",
            "-c",
            "echo ran",
        ],
    );
    assert_eq!((left.code, left.out.as_str()), (0, "ran\n"), "{}", left.err);
    assert!(
        left.err.contains("DEGRADED") && left.err.contains("landlock"),
        "{}",
        left.err
    );
}

#[test]
fn what_cannot_be_granted_is_named() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (["--rw", "/no/such/folder"], "/no/such/folder"),
        (["--ro", "/"], "cannot be granted"),
        (["--net", "a b"], "is not HOST"),
        (["--remove", "walls"], "there is no layer"),
        (["--env", "x"], "is not NAME=VALUE"),
    ] {
        let mut words = vec!["sandbox", "run"];
        words.extend(arguments);
        words.extend(["--", "true"]);
        let left = run(home.path(), &words);
        assert_ne!(left.code, 0, "{arguments:?}");
        assert!(left.err.contains(part), "{arguments:?}: {}", left.err);
    }
}
