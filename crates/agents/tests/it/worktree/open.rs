use super::{Site, merged, write};
use maestria_kernel::{ReviewId, port::Repository as _};
use std::os::unix::fs::PermissionsExt as _;
use uuid::Uuid;

#[tokio::test]
async fn starts_from_the_newest_state_and_keeps_what_lies_there() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    site.work(tasks[0], "one.txt", "1\n").await;
    merged(&site.merge(tasks[0]).await).unwrap();
    let folder = site.open(tasks[1]).await;
    assert!(folder.join("one.txt").exists());
    write(&folder.join("half.txt"), "half\n");
    assert_eq!(site.open(tasks[1]).await, folder);
    assert_eq!(site.git_in(&folder, &["status", "--porcelain"]), "");
    let message = site.git_in(&folder, &["log", "-1", "--format=%B%an <%ae>"]);
    assert!(message.contains("Maestria-Snapshot: true"), "{message}");
    assert!(message.contains(&format!("Maestria-Task: {}", tasks[1])), "{message}");
    assert!(message.ends_with("Maestria <maestria@localhost>"), "{message}");
}

#[tokio::test]
async fn mends_whatever_was_done_to_a_worktree_and_loses_nothing() {
    type Damage = fn(&Site, &std::path::Path);
    let damages: [(&str, Damage); 7] = [
        ("its .git removed", |_, f| std::fs::remove_file(f.join(".git")).unwrap()),
        ("its .git garbage", |_, f| {
            std::fs::write(f.join(".git"), "garbage").unwrap()
        }),
        ("a repository of its own", |s, f| {
            std::fs::remove_file(f.join(".git")).unwrap();
            s.git_in(f, &["init", "-q"]);
        }),
        ("unregistered", |s, _| {
            std::fs::remove_dir_all(s.repo().join(".git/worktrees")).unwrap()
        }),
        ("locked", |s, f| {
            s.git(&["worktree", "lock", &f.display().to_string()]);
        }),
        ("detached", |s, f| {
            s.git_in(f, &["checkout", "-q", "--detach"]);
        }),
        ("a merge under way", |s, f| {
            s.git_in(f, &["add", "-A"]);
            s.git_in(f, &["commit", "-qm", "mine"]);
            s.git_in(f, &["checkout", "-q", "--detach", "main"]);
            write(&f.join("half.txt"), "other\n");
            s.git_in(f, &["add", "-A"]);
            s.git_in(f, &["commit", "-qm", "theirs"]);
            let theirs = s.git_in(f, &["rev-parse", "HEAD"]);
            s.git_in(f, &["switch", "-q", "-"]);
            let _ = s.command(f, &["merge", "-q", &theirs]).output();
            write(&f.join("half.txt"), "half\n");
        }),
    ];
    for (name, damage) in damages {
        let mut site = Site::new();
        site.prepare().await;
        let task = site.plan(&["E1"])[0];
        let folder = site.work(task, "done.txt", "done\n").await;
        write(&folder.join("half.txt"), "half\n");
        damage(&site, &folder);
        assert_eq!(site.open(task).await, folder, "{name}");
        for (file, text) in [("done.txt", "done\n"), ("half.txt", "half\n")] {
            let spec = format!("{}-E1:{file}", site.integration());
            assert_eq!(site.git(&["show", &spec]), text.trim_end(), "{name}: {file}");
            assert_eq!(
                std::fs::read_to_string(folder.join(file)).unwrap(),
                text,
                "{name}: {file}"
            );
        }
        assert_eq!(site.git_in(&folder, &["status", "--porcelain"]), "", "{name}");
        merged(&site.merge(task).await).unwrap();
    }
}

#[tokio::test]
async fn a_removed_folder_comes_back_from_its_branch() {
    for locked in [false, true] {
        let mut site = Site::new();
        site.prepare().await;
        let task = site.plan(&["E1"])[0];
        let folder = site.work(task, "done.txt", "done\n").await;
        if locked {
            site.git(&["worktree", "lock", &folder.display().to_string()]);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        site.open(task).await;
        assert!(folder.join("done.txt").exists());
    }
}

#[tokio::test]
async fn a_key_out_of_a_model_stays_inside() {
    let mut site = Site::new();
    site.prepare().await;
    for task in site.plan(&["../../../evil", "-rf", "integration", "E 1;x", ""]) {
        let folder = site.open(task).await;
        assert_eq!(folder.parent(), Some(&*site.workspace().join("worktrees")));
        assert!(folder.join("README.md").exists());
    }
}

#[tokio::test]
async fn ignored_env_files_are_copied_and_never_committed() {
    let mut site = Site::new();
    site.write(".gitignore", ".env\n");
    site.git(&["add", "."]);
    site.git(&["commit", "-qm", "ignore"]);
    site.write(".env", "KEY=1\n");
    site.write(".env.local", "tracked by nobody, ignored by nobody\n");
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    let folder = site.work(task, "x", "x").await;
    assert_eq!(std::fs::read_to_string(folder.join(".env")).unwrap(), "KEY=1\n");
    assert_eq!(site.git_in(&folder, &["ls-files", ".env"]), "");
}

#[tokio::test]
async fn a_checkout_shows_the_change_read_only_and_goes_away() {
    let mut site = Site::new();
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    let folder = site.work(task, "one.txt", "1\n").await;
    write(&folder.join("running.txt"), "not committed yet\n");
    let review = ReviewId::new(Uuid::now_v7());
    let (checkout, diff) = site.port.checkout(&site.run, review, Some(task)).await.unwrap();
    assert!(diff.contains("one.txt") && diff.contains("running.txt"), "{diff}");
    let mode = |name: &str| checkout.join(name).metadata().unwrap().permissions().mode() & 0o222;
    assert_eq!((mode("one.txt"), mode("")), (0, 0));
    site.port.checkout(&site.run, review, Some(task)).await.unwrap();
    site.port.release(&site.run, review).await;
    assert!(!checkout.exists());
    assert!(!site.git(&["worktree", "list"]).contains("reviews"));
}

#[tokio::test]
async fn a_huge_diff_is_cut_with_a_note() {
    let mut site = Site::new();
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "big.txt", &lines_of(100_000)).await;
    let review = ReviewId::new(Uuid::now_v7());
    let (_, diff) = site.port.checkout(&site.run, review, Some(task)).await.unwrap();
    assert!(diff.len() < 205 * 1024 && diff.contains("cut here"), "{}", diff.len());
    site.port.release(&site.run, review).await;
}

fn lines_of(count: u32) -> String {
    super::lines(count)
}
