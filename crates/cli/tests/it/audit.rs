//! `maestria audit`: a real run leaves a trail, and the trail tells when it was touched.

use crate::process::run;
use std::fs;

#[test]
fn a_run_leaves_a_trail_that_tells_when_it_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let demo = run(home.path(), &["demo", "--yes"]);
    assert_eq!(demo.code, 0, "{}{}", demo.out, demo.err);
    let whole = run(home.path(), &["audit", "verify"]);
    assert_eq!(whole.code, 0, "{}{}", whole.out, whole.err);
    assert!(whole.out.starts_with("whole: "), "{}", whole.out);
    let tail = run(home.path(), &["audit", "tail", "-n", "100"]);
    assert!(
        tail.out.contains("run.submitted") && tail.out.contains("task.started"),
        "{}",
        tail.out
    );
    let exported = run(home.path(), &["audit", "export"]).out;
    assert!(exported.lines().count() > 3);

    let file = home.path().join(".local/share/maestria/audit/audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("run.submitted", "run.commanded", 1)).unwrap();
    let touched = run(home.path(), &["audit", "verify"]);
    assert_eq!(touched.code, 1);
    assert!(touched.err.contains("line 1 was changed"), "{}", touched.err);
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&file, cut).unwrap();
    let touched = run(home.path(), &["audit", "verify"]);
    assert!(touched.err.contains("the end is missing"), "{}", touched.err);
    fs::write(&file, text).unwrap();
    assert_eq!(run(home.path(), &["audit", "verify"]).code, 0);
}
