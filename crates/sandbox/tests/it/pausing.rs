use std::time::Duration;

use crate::scene::{TIERS, eventually, start, until_said};

#[tokio::test]
async fn freezing_stops_the_whole_family_and_thawing_lets_it_go_on() {
    for tier in TIERS {
        let mut worker = start(
            tier,
            "setsid sh -c 'while :; do :; done' & echo ready; while :; do :; done",
        );
        let _stdout = until_said(&mut worker, "ready").await;
        eventually("burns time", || worker.usage().cpu > Duration::from_millis(50)).await;
        worker.freeze().await.unwrap();
        assert!(worker.is_frozen());
        // A stop signal is acted on when a process next leaves the kernel; then time must stand still.
        let frozen = settled(&worker).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(
            worker.usage().cpu,
            frozen,
            "{tier}: two busy loops used no time in 300 ms"
        );
        worker.thaw().await.unwrap();
        assert!(!worker.is_frozen());
        eventually("burns time again", || {
            worker.usage().cpu > frozen + Duration::from_millis(50)
        })
        .await;
        worker.kill().await;
    }
}

async fn settled(worker: &maestria_sandbox::Supervised) -> Duration {
    let mut last = worker.usage().cpu;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = worker.usage().cpu;
        if now == last {
            return now;
        }
        last = now;
    }
    panic!("never stood still");
}
