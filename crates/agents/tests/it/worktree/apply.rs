use super::{Site, lines, merged, write};
use maestria_kernel::port::Repository as _;

async fn with_work(mut site: Site, file: &str, text: &str) -> Site {
    site.prepare().await;
    let task = site.plan(&["E1"])[0];
    site.work(task, file, text).await;
    merged(&site.merge(task).await).unwrap();
    site
}

#[tokio::test]
async fn moves_an_unchanged_branch_forward_once() {
    let site = with_work(Site::new(), "one.txt", "1\n").await;
    let (commit, how) = site.port.apply(&site.run).await.unwrap();
    assert!(how.contains("moved forward"), "{how}");
    assert_eq!(site.git(&["rev-parse", "main"]), commit.as_str());
    assert_eq!(site.read("one.txt"), "1\n");
    assert_eq!(site.git(&["status", "--porcelain"]), "");
    let (again, how) = site.port.apply(&site.run).await.unwrap();
    assert_eq!(again, commit);
    assert!(how.contains("already"), "{how}");
}

#[tokio::test]
async fn merges_when_the_branch_has_moved_on() {
    let site = with_work(Site::new(), "one.txt", "1\n").await;
    site.write("other.txt", "o\n");
    site.git(&["add", "."]);
    site.git(&["commit", "-qm", "other"]);
    site.port.apply(&site.run).await.unwrap();
    assert_eq!(
        (site.read("one.txt"), site.read("other.txt")),
        ("1\n".into(), "o\n".into())
    );
    assert_eq!(site.git(&["rev-list", "--merges", "--count", "HEAD^1..HEAD"]), "2");
    assert_eq!(site.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn refuses_and_changes_nothing_on_conflict_or_in_the_way() {
    let text = lines(20).replace("\n5\n", "\nfive\n");
    let site = with_work(Site::new(), "notes.txt", &text).await;
    site.write("notes.txt", &lines(20).replace("\n5\n", "\nV\n"));
    let state = |site: &Site| {
        (
            site.git(&["rev-parse", "HEAD"]),
            site.read("notes.txt"),
            site.git(&["status", "--porcelain"]),
        )
    };
    let before = state(&site);
    let error = site.port.apply(&site.run).await.unwrap_err().to_string();
    assert!(error.contains("notes.txt"), "{error}");
    assert_eq!(state(&site), before);
    site.git(&["commit", "-qam", "mine"]);
    let before = state(&site);
    let error = site.port.apply(&site.run).await.unwrap_err().to_string();
    assert!(error.contains("conflicts") && error.contains("notes.txt"), "{error}");
    assert_eq!(state(&site), before);

    let site = with_work(Site::new(), "one.txt", "1\n").await;
    site.write("one.txt", "untracked, the person's\n");
    assert!(site.port.apply(&site.run).await.is_err());
    assert_eq!(site.read("one.txt"), "untracked, the person's\n");
    site.git(&["switch", "-qc", "elsewhere"]);
    assert!(
        site.port
            .apply(&site.run)
            .await
            .unwrap_err()
            .to_string()
            .contains("git switch main")
    );
}

#[tokio::test]
async fn a_change_beside_the_work_stays() {
    let site = with_work(Site::new(), "one.txt", "1\n").await;
    site.write("README.md", "mine\n");
    site.port.apply(&site.run).await.unwrap();
    assert_eq!(site.read("README.md"), "mine\n");
    assert_eq!(site.git(&["status", "--porcelain"]), " M README.md");
}

#[tokio::test]
async fn a_dirty_beginning_ends_uncommitted() {
    let dirty = Site::new();
    dirty.write("notes.txt", &lines(20).replace("\n2\n", "\ntwo\n"));
    dirty.write("mine.txt", "mine\n");
    dirty.git(&["add", "mine.txt"]);
    let text = lines(20).replace("\n2\n", "\ntwo\n").replace("\n15\n", "\nfifteen\n");
    let site = with_work(dirty, "notes.txt", &text).await;
    // The person goes on working meanwhile.
    site.write(
        "notes.txt",
        &lines(20).replace("\n2\n", "\ntwo\n").replace("\n9\n", "\nnine\n"),
    );
    let (head, index) = (site.git(&["rev-parse", "HEAD"]), site.git(&["diff", "--cached"]));
    for _ in 0..2 {
        let (_, how) = site.port.apply(&site.run).await.unwrap();
        assert!(how.contains("uncommitted"), "{how}");
        let all = text.replace("\n9\n", "\nnine\n");
        assert_eq!(site.read("notes.txt"), all);
    }
    assert_eq!(site.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(site.git(&["diff", "--cached"]), index);

    site.write("notes.txt", &lines(20).replace("\n15\n", "\nXV\n"));
    let error = site.port.apply(&site.run).await.unwrap_err().to_string();
    assert!(error.contains("notes.txt"), "{error}");
    assert!(site.read("notes.txt").contains("XV"));
}

#[tokio::test]
async fn a_detached_head_gets_a_branch() {
    let detached = Site::new();
    detached.git(&["checkout", "-q", "--detach"]);
    let head = detached.git(&["rev-parse", "HEAD"]);
    let site = with_work(detached, "one.txt", "1\n").await;
    for _ in 0..2 {
        let (commit, how) = site.port.apply(&site.run).await.unwrap();
        let name = format!("{}-result", site.integration());
        assert!(how.contains(&name), "{how}");
        assert_eq!(site.git(&["rev-parse", &name]), commit.as_str());
    }
    assert_eq!(site.git(&["rev-parse", "HEAD"]), head);
}

#[tokio::test]
async fn a_torn_apply_is_taken_back_and_done_again() {
    let site = with_work(Site::new(), "notes.txt", &lines(30)).await;
    let result = site.git(&["rev-parse", &site.integration()]);
    // What a power cut leaves: the mark, a lock, one file half written.
    site.git(&[
        "update-ref",
        &format!("refs/maestria/{}/applying", site.run.id),
        &result,
    ]);
    std::fs::write(site.repo().join(".git/index.lock"), "").unwrap();
    site.write("notes.txt", &lines(25));
    site.port.apply(&site.run).await.unwrap();
    assert_eq!(site.read("notes.txt"), lines(30));
    assert_eq!(site.git(&["rev-parse", "main"]), result);
    assert_eq!(site.git(&["status", "--porcelain"]), "");
    assert!(!site.git(&["for-each-ref", "refs/maestria/"]).contains("applying"));
}

#[tokio::test]
async fn discard_leaves_the_person_and_the_documents() {
    let mut site = Site::new();
    site.git(&["branch", "maestria-of-mine"]);
    let refs = site.git(&["for-each-ref"]);
    site.prepare().await;
    let tasks = site.plan(&["E1", "T2"]);
    site.work(tasks[0], "one.txt", "1\n").await;
    merged(&site.merge(tasks[0]).await).unwrap();
    let folder = site.open(tasks[1]).await;
    write(&folder.join("lost.txt"), "never committed\n");
    for _ in 0..2 {
        site.port.discard(&site.run).await.unwrap();
    }
    assert_eq!(site.git(&["for-each-ref"]), refs);
    assert_eq!(site.git(&["worktree", "list"]).lines().count(), 1);
    assert!(!folder.exists());
    assert!(site.workspace().join("requirements/task.md").exists());
    // Even then the work can be found.
    let list = std::fs::read_to_string(site.workspace().join("implementation/discarded.txt")).unwrap();
    let line = list.lines().find(|l| l.ends_with("-T2")).expect("listed");
    let commit = line.split(' ').next().unwrap();
    assert_eq!(site.git(&["show", &format!("{commit}:lost.txt")]), "never committed");
}
