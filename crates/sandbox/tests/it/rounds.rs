use std::time::{Duration, Instant};

use maestria_sandbox::{Limits, Supervised};

use crate::scene::{LONG, TIERS, alive_with, eventually, shell, start, unique_sleep};

#[tokio::test]
async fn two_hundred_rounds_leave_no_process_and_no_descriptor() {
    for tier in TIERS {
        let sleep = unique_sleep();
        start(tier, "exit 0").wait().await;
        let before = open_descriptors();
        for round in 0..100 {
            let worker = start(tier, &format!("(setsid sleep {sleep} &) ; exec sleep {sleep}"));
            match round % 3 {
                0 => drop(worker),
                1 => assert_eq!(worker.kill().await.survivors, 0),
                _ => {
                    worker.freeze().await.unwrap();
                    worker.kill().await;
                }
            }
            assert_eq!(
                alive_with(&format!("sleep\0{sleep}")),
                Vec::<u32>::new(),
                "{tier}, round {round}"
            );
        }
        eventually("descriptors are closed", || open_descriptors() <= before).await;
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_keep_apart() {
    for tier in TIERS {
        let sleep = unique_sleep();
        let starts = (0..40).map(|number| {
            let script = format!("sleep {sleep} & exit {number}");
            tokio::spawn(async move {
                tokio::time::timeout(LONG, start(tier, &script).wait())
                    .await
                    .unwrap()
                    .code
            })
        });
        let starts: Vec<_> = starts.collect();
        for (number, start) in starts.into_iter().enumerate() {
            assert_eq!(start.await.unwrap(), Some(number as i32), "{tier}");
        }
        assert_eq!(alive_with(&format!("sleep\0{sleep}")), Vec::<u32>::new(), "{tier}");
    }
}

/// Bounds the cost of supervision loosely, for a loaded machine, and prints it (`--no-capture`).
#[tokio::test]
async fn supervision_costs_milliseconds_at_most() {
    let ballast = vec![7_u8; 64 << 20];
    let rounds = 40;
    let began = Instant::now();
    for _ in 0..rounds {
        let status = tokio::process::Command::new("/bin/true")
            .env_clear()
            .status()
            .await
            .unwrap();
        assert!(status.success());
    }
    let plain = began.elapsed() / rounds;
    println!("plain command: {plain:?}");
    for tier in TIERS {
        for (what, limits) in [("without limits", Limits::none()), ("with limits", Limits::default())] {
            let began = Instant::now();
            let mut spawning = Duration::ZERO;
            for _ in 0..rounds {
                let mut spec = shell(tier, "");
                spec.program = "/bin/true".into();
                spec.args.clear();
                spec.limits = limits.clone();
                let start = Instant::now();
                let worker = Supervised::spawn(spec).unwrap();
                spawning += start.elapsed();
                assert!(worker.wait().await.is_zero());
            }
            let whole = began.elapsed() / rounds;
            println!("{tier} {what}: start {:?}, start to end {whole:?}", spawning / rounds);
            assert!(
                spawning / rounds < plain + Duration::from_millis(60),
                "{tier}: {:?}",
                spawning / rounds
            );
        }
    }
    assert_eq!(ballast.len(), 64 << 20);
}
