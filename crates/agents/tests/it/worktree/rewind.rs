use super::{Site, merged, write};
use maestria_kernel::{port::Repository as _, state::TaskState};

#[tokio::test]
async fn takes_exactly_the_reset_work_out_although_later_work_stands_on_it() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2", "E3"]);
    site.work(tasks[0], "one.txt", "1\n").await;
    merged(&site.merge(tasks[0]).await).unwrap();
    // E2 begins where E1 is already in, without needing it.
    site.work(tasks[1], "two.txt", "2\n").await;
    merged(&site.merge(tasks[1]).await).unwrap();
    let folder = site.open(tasks[2]).await;
    write(&folder.join("half.txt"), "half\n");
    let old = site.git(&["rev-parse", &site.integration()]);

    let first = site.run.tasks.get_mut(&tasks[0]).unwrap();
    first.state = TaskState::Waiting;
    first.merged = None;
    for _ in 0..2 {
        site.port.rewind(&site.run).await.unwrap();
        assert_eq!(site.gathered("one.txt"), None, "the reset work is out");
        assert_eq!(site.gathered("two.txt").as_deref(), Some("2\n"));
    }
    let kept = site.git(&["for-each-ref", "--format=%(objectname)", "refs/maestria/"]);
    assert!(kept.contains(&old));
    let half = kept.lines().any(|c| {
        site.command(&site.repo(), &["cat-file", "-e", &format!("{c}:half.txt")])
            .status()
            .unwrap()
            .success()
    });
    assert!(half, "uncommitted work of a retired worktree is kept");

    let folder = site.work(tasks[0], "one.txt", "again\n").await;
    assert!(folder.join("two.txt").exists());
    merged(&site.merge(tasks[0]).await).unwrap();
    assert_eq!(site.gathered("one.txt").as_deref(), Some("again\n"));
    assert_eq!(site.gathered("two.txt").as_deref(), Some("2\n"));
}

#[tokio::test]
async fn with_nothing_reset_nothing_changes() {
    let mut site = Site::new();
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, "one.txt", "1\n").await;
    let commit = merged(&site.merge(task).await).unwrap();
    site.port.rewind(&site.run).await.unwrap();
    assert_eq!(site.git(&["rev-parse", &site.integration()]), commit);
}

#[tokio::test]
async fn work_that_cannot_stand_without_it_is_refused() {
    let mut site = Site::new();
    site.prepare().await;
    let tasks = site.plan(&["E1", "E2"]);
    site.work(tasks[0], "one.txt", "1\n").await;
    merged(&site.merge(tasks[0]).await).unwrap();
    site.work(tasks[1], "one.txt", "1 and 2\n").await;
    merged(&site.merge(tasks[1]).await).unwrap();
    let old = site.git(&["rev-parse", &site.integration()]);
    site.run.tasks.get_mut(&tasks[0]).unwrap().state = TaskState::Waiting;
    let error = site.port.rewind(&site.run).await.unwrap_err().to_string();
    assert!(error.contains("E2") && error.contains("one.txt"), "{error}");
    assert_eq!(site.git(&["rev-parse", &site.integration()]), old);
}
