use super::{Lease, LeaseError};
use maestria_kernel::RunId;
use std::{fs::File, io::Write as _, path::Path, time::Duration};
use uuid::Uuid;

/// A lock that somebody holds, who says that he is this process.
fn held(folder: &Path, run: RunId, holder: impl std::fmt::Display) -> File {
    let mut file = File::create(folder.join(format!("{run}.lock"))).unwrap();
    file.try_lock().unwrap();
    write!(file, "{holder}").unwrap();
    file
}

/// A process that has ended, and whose number nobody has yet.
fn dead() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let number = child.id();
    child.wait().unwrap();
    number
}

#[tokio::test]
async fn a_dead_holders_lock_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::new(Uuid::from_u128(1));
    let lock = held(folder.path(), run, dead());
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(lock);
    });
    Lease::take(folder.path(), run).await.unwrap();
    ending.join().unwrap();
}

#[tokio::test]
async fn a_living_holder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::new(Uuid::from_u128(1));
    let _lock = held(folder.path(), run, std::process::id());
    let Err(LeaseError::Held { holder, .. }) = Lease::take(folder.path(), run).await else {
        panic!("it was given twice")
    };
    assert_eq!(holder, std::process::id().to_string());
}

#[tokio::test]
async fn a_driver_waits_for_who_only_enters_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::new(Uuid::from_u128(1));
    let passing = Lease::pass(folder.path(), run).await.unwrap();
    let entering = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(passing);
    });
    let driving = Lease::take(folder.path(), run).await.unwrap();
    entering.join().unwrap();
    let passed = Lease::pass(folder.path(), run).await;
    assert!(
        matches!(passed, Err(LeaseError::Held { .. })),
        "a driver is not waited for"
    );
    drop(driving);
}

#[tokio::test]
async fn whoever_has_not_yet_said_who_he_is_is_given_time_to() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::new(Uuid::from_u128(1));
    // The file still names a process that lives and had the lease before.
    let lock = held(folder.path(), run, std::process::id());
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(lock);
    });
    Lease::take(folder.path(), run).await.unwrap();
    ending.join().unwrap();
}
