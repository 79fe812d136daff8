use super::explain;
use maestria_server::sandbox::Profile;

fn told(line: &str) -> String {
    explain(line, &Profile::worker(["/home/u/project".into()])).join("\n")
}

#[test]
fn a_refusal_names_place_and_wall() {
    for (line, part) in [
        (
            "sh: 1: cannot create /etc/maestria-probe: Read-only file system",
            "/etc/maestria-probe belongs to the system",
        ),
        (
            "cat: /home/other/.ssh/id: No such file or directory",
            "/home/other/.ssh/id is outside",
        ),
        (
            "touch: cannot touch '/home/u/project/.git/x': Read-only file system",
            "can be read, not changed",
        ),
        ("bash: connect: Network is unreachable", "leads to nobody"),
        ("unshare: unshare failed: Operation not permitted", "system call"),
    ] {
        assert!(told(line).contains(part), "{line}\n{}", told(line));
    }
}

#[test]
fn other_failures_are_not_ours() {
    for line in [
        "error: test failed",
        "cat: /home/u/project/missing: No such file or directory",
        "cat: /tmp/missing: No such file or directory",
        "",
    ] {
        assert_eq!(told(line), "", "{line}");
    }
}
