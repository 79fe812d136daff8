use super::{RULES, compiled, look};
use maestria_kernel::finding::Severity;

/// A key of the right shape that stands whole in no file.
fn key(prefix: &str, length: usize) -> String {
    format!("{prefix}{}", "A1b2C3d4".repeat(8).get(..length).unwrap_or_default())
}

fn diff(file: &str, line: &str) -> String {
    format!("diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -0,0 +7,2 @@\n+harmless\n+{line}\n")
}

#[test]
fn every_rule_can_be_compiled() {
    assert_eq!(compiled().len(), RULES.len());
    assert!(super::places::compiles());
}

#[test]
fn secrets_block_with_their_place_and_without_their_words() {
    for (file, line) in [
        ("a.env", format!("KEY={}", key("ghp_", 36))),
        ("b.py", format!("key = '{}'", key("sk-ant-", 30))),
        ("c", format!("-----BEGIN {} KEY-----", "PRIVATE")),
        ("d.txt", format!("AKIA{}", "Z".repeat(16))),
        ("e.py", format!("key = '{}'  # for example", key("ghp_", 36))),
        ("f.md", format!("AKIAIOSFODNN7{} and {}", "EXAMPLE", key("ghp_", 36))),
    ] {
        let found = look(&diff(file, &line));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].severity, Severity::Blocking);
        assert_eq!((found[0].file.as_deref(), found[0].line), (Some(file), Some(8)));
        assert!(!found[0].to_string().contains("A1b2"), "{}", found[0]);
    }
}

#[test]
fn dangerous_and_slow_lines_are_told_by_language() {
    for (file, line, severity) in [
        ("a.py", "subprocess.run(cmd, shell=True)", Severity::Warning),
        ("a.py", "x = eval(text)", Severity::Warning),
        ("a.py", "cursor.execute(f\"select {x}\")", Severity::Warning),
        ("a.ts", "node.innerHTML = text;", Severity::Warning),
        ("a.sh", "curl -sL https://x | sudo sh", Severity::Warning),
        ("a.rs", concat!("    un", "safe { go() }"), Severity::Warning),
        ("a.c", "strcpy(a, b);", Severity::Warning),
        ("a.cfg", "password = \"correct-horse-battery\"", Severity::Warning),
        ("a.js", "const t = readFileSync(p);", Severity::Info),
    ] {
        let found = look(&diff(file, line));
        assert_eq!(
            found.iter().map(|f| f.severity).collect::<Vec<_>>(),
            [severity],
            "{file} {line}"
        );
    }
}

#[test]
fn harmless_lines_are_left_alone() {
    for (file, line) in [
        ("a.py", "model.eval()"),
        ("a.py", "value = retrieval(text)"),
        ("a.rs", "// unsafety is discussed elsewhere"),
        ("README.md", "export KEY=AKIAIOSFODNN7EXAMPLE"),
        ("a.py", "password = os.environ['PASSWORD']"),
        ("a.md", "run `curl -O https://x` and read it"),
        ("a.toml", "secret = \"${SECRET}\""),
    ] {
        assert_eq!(look(&diff(file, line)), [], "{file} {line}");
    }
    let removed = "+++ b/a.py\n@@ -3 +2,0 @@\n-x = eval(text)\n";
    assert_eq!(look(removed), [], "what goes is not judged");
}

#[test]
fn findings_are_bounded() {
    let many = format!("+++ b/a.py\n@@ -0,0 +1,500 @@\n{}", "+x = eval(y)\n".repeat(500));
    assert_eq!(look(&many).len(), super::MOST);
}

#[test]
fn a_person_agrees_to_what_others_run_unseen_or_are_bound_by() {
    for file in [
        "LICENSE",
        "sub/LICENCE-MIT",
        "COPYING.lesser",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "ci/Jenkinsfile",
        ".husky/pre-commit",
        "a b/.gitattributes",
        ".vscode/tasks.json",
        "deep/er/.claude/settings.json",
        ".envrc",
        ".cargo/config.toml",
    ] {
        let found = look(&diff(file, "harmless"));
        assert_eq!(found.len(), 1, "{file}: {found:?}");
        assert_eq!(
            (found[0].severity, found[0].file.as_deref()),
            (Severity::Confirm, Some(file))
        );
    }
    let removed =
        "diff --git a/LICENSE b/LICENSE\ndeleted file mode 100644\n--- a/LICENSE\n+++ /dev/null\n@@ -1 +0,0 @@\n-MIT\n";
    assert_eq!(look(removed)[0].severity, Severity::Confirm);
    let quoted = "diff --git \"a/.github/workflows/\\303\\251.yml\" \"b/.github/workflows/\\303\\251.yml\"\n";
    assert_eq!(look(quoted)[0].severity, Severity::Confirm);
    let binary = "diff --git a/tool b/tool\nnew file mode 100755\nBinary files /dev/null and b/tool differ\n";
    assert_eq!(
        (look(binary)[0].severity, look(binary)[0].file.as_deref()),
        (Severity::Confirm, Some("tool"))
    );
    let gone = "diff --git a/tool b/tool\ndeleted file mode 100755\nBinary files a/tool and /dev/null differ\n";
    for (file, line) in [
        ("src/license.rs", "x"),
        ("docs/hooks.md", "x"),
        ("a.md", "diff --git a/LICENSE b/LICENSE"),
    ] {
        assert_eq!(look(&diff(file, line)), [], "{file}");
    }
    assert_eq!(look(gone), [], "what goes is read by nobody");
}

#[test]
fn a_secret_of_this_machine_blocks_whatever_it_looks_like() {
    assert!(maestria_secrets::know("scan", "plain-words-of-the-scan"));
    for line in [
        "x = plain-words-of-the-scan",
        "706c61696e2d776f7264732d6f662d7468652d7363616e",
        "plain%2Dwords-of-the-scan",
    ] {
        let found = look(&diff("a.txt", line));
        assert_eq!(
            found.iter().map(|f| f.severity).collect::<Vec<_>>(),
            [Severity::Blocking],
            "{line}"
        );
    }
}
