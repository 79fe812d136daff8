use std::time::Duration;

use maestria_sandbox::{Gone, Grace, StopStep, find_marked};

use crate::scene::{TIERS, alive_with, eventually, lives, shell, start, unique_sleep, until_said};

const SHORT: Grace = Grace {
    interrupt: Duration::from_millis(300),
    terminate: Duration::from_millis(300),
};
const PATIENT: Grace = Grace {
    interrupt: Duration::from_secs(20),
    terminate: Duration::from_secs(20),
};

#[tokio::test]
async fn exit_code_and_signal_are_the_workers_own() {
    for tier in TIERS {
        let worker = start(tier, "exit 42");
        let exit = worker.wait().await;
        assert_eq!((exit.code, exit.signal), (Some(42), None), "{tier}");
        assert_eq!(worker.wait().await, exit, "asking again gives the same answer");
        assert_eq!(worker.interrupt().await, Err(Gone));

        let exit = start(tier, "kill -USR1 $$").wait().await;
        assert_eq!((exit.code, exit.signal), (None, Some(libc::SIGUSR1)), "{tier}");
    }
}

#[tokio::test]
async fn detached_daemons_end_with_the_worker() {
    for tier in TIERS {
        let sleep = unique_sleep();
        // Twice forked, own session, empty environment, every descriptor elsewhere.
        let script =
            format!("(setsid env -i /bin/sh -c 'sleep {sleep} & exec sleep {sleep}' >/dev/null 2>&1 </dev/null &) ; ");
        let mut worker = start(tier, &format!("{script} echo ready; exec sleep {sleep}"));
        let _stdout = until_said(&mut worker, "ready").await;
        eventually("daemon runs", || alive_with(&sleep).len() >= 3).await;
        let exit = worker.kill().await;
        assert_eq!(alive_with(&sleep), Vec::<u32>::new(), "{tier}: after kill");
        assert_eq!((exit.signal, exit.survivors), (Some(libc::SIGKILL), 0));

        let worker = start(
            tier,
            &format!("{script} while ! pgrep -f 'sleep {sleep}' >/dev/null; do :; done; exit 3"),
        );
        assert_eq!(worker.wait().await.code, Some(3), "{tier}");
        assert_eq!(alive_with(&sleep), Vec::<u32>::new(), "{tier}: after its own exit");
    }
}

#[tokio::test]
async fn stop_takes_the_politest_step_that_works() {
    let cases = [
        (
            "trap 'exit 7' INT; echo ready; while :; do sleep 0.02; done",
            PATIENT,
            StopStep::Interrupt,
            Some(7),
        ),
        (
            "trap '' INT; trap 'exit 8' TERM; echo ready; while :; do sleep 0.02; done",
            SHORT_PATIENT,
            StopStep::Terminate,
            Some(8),
        ),
        (
            "trap '' INT TERM; echo ready; while :; do sleep 0.02; done",
            SHORT,
            StopStep::Kill,
            None,
        ),
    ];
    for tier in TIERS {
        for (script, grace, by, code) in cases {
            let mut worker = start(tier, script);
            let _stdout = until_said(&mut worker, "ready").await;
            let stopped = worker.stop(grace).await;
            assert_eq!((stopped.by, stopped.exit.code), (by, code), "{tier}: {script}");
            assert_eq!(worker.stop(grace).await.by, StopStep::Already);
        }
    }
}

const SHORT_PATIENT: Grace = Grace {
    interrupt: Duration::from_millis(300),
    terminate: Duration::from_secs(20),
};

#[tokio::test]
async fn a_frozen_worker_is_thawed_to_be_stopped_and_needs_no_thaw_to_be_killed() {
    for tier in TIERS {
        let mut worker = start(tier, "trap 'exit 7' INT; echo ready; while :; do sleep 0.02; done");
        let _stdout = until_said(&mut worker, "ready").await;
        worker.freeze().await.unwrap();
        let stopped = worker.stop(PATIENT).await;
        assert_eq!(
            (stopped.by, stopped.exit.code),
            (StopStep::Interrupt, Some(7)),
            "{tier}"
        );

        let worker = start(tier, "exec sleep 3600");
        worker.freeze().await.unwrap();
        assert_eq!(worker.kill().await.signal, Some(libc::SIGKILL), "{tier}");
        assert!(!worker.is_frozen(), "the dead are not frozen");
    }
}

#[tokio::test]
async fn dropping_kills() {
    for tier in TIERS {
        let sleep = unique_sleep();
        let mut worker = start(tier, &format!("setsid sleep {sleep} & echo ready; exec sleep {sleep}"));
        let stdout = until_said(&mut worker, "ready").await;
        eventually("both run", || alive_with(&sleep).len() >= 2).await;
        drop(worker);
        assert_eq!(alive_with(&sleep), Vec::<u32>::new(), "{tier}");
        drop(stdout);
    }
}

#[tokio::test]
async fn a_killed_keeper_or_guard_takes_the_worker_along() {
    let sleep = unique_sleep();
    let worker = start(
        maestria_sandbox::Tier::Namespace,
        &format!("setsid sleep {sleep} & exec sleep {sleep}"),
    );
    eventually("both run", || alive_with(&sleep).len() >= 2).await;
    kill(worker.pid());
    assert_eq!(worker.wait().await.signal, Some(libc::SIGKILL));
    assert_eq!(alive_with(&sleep), Vec::<u32>::new(), "init was killed");

    let worker = start(
        maestria_sandbox::Tier::Namespace,
        &format!("setsid sleep {sleep} & exec sleep {sleep}"),
    );
    eventually("both run", || alive_with(&sleep).len() >= 2).await;
    kill(parent_of(worker.pid()));
    assert_eq!(worker.wait().await.signal, Some(libc::SIGKILL));
    assert_eq!(alive_with(&sleep), Vec::<u32>::new(), "the outer guard was killed");
}

#[tokio::test]
async fn strays_are_found_by_their_marker_and_killed_exactly() {
    let marker = format!("stray-test-{}", std::process::id());
    let mut spec = shell(maestria_sandbox::Tier::Subreaper, "setsid sleep 3600 & exec sleep 3600");
    spec.marker = Some(marker.clone());
    let worker = maestria_sandbox::Supervised::spawn(spec).unwrap();
    eventually("both are found", || find_marked(&marker).len() >= 2).await;
    // The guard of this tier is the one thing that must not die; killed, it leaves strays.
    kill(worker.pid());
    worker.wait().await;
    for stray in find_marked(&marker) {
        assert!(stray.command.contains("sleep"), "{stray:?}");
        stray.kill().unwrap();
        eventually("stray is gone", || !lives(stray.pid as u32)).await;
    }
    assert_eq!(find_marked(&marker), []);
    assert_eq!(
        find_marked(&marker[..marker.len() - 1]),
        [],
        "a part of a marker is not the marker"
    );
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
