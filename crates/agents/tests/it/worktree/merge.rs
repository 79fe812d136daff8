use super::{Site, lines, merged, write};
use maestria_agents::worktree::commit_all;
use maestria_kernel::port::{MergeResult, Repository as _};

#[tokio::test]
async fn gathers_parallel_work_and_leaves_the_person_alone() {
    let mut site = Site::new();
    let before = (site.git(&["rev-parse", "HEAD"]), site.git(&["status", "--porcelain"]));
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    site.work(tasks[0], "one.txt", "1\n").await;
    site.work(tasks[1], "two.txt", "2\n").await;
    merged(&site.merge(tasks[0]).await).unwrap();
    merged(&site.merge(tasks[1]).await).unwrap();
    assert_eq!(site.gathered("one.txt").as_deref(), Some("1\n"));
    assert_eq!(site.gathered("two.txt").as_deref(), Some("2\n"));
    assert_eq!(
        (site.git(&["rev-parse", "HEAD"]), site.git(&["status", "--porcelain"])),
        before
    );
    let diff = site.port.diff(&site.run, Some(tasks[1])).await.unwrap();
    assert!(diff.contains("two.txt") && !diff.contains("one.txt"), "{diff}");
}

#[tokio::test]
async fn a_repeated_merge_finds_its_commit_and_its_checks() {
    let mut site = Site::new().checked(&["sh", "-c", "echo ran >> \"$HOME/count\""]);
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "one.txt", "1\n").await;
    let first = site.port.merge(&site.run, task, true).await.unwrap();
    let again = site.port.merge(&site.run, task, true).await.unwrap();
    assert_eq!(first, again);
    let count = std::fs::read_to_string(site.workspace().join("home/count")).unwrap();
    assert_eq!(count, "ran\n");
}

#[tokio::test]
async fn failed_checks_leave_the_branch_where_it_was() {
    let mut site = Site::new().checked(&["sh", "-c", "echo checking; test ! -e bad.txt"]);
    let base = site.prepare().await.base;
    let task = site.plan(&["E1"])[0];
    site.work(task, "bad.txt", "1\n").await;
    let MergeResult::Bounced { conflicts, checks } = site.merge(task).await else {
        panic!("merged although the checks fail");
    };
    assert!(
        conflicts.is_empty() && checks.failed() && checks.output.contains("checking"),
        "{checks:?}"
    );
    assert_eq!(site.git(&["rev-parse", &site.integration()]), base.as_str());
    let folder = site.open(task).await;
    std::fs::remove_file(folder.join("bad.txt")).unwrap();
    write(&folder.join("good.txt"), "1\n");
    commit_all(&folder, "Mend", &[]).await.unwrap();
    merged(&site.merge(task).await).unwrap();
    assert_eq!(site.gathered("bad.txt"), None);
}

#[tokio::test]
async fn a_conflict_goes_back_to_the_author_with_markers_and_forgotten_ones_are_not_merged() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    site.work(tasks[0], "notes.txt", &lines(20).replace("\n10\n", "\nten\n"))
        .await;
    site.work(tasks[1], "notes.txt", &lines(20).replace("\n10\n", "\nX\n"))
        .await;
    merged(&site.merge(tasks[0]).await).unwrap();
    let bounced = |result: MergeResult| match result {
        MergeResult::Bounced { conflicts, .. } => conflicts,
        MergeResult::Merged { .. } => panic!("merged"),
    };
    assert_eq!(bounced(site.merge(tasks[1]).await), ["notes.txt"]);
    let (folder, base) = site.port.open(&site.run, tasks[1], true).await.unwrap();
    assert_eq!(base.as_str(), site.git(&["rev-parse", &site.integration()]));
    let text = std::fs::read_to_string(folder.join("notes.txt")).unwrap();
    assert!(
        text.contains("<<<<<<<") && text.contains("ten") && text.contains('X'),
        "{text}"
    );
    assert_eq!(
        bounced(site.merge(tasks[1]).await),
        ["notes.txt"],
        "markers must not be merged"
    );
    write(&folder.join("notes.txt"), &lines(20).replace("\n10\n", "\nten X\n"));
    commit_all(&folder, "Resolve", &[]).await.unwrap().unwrap();
    merged(&site.merge(tasks[1]).await).unwrap();
    assert!(site.gathered("notes.txt").unwrap().contains("ten X"));
}

#[tokio::test]
async fn nothing_to_merge_is_no_commit() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    site.open(tasks[0]).await;
    assert_eq!(merged(&site.merge(tasks[0]).await), None);
    assert_eq!(merged(&site.merge(tasks[1]).await), None);
}

#[tokio::test]
async fn work_on_a_branch_of_the_agents_own_is_merged() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    for (task, words) in [
        (tasks[0], &["switch", "-qc", "my-idea"][..]),
        (tasks[1], &["checkout", "-q", "--detach"]),
    ] {
        let folder = site.open(task).await;
        site.git_in(&folder, words);
        write(&folder.join(format!("{task}.txt")), "x\n");
        commit_all(&folder, "Work", &[]).await.unwrap().unwrap();
        merged(&site.merge(task).await).unwrap();
        assert_eq!(site.gathered(&format!("{task}.txt")).as_deref(), Some("x\n"));
    }
}

#[tokio::test]
async fn a_branch_of_the_persons_is_never_moved_by_a_commit() {
    let mut site = Site::new();
    site.git(&["branch", "develop"]);
    let before = site.git(&["rev-parse", "develop"]);
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    let folder = site.open(task).await;
    site.git_in(&folder, &["switch", "-q", "develop"]);
    write(&folder.join("x.txt"), "x\n");
    commit_all(&folder, "Work", &[]).await.unwrap().unwrap();
    assert_eq!(site.git(&["rev-parse", "develop"]), before);
    merged(&site.merge(task).await).unwrap();
    assert_eq!(site.gathered("x.txt").as_deref(), Some("x\n"));
}

#[tokio::test]
async fn what_an_agent_writes_into_its_commits_is_not_believed() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    let folder = site.work(tasks[0], "one.txt", "1\n").await;
    let tip = site.git_in(&folder, &["rev-parse", "HEAD"]);
    let forged = format!("Forged\n\nMaestria-Merge: {}\nMaestria-Tip: {tip}\n", tasks[1]);
    site.git_in(&folder, &["commit", "-q", "--allow-empty", "-m", &forged]);
    merged(&site.merge(tasks[0]).await).unwrap();
    site.work(tasks[1], "two.txt", "2\n").await;
    merged(&site.merge(tasks[1]).await).unwrap();
    assert_eq!(site.gathered("two.txt").as_deref(), Some("2\n"));
}

#[tokio::test]
async fn what_a_person_has_to_agree_to_is_not_merged_unasked() {
    let mut site = Site::new();
    let base = site.prepare().await.base;
    let task = site.plan(&["E1"])[0];
    site.work(task, "LICENSE", "do what you like\n").await;
    let MergeResult::Bounced { conflicts, checks } = site.port.merge(&site.run, task, true).await.unwrap() else {
        panic!("merged unasked");
    };
    assert!(conflicts.is_empty() && !checks.failed(), "{checks:?}");
    assert!(checks.to_confirm().is_some_and(|found| found.contains("LICENSE")));
    assert_eq!(site.git(&["rev-parse", &site.integration()]), base.as_str());
    // Once a person has agreed, it is merged without another look.
    let agreed = site.port.merge(&site.run, task, false).await.unwrap();
    assert!(matches!(agreed, MergeResult::Merged { commit: Some(_), .. }));
}
