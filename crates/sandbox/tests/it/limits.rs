use std::time::{Duration, Instant};

use maestria_sandbox::{Backend, Enforced, Limits, Supervised};

use crate::scene::{LONG, TIERS, eventually, output, shell};

fn limited(tier: maestria_sandbox::Tier, limits: Limits, script: &str) -> Supervised {
    let mut spec = shell(tier, script);
    spec.limits = limits;
    Supervised::spawn(spec).unwrap()
}

#[tokio::test]
async fn too_much_memory_ends_the_worker_and_is_labelled() {
    for tier in TIERS {
        let limits = Limits {
            memory: Some(64 << 20),
            ..Limits::none()
        };
        // One endless line: tail keeps all of it.
        let worker = limited(tier, limits, "exec tail /dev/zero");
        let by = worker.enforced().memory.unwrap();
        // `cargo xtask guest` looks for it.
        println!("{tier}: memory is held by {by:?}");
        let exit = worker.wait().await;
        match by {
            Backend::Rlimit => assert!(!exit.is_zero(), "{exit:?}"),
            _ => {
                assert!(exit.out_of_memory, "{tier}: {exit:?}");
                assert_eq!(exit.signal, Some(libc::SIGKILL));
                let usage = worker.usage();
                assert!(
                    usage.out_of_memory_kills >= 1 && usage.memory_peak >= 60 << 20 && usage.memory_peak <= 64 << 20,
                    "{usage:?}"
                );
            }
        }
        let worker = limited(
            tier,
            Limits {
                memory: Some(64 << 20),
                ..Limits::none()
            },
            "exit 1",
        );
        assert!(
            !worker.wait().await.out_of_memory,
            "an ordinary failure is not labelled so"
        );
    }
}

#[tokio::test]
async fn too_much_memory_of_one_process_ends_the_whole_worker() {
    for tier in TIERS {
        let limits = Limits {
            memory: Some(64 << 20),
            ..Limits::none()
        };
        let others = "sleep 3600 & (trap '' TERM; setsid sleep 3600) &";
        let worker = limited(tier, limits, &format!("{others} tail /dev/zero; sleep 3600"));
        if worker.enforced().memory == Some(Backend::Rlimit) {
            continue;
        }
        let exit = tokio::time::timeout(LONG, worker.wait()).await;
        let exit = exit.expect("what did not take the memory ends too");
        assert!(exit.out_of_memory && exit.survivors == 0, "{tier}: {exit:?}");
        assert_eq!(exit.signal, Some(libc::SIGKILL), "{tier}");
    }
}

#[tokio::test]
async fn forks_beyond_the_limit_are_refused() {
    for tier in TIERS {
        let limits = Limits {
            processes: Some(8),
            ..Limits::none()
        };
        let mut worker = limited(
            tier,
            limits,
            "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3600 & echo $n; done",
        );
        if worker.enforced().processes.is_none() {
            continue;
        }
        let text = output(&mut worker).await;
        let started = text.lines().count();
        assert!((5..=8).contains(&started), "{tier}: {started}");
        assert!(!worker.wait().await.is_zero());
        if worker.enforced().processes != Some(Backend::Rlimit) {
            assert!(worker.usage().refused_processes >= 1, "{:?}", worker.usage());
        }
    }
}

#[tokio::test]
async fn processor_time_is_held_to_its_share() {
    for tier in TIERS {
        let worker = limited(
            tier,
            Limits {
                cpu_percent: Some(20),
                ..Limits::none()
            },
            "while :; do :; done",
        );
        if worker.enforced().cpu.is_none() {
            continue;
        }
        let began = Instant::now();
        eventually("a second has passed", || began.elapsed() >= Duration::from_secs(1)).await;
        let (used, passed) = (worker.usage().cpu, began.elapsed());
        assert!(used >= Duration::from_millis(60), "{tier}: {used:?}");
        assert!(used <= passed * 30 / 100, "{tier}: {used:?} of {passed:?}");
        worker.kill().await;
    }
}

#[tokio::test]
async fn files_are_limited_in_number_and_size_and_cores_are_off() {
    for tier in TIERS {
        let limits = Limits {
            open_files: Some(64),
            file_size: Some(1 << 20),
            ..Limits::none()
        };
        let mut worker = limited(tier, limits, "ulimit -n; ulimit -Hn; ulimit -f; ulimit -c");
        assert_eq!(worker.enforced().open_files, Some(Backend::Rlimit));
        assert_eq!(output(&mut worker).await, "64\n64\n2048\n0\n", "{tier}");

        let dir = tempfile::tempdir().unwrap();
        let mut spec = shell(tier, "exec head -c 3000000 /dev/zero > big");
        spec.cwd = dir.path().into();
        spec.limits = Limits {
            file_size: Some(1 << 20),
            ..Limits::none()
        };
        let exit = Supervised::spawn(spec).unwrap().wait().await;
        assert_eq!(exit.signal, Some(libc::SIGXFSZ), "{tier}");
        assert_eq!(std::fs::metadata(dir.path().join("big")).unwrap().len(), 1 << 20);
    }
}

#[tokio::test]
async fn groups_are_gone_with_the_worker() {
    let mine = format!("maestria-{}-", std::process::id());
    let worker = limited(TIERS[0], Limits::default(), "exec sleep 3600");
    let enforced = worker.enforced();
    worker.kill().await;
    drop(limited(TIERS[0], Limits::default(), "exec sleep 3600"));
    assert_eq!(
        groups(std::path::Path::new("/sys/fs/cgroup"), &mine),
        Vec::<std::path::PathBuf>::new()
    );
    assert_ne!(enforced, Enforced::default());
}

fn groups(dir: &std::path::Path, mine: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path());
    dirs.flat_map(|path| {
        let own = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(mine));
        if own { vec![path] } else { groups(&path, mine) }
    })
    .collect()
}
