use super::{Site, write};
use maestria_agents::worktree::{commit_all, evidence};
use std::os::unix::ffi::OsStrExt as _;

#[tokio::test]
async fn sees_committed_uncommitted_and_untracked_changes_and_touches_nothing() {
    let mut site = Site::new();
    site.write(".gitignore", "ignored\n");
    site.git(&["add", "."]);
    site.git(&["commit", "-qm", "ignore"]);
    let base = site.prepare().await.base;
    let task = site.plan(&["E1"])[0];
    let folder = site.work(task, "one.txt", "1\n").await;
    write(&folder.join("README.md"), "changed\n");
    write(&folder.join("a \"quoted\"\nname.txt"), "x\n");
    write(&folder.join("ignored"), "x\n");
    let before = site.git_in(&folder, &["status", "--porcelain", "-z"]);
    let seen = evidence(&folder, &base).await.unwrap();
    let mut files: Vec<_> = seen
        .files
        .iter()
        .map(|f| (f.path.as_str(), f.added, f.removed))
        .collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [("README.md", 1, 1), ("a \"quoted\"\nname.txt", 1, 0), ("one.txt", 1, 0)]
    );
    assert!(seen.dirty);
    assert_eq!(site.git_in(&folder, &["status", "--porcelain", "-z"]), before);
    commit_all(&folder, "rest", &[]).await.unwrap().unwrap();
    let seen = evidence(&folder, &base).await.unwrap();
    assert!(!seen.dirty);
    assert_eq!(seen.files.len(), 3);
    assert!(commit_all(&folder, "again", &[]).await.unwrap().is_none());
}

#[tokio::test]
async fn names_that_are_no_text_are_committed() {
    let mut site = Site::new();
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    let folder = site.open(task).await;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    std::fs::write(folder.join(name), "x").unwrap();
    commit_all(&folder, "odd", &[]).await.unwrap().unwrap();
    let listed = site.command(&folder, &["ls-files", "-z"]).output().unwrap().stdout;
    assert!(listed.split(|b| *b == 0).any(|n| n == b"caf\xe9.txt"));
}

#[tokio::test]
async fn a_repository_made_inside_is_left_out_and_stops_nothing() {
    let mut site = Site::new();
    let base = site.prepare().await.base;
    let task = site.plan(&["E1"])[0];
    let folder = site.open(task).await;
    std::fs::create_dir(folder.join("inner")).unwrap();
    site.git_in(&folder.join("inner"), &["init", "-q"]);
    write(&folder.join("mine.txt"), "x\n");
    assert_eq!(evidence(&folder, &base).await.unwrap().files.len(), 1);
    commit_all(&folder, "work", &[]).await.unwrap().unwrap();
    assert_eq!(site.git_in(&folder, &["ls-files", "inner", "mine.txt"]), "mine.txt");
}

#[tokio::test]
async fn a_worktree_without_its_git_never_commits_to_a_repository_around_it() {
    let mut site = Site::new();
    site.write(".gitignore", ".maestria\n");
    site.git(&["add", "."]);
    site.git(&["commit", "-qm", "ignore"]);
    let before = site.git(&["rev-parse", "main"]);
    let inside = site.repo().join(".maestria/worktrees/E1");
    write(&inside.join("x"), "x");
    site.prepare().await;
    assert!(commit_all(&inside, "stray", &[]).await.is_err());
    std::fs::create_dir(inside.join(".git")).unwrap();
    assert!(commit_all(&inside, "stray", &[]).await.is_err());
    assert_eq!(site.git(&["rev-parse", "main"]), before);
}

#[tokio::test]
async fn a_stale_lock_of_a_killed_worker_is_removed() {
    let mut site = Site::new();
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    let folder = site.open(task).await;
    write(&folder.join("x"), "x");
    let lock = site.git_in(&folder, &["rev-parse", "--absolute-git-dir"]) + "/index.lock";
    std::fs::write(lock, "").unwrap();
    commit_all(&folder, "work", &[]).await.unwrap().unwrap();
}
