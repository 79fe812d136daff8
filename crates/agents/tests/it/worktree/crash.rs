//! Ended at any instant and begun again. Dropping the future kills the git at work, which is harder than a crash of
//! maestria alone: then git lives on to its end.

use super::{Site, lines, merged, write};
use maestria_kernel::port::Repository as _;
use std::time::Duration;

const STEPS: u64 = 25;

/// Later and later instants: 0, 3, 6 … ms.
fn instants() -> impl Iterator<Item = Duration> {
    (0..STEPS).map(|step| Duration::from_millis(3 * step))
}

#[tokio::test]
async fn a_merge_ended_anywhere_is_one_merge() {
    for instant in instants() {
        let mut site = Site::new().checked(&["sh", "-c", "test -e one.txt"]);
        site.prepare().await;
        let task = site.plan(&["E1"])[0];
        site.work(task, "one.txt", "1\n").await;
        let _ = tokio::time::timeout(instant, site.port.merge(&site.run, task, true)).await;
        merged(&site.merge(task).await).expect("a commit");
        merged(&site.merge(task).await).expect("a commit");
        let range = format!("main..{}", site.integration());
        assert_eq!(
            site.git(&["rev-list", "--merges", "--count", &range]),
            "1",
            "{instant:?}"
        );
        assert_eq!(site.gathered("one.txt").as_deref(), Some("1\n"));
    }
}

#[tokio::test]
async fn an_open_ended_anywhere_loses_nothing() {
    for instant in instants() {
        let mut site = Site::new();
        site.prepare().await;
        let task = site.plan(&["E1"])[0];
        let _ = tokio::time::timeout(instant, site.port.open(&site.run, task, false)).await;
        let folder = site.open(task).await;
        assert_eq!(
            std::fs::read_to_string(folder.join("notes.txt")).unwrap(),
            lines(20),
            "{instant:?}"
        );
        assert_eq!(
            site.git(&["diff", "main", &format!("{}-E1", site.integration())]),
            "",
            "{instant:?}"
        );
        write(&folder.join("half.txt"), "half\n");
        let _ = tokio::time::timeout(instant, site.port.open(&site.run, task, false)).await;
        site.open(task).await;
        assert_eq!(
            site.git(&["show", &format!("{}-E1:half.txt", site.integration())]),
            "half",
            "{instant:?}"
        );
    }
}

#[tokio::test]
async fn an_apply_ended_anywhere_is_applied_once() {
    for instant in instants() {
        let mut site = Site::new();
        site.prepare().await;
        let task = site.plan(&["E1"])[0];
        site.work(task, "one.txt", "1\n").await;
        merged(&site.merge(task).await).expect("a commit");
        let _ = tokio::time::timeout(instant, site.port.apply(&site.run)).await;
        site.port
            .apply(&site.run)
            .await
            .unwrap_or_else(|e| panic!("{instant:?}: {e}"));
        assert_eq!(
            site.git(&["rev-parse", "main"]),
            site.git(&["rev-parse", &site.integration()])
        );
        assert_eq!(site.git(&["status", "--porcelain"]), "", "{instant:?}");
    }
}

#[tokio::test]
async fn a_prepare_ended_anywhere_is_one_ground() {
    for instant in instants() {
        let mut site = Site::new();
        site.write("dirty.txt", "dirty\n");
        let request = site.request();
        let _ = tokio::time::timeout(instant, site.port.prepare(site.run.id, &request)).await;
        let ground = site.prepare().await;
        assert_eq!(site.prepare().await, ground, "{instant:?}");
        assert_eq!(site.gathered("dirty.txt").as_deref(), Some("dirty\n"));
        assert_eq!(site.git(&["for-each-ref", "refs/heads/maestria/"]).lines().count(), 1);
        assert_eq!(site.git(&["status", "--porcelain"]), "?? dirty.txt");
    }
}
