use super::{Site, write};
use maestria_agents::worktree::Settings;

async fn refusal(site: &mut Site) -> String {
    let error = site.try_prepare().await.expect_err("refused");
    assert!(!error.hint.is_empty(), "no hint: {error}");
    error.to_string()
}

#[tokio::test]
async fn makes_the_session_folders_and_the_branch_and_can_be_repeated() {
    let mut site = Site::new();
    let ground = site.prepare().await;
    assert_eq!(ground.branch.as_deref(), Some("main"));
    assert_eq!(ground.base.as_str(), site.git(&["rev-parse", "main"]));
    for folder in [
        "requirements",
        "architecture",
        "implementation",
        "tests",
        "deployment",
        "documentation",
        "signals",
        "decisions",
        "reviews",
        "worktrees",
    ] {
        assert!(site.workspace().join(folder).is_dir(), "{folder}");
    }
    assert_eq!(site.git(&["rev-parse", &ground.integration]), ground.base.as_str());
    assert_eq!(site.prepare().await, ground);
}

#[tokio::test]
async fn takes_uncommitted_work_along_without_touching_it() {
    let mut site = Site::new();
    site.write("README.md", "staged\n");
    site.git(&["add", "README.md"]);
    site.write("README.md", "unstaged\n");
    site.write("new file.txt", "new\n");
    let state = |site: &Site| {
        let index = std::fs::read(site.repo().join(".git/index")).unwrap();
        (
            site.git(&["status", "--porcelain"]),
            site.git(&["diff", "--cached"]),
            index,
        )
    };
    let before = state(&site);
    let ground = site.prepare().await;
    assert_eq!(state(&site), before);
    assert_ne!(ground.base.as_str(), site.git(&["rev-parse", "HEAD"]));
    assert_eq!(site.gathered("README.md").as_deref(), Some("unstaged\n"));
    assert_eq!(site.gathered("new file.txt").as_deref(), Some("new\n"));
    assert!(ground.notes.iter().any(|n| n.contains("uncommitted")));
    site.write("README.md", "later\n");
    assert_eq!(site.prepare().await, ground, "the snapshot is taken once");
}

#[tokio::test]
async fn unfit_targets_are_refused_with_a_hint() {
    let mut site = Site::new();
    site.git(&["switch", "-qc", "side"]);
    site.write("README.md", "side\n");
    site.git(&["commit", "-qam", "side"]);
    site.git(&["switch", "-q", "main"]);
    site.write("README.md", "main\n");
    site.git(&["commit", "-qam", "main"]);
    let _ = site.command(&site.repo(), &["merge", "side"]).output();
    assert!(refusal(&mut site).await.contains("merge is under way"));
    site.git(&["merge", "--abort"]);
    let _ = site.command(&site.repo(), &["rebase", "side"]).output();
    assert!(refusal(&mut site).await.contains("rebase is under way"));
    site.git(&["rebase", "--abort"]);
    site.prepare().await;

    let mut site = Site::bare();
    std::fs::remove_dir(site.repo()).unwrap();
    assert!(refusal(&mut site).await.contains("target"));
    std::fs::write(site.repo(), "a file").unwrap();
    assert!(refusal(&mut site).await.contains("not a folder"));
    std::fs::remove_file(site.repo()).unwrap();
    std::fs::create_dir(site.repo()).unwrap();
    assert!(refusal(&mut site).await.contains("not in a git repository"));
    site.git(&["init", "-q", "--bare"]);
    assert!(refusal(&mut site).await.contains("bare"));

    let mut site = Site::bare();
    write(&site.repo().join("../session/requirements/task.md"), "x");
    std::fs::create_dir_all(site.workspace().join("worktrees/repo")).unwrap();
    std::fs::remove_dir(site.repo()).unwrap();
    std::os::unix::fs::symlink(site.workspace().join("worktrees/repo"), site.repo()).unwrap();
    assert!(refusal(&mut site).await.contains("session folder"));
}

#[tokio::test]
async fn odd_heads_are_worked_on() {
    let mut site = Site::bare();
    site.git(&["init", "-q", "-b", "trunk"]);
    site.write("first.txt", "1\n");
    let ground = site.prepare().await;
    assert_eq!(ground.branch.as_deref(), Some("trunk"));
    assert_eq!(site.gathered("first.txt").as_deref(), Some("1\n"));

    let mut site = Site::new();
    site.git(&["checkout", "-q", "--detach"]);
    let ground = site.prepare().await;
    assert_eq!(ground.branch, None);
    assert!(ground.notes.iter().any(|n| n.contains("detached")));

    let mut site = Site::new();
    site.git(&["branch", "maestria"]);
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "x.txt", "x\n").await;
    super::merged(&site.merge(task).await).unwrap();
}

#[tokio::test]
async fn a_folder_without_git_is_worked_on_in_a_copy() {
    let settings = Settings {
        copy_plain: true,
        ..Settings::default()
    };
    let mut site = Site::bare().with(settings);
    site.write("keep.txt", "keep\n");
    site.write("sub/run.sh", "#!/bin/sh\n");
    site.write("gone.txt", "gone\n");
    std::os::unix::fs::symlink("keep.txt", site.repo().join("link")).unwrap();
    let ground = site.prepare().await;
    assert!(!site.repo().join(".git").exists());
    assert_eq!(site.prepare().await, ground);
    let tasks = site.plan(&["E1"]);
    let folder = site.open(tasks[0]).await;
    write(&folder.join("sub/run.sh"), "#!/bin/sh\necho\n");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.join("sub/run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_file(folder.join("gone.txt")).unwrap();
    std::fs::remove_file(folder.join("link")).unwrap();
    std::os::unix::fs::symlink("sub/run.sh", folder.join("link")).unwrap();
    maestria_agents::worktree::commit_all(&folder, "Work", &[])
        .await
        .unwrap();
    super::merged(&site.merge(tasks[0]).await).unwrap();

    use maestria_kernel::port::Repository as _;
    site.write("sub/run.sh", "changed meanwhile\n");
    let error = site.port.apply(&site.run).await.unwrap_err().to_string();
    assert!(error.contains("run.sh has changed"), "{error}");
    assert_eq!(site.read("gone.txt"), "gone\n", "all or nothing");
    site.write("sub/run.sh", "#!/bin/sh\n");
    for _ in 0..2 {
        site.port.apply(&site.run).await.unwrap();
        assert_eq!(site.read("sub/run.sh"), "#!/bin/sh\necho\n");
        assert!(!site.repo().join("gone.txt").exists());
        let mode = site.repo().join("sub/run.sh").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(
            std::fs::read_link(site.repo().join("link")).unwrap().to_str(),
            Some("sub/run.sh")
        );
    }
}
