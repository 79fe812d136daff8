use super::{Site, merged};
use maestria_agents::worktree::{Checks, Settings, detect};
use maestria_kernel::port::{MergeResult, Repository as _};
use std::time::Duration;

#[test]
fn finds_the_command_by_what_lies_there() {
    let found = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            super::write(&folder.path().join(name), text);
        }
        detect(folder.path()).map(|c| c.join(" ")).unwrap_or_default()
    };
    assert_eq!(found(&[]), "");
    assert!(found(&[("Cargo.toml", "")]).starts_with("cargo test"));
    assert!(found(&[("package.json", r#"{"scripts":{"test":"node --test"}}"#)]).starts_with("npm test"));
    let template = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
    assert_eq!(found(&[("package.json", template)]), "");
    assert_eq!(found(&[("package.json", "{")]), "");
    assert!(found(&[("pyproject.toml", "[tool.pytest.ini_options]")]).contains("pytest"));
    assert_eq!(found(&[("go.mod", "module x")]), "go test ./...");
    assert_eq!(found(&[("Makefile", "all:\n\ntest:\n\ttrue\n")]), "make test");
    assert_eq!(found(&[("Makefile", "unit-test:\n\ttrue\n")]), "");
    assert_eq!(found(&[("test.sh", ""), ("Cargo.toml", "")]), "sh test.sh");
}

#[tokio::test]
async fn a_missing_tool_is_said_and_fails_nothing() {
    let mut site = Site::new().checked(&["no-such-tool-here", "test"]);
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "one.txt", "1\n").await;
    let MergeResult::Merged { checks, .. } = site.merge(task).await else {
        panic!("bounced");
    };
    assert_eq!(checks.passed, None);
    assert!(checks.findings[0].message.contains("no-such-tool-here"), "{checks:?}");
}

#[tokio::test]
async fn an_endless_check_is_ended_and_output_is_bounded() {
    let checks = Checks {
        command: Some(
            ["sh", "-c", "yes | head -c 200000; sleep 600"]
                .map(str::to_owned)
                .to_vec(),
        ),
        timeout: Duration::from_secs(1),
        ..Checks::default()
    };
    let mut site = Site::new().with(Settings {
        checks,
        ..Settings::default()
    });
    site.prepare().await;
    let checks = site.port.validate(&site.run).await.unwrap();
    assert!(checks.failed(), "{checks:?}");
    assert!(checks.output.len() <= 17 * 1024);
}

#[tokio::test]
async fn what_checks_leave_behind_decides_nothing_later() {
    let mut site = Site::new().checked(&["sh", "-c", "test ! -e junk && touch junk && echo x >> README.md"]);
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "one.txt", "1\n").await;
    merged(&site.merge(task).await).unwrap();
    assert_eq!(site.port.validate(&site.run).await.unwrap().passed, Some(true));
    assert_eq!(site.gathered("README.md").as_deref(), Some("sample\n"));
}
