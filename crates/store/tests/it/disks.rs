//! Disks that fail at work. The kernel itself says no, by a system call filter in a process of its own: from then on
//! nothing is acknowledged any more, reading goes on, and what was acknowledged before is there afterwards.

use crate::scene::{assert_sound, block_on, go_to, ground, place, said_by, second, second_in_shell, whole_steps};
use maestria_kernel::port::{Store as _, StoreError};
use maestria_store::SqliteStore;
use maestria_testkit::store::{batch, run, said};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};
use std::path::Path;

const WRITES: &[i64] = &[libc::SYS_write, libc::SYS_pwrite64, libc::SYS_writev, libc::SYS_pwritev];
const FLUSHES: &[i64] = &[libc::SYS_fsync, libc::SYS_fdatasync];

/// From now on these calls fail in this process, but not on its standard streams.
fn let_fail(calls: &[i64], errno: i32) {
    let file = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Gt, 2).unwrap();
    let rules = calls
        .iter()
        .map(|call| (*call, vec![SeccompRule::new(vec![file.clone()]).unwrap()]));
    let filter: BpfProgram = SeccompFilter::new(
        rules.collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.cast_unsigned()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .unwrap()
    .try_into()
    .unwrap();
    apply_filter_all_threads(&filter).unwrap();
}

/// In the second process: works, has the disk fail, and is refused from then on.
async fn meet(path: &Path, calls: &[i64], errno: i32) {
    let store = SqliteStore::open(path).unwrap();
    go_to(&store, run(1), 100).await.unwrap();
    let_fail(calls, errno);
    let refused = go_to(&store, run(1), 101).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unwritable { .. }), "{refused:?}");
    println!("\nrefused {refused}");
    // Asking again does not help, whoever asks for whatever: a failed flush must not be taken for a good one.
    for number in 1..5 {
        assert_eq!(
            store.commit(run(number), batch(0, [said("again")])).await,
            Err(refused.clone())
        );
    }
    assert_eq!(store.answer(run(1), 1, None).await, Err(refused));
    assert_eq!(whole_steps(&store, run(1)).await, 100);
    store.close().await;
}

/// In the first process: hears of the refusal, and finds everything acknowledged afterwards.
fn survives(test: &str, word: &str) {
    let (_folder, path) = place();
    let refusals = said_by(second(test, &path), "refused ");
    assert_eq!(refusals.len(), 1);
    assert!(
        refusals[0].contains(word) && refusals[0].contains(path.to_str().unwrap()),
        "{}",
        refusals[0]
    );
    block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        let stored = whole_steps(&store, run(1)).await;
        // The step that was refused may be on the disk: nobody has said that it is, nobody that it is not.
        assert!((100..=101).contains(&stored), "{stored}");
        go_to(&store, run(1), 150).await.unwrap();
        store.close().await;
    });
    assert_sound(&path);
}

#[test]
fn a_full_disk() {
    match ground() {
        Some(path) => block_on(meet(&path, WRITES, libc::ENOSPC)),
        None => survives("disks::a_full_disk", "full"),
    }
}

#[test]
fn a_disk_that_cannot_write() {
    match ground() {
        Some(path) => block_on(meet(&path, WRITES, libc::EIO)),
        None => survives("disks::a_disk_that_cannot_write", "I/O"),
    }
}

#[test]
fn a_disk_that_cannot_flush() {
    match ground() {
        Some(path) => block_on(meet(&path, FLUSHES, libc::EIO)),
        None => survives("disks::a_disk_that_cannot_flush", "I/O"),
    }
}

#[test]
fn a_disk_that_has_become_read_only() {
    match ground() {
        Some(path) => block_on(meet(&path, WRITES, libc::EROFS)),
        None => survives("disks::a_disk_that_has_become_read_only", "cannot be written"),
    }
}

/// The limit of a file's size stands in for the end of the disk, because it can be raised again: the same program goes
/// on once there is space.
#[test]
fn space_that_comes_back() {
    if let Some(path) = ground() {
        return block_on(run_out_of_space(&path));
    }
    let (_folder, path) = place();
    let ignoring = "trap '' XFSZ";
    let said = said_by(
        second_in_shell(ignoring, "disks::space_that_comes_back", &path),
        "stored ",
    );
    let [before, after] = &said[..] else { panic!("{said:?}") };
    block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(whole_steps(&store, run(1)).await, after.parse::<u64>().unwrap());
        assert!(before.parse::<u64>().unwrap() > 10, "{before} steps fitted in");
    });
    assert_sound(&path);
}

async fn run_out_of_space(path: &Path) {
    let limit = getrlimit(Resource::Fsize);
    let store = SqliteStore::open(path).unwrap();
    let small = Rlimit {
        current: Some(512 << 10),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Fsize, small).unwrap();
    let mut stored = 0;
    let refused = loop {
        match go_to(&store, run(1), stored + 1).await {
            Ok(()) => stored += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, StoreError::Unwritable { .. }), "{refused:?}");
    assert_eq!(whole_steps(&store, run(1)).await, stored);
    println!("\nstored {stored}");
    store.close().await;
    // Without space it can still be opened and read.
    let store = SqliteStore::open(path).unwrap();
    assert_eq!(whole_steps(&store, run(1)).await, stored);
    store.close().await;
    setrlimit(Resource::Fsize, limit).unwrap();
    let store = SqliteStore::open(path).unwrap();
    go_to(&store, run(1), stored + 100).await.unwrap();
    store.close().await;
    println!("\nstored {}", stored + 100);
}
