use super::{Desk, add, revoke};
use crate::exit::Exit;
use maestria_server::{sandbox::audit::Audit, trust::Book};
use std::{fs, path::PathBuf, process::Command};

struct Repository {
    _folder: tempfile::TempDir,
    top: PathBuf,
    desk: Desk,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let top = root.join("app");
        fs::create_dir(&top).unwrap();
        let git = Command::new("git")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &root)
            .args(["init", "-q", "--template="])
            .current_dir(&top)
            .status()
            .unwrap();
        assert!(git.success());
        fs::write(top.join(".env"), "TOKEN=harmless\n").unwrap();
        let desk = Desk {
            book: root.join("data/trust.json"),
            trail: Audit::at(root.join("data/audit")),
            env_files: vec![".env".to_owned()],
        };
        Self {
            _folder: folder,
            top,
            desk,
        }
    }

    fn trusts(&self) -> bool {
        Book::load(&self.desk.book).unwrap().of(&self.top).is_some()
    }

    /// What stands in the trail, without the paths.
    fn trail(&self) -> Vec<String> {
        self.desk.trail.verify().unwrap();
        let trail = std::io::read_to_string(self.desk.trail.export().unwrap().unwrap()).unwrap();
        let what = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let what = line["entry"]["what"].as_str().unwrap();
            assert!(what.contains(&self.top.display().to_string()), "{what}");
            what.split(' ').next().unwrap().to_owned()
        };
        trail.lines().map(what).collect()
    }
}

#[tokio::test]
async fn what_changes_while_it_is_read_is_not_trusted() {
    let repository = Repository::new();
    let changed = || {
        fs::write(repository.top.join(".env"), "TOKEN=evil\n").unwrap();
        Ok(true)
    };
    let refused = add(&repository.desk, &repository.top, Some(changed)).await;
    assert!(refused.is_err());
    assert!(!repository.trusts());
    let more = || {
        fs::create_dir(repository.top.join(".claude")).unwrap();
        fs::write(repository.top.join(".claude/settings.json"), "{}").unwrap();
        Ok(true)
    };
    assert!(add(&repository.desk, &repository.top, Some(more)).await.is_err());
    assert!(!repository.trusts());
    assert_eq!(repository.trail(), ["trust.withheld,", "trust.withheld,"]);
}

#[tokio::test]
async fn every_decision_leaves_a_trail() {
    let repository = Repository::new();
    let refused = add(&repository.desk, &repository.top, Some(|| Ok(false))).await;
    assert!(matches!(refused, Ok(Exit::User)));
    assert!(!repository.trusts());
    let agreed = add(&repository.desk, &repository.top, Some(|| Ok(true))).await;
    assert!(matches!(agreed, Ok(Exit::Ok)));
    assert!(repository.trusts());
    revoke(&repository.desk, &repository.top).await.unwrap();
    assert!(!repository.trusts());
    assert!(
        revoke(&repository.desk, &repository.top).await.is_err(),
        "there is nothing left"
    );
    assert_eq!(repository.trail(), ["trust.refused", "trust.added", "trust.revoked"]);
}
