//! Databases in folders of their own, what is written into them, and tests that play a part in a second process.

use maestria_kernel::{
    EffectId, RunId, Seq,
    effect::Effect,
    port::{Batch, Store, StoreError},
};
use maestria_store::SqliteStore;
use maestria_testkit::store::{batch, log_of, said};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

const GROUND: &str = "MAESTRIA_TEST_GROUND";

/// A folder and the place of a database in it.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

/// The files beside a database.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Event number `seq` of a run, which owes an effect and settles that of the event before.
pub(crate) fn step(run: RunId, seq: u64) -> Batch {
    let debt = |seq| EffectId {
        seq: Seq(seq),
        index: 0,
    };
    let mut step = batch(seq - 1, [said(words(run, seq))]);
    step.owed = vec![(debt(seq), Effect::Plan)];
    step.settled = vec![debt(seq - 1)];
    step
}

fn words(run: RunId, seq: u64) -> String {
    format!("{run} says {seq} {}", "and so on ".repeat((seq % 40) as usize))
}

/// Stores the steps up to number `until`.
pub(crate) async fn go_to(store: &SqliteStore, run: RunId, until: u64) -> Result<(), StoreError> {
    let newest = log_of(store, run).await.len() as u64;
    for seq in newest + 1..=until {
        store.commit(run, step(run, seq)).await?;
    }
    Ok(())
}

/// Checks that a run is whole steps from the first on, and returns how many.
pub(crate) async fn whole_steps(store: &SqliteStore, run: RunId) -> u64 {
    let log = log_of(store, run).await;
    for (stored, seq) in log.iter().zip(1..) {
        assert_eq!(stored.seq, Seq(seq));
        assert_eq!(stored.event, said(words(run, seq)));
    }
    let newest = log.len() as u64;
    let owed: Vec<u64> = store.owed(run).await.unwrap().iter().map(|(id, _)| id.seq.0).collect();
    assert!(
        owed.iter().copied().eq((newest > 0).then_some(newest)),
        "{owed:?} owed after {newest} steps"
    );
    newest
}

/// SQLite's own opinion of a database.
pub(crate) fn assert_sound(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let opinion: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(opinion, "ok");
}

/// The ground that a second process is given; `None` in the first one.
pub(crate) fn ground() -> Option<PathBuf> {
    std::env::var_os(GROUND).map(PathBuf::from)
}

/// The test of this name once more, in a process of its own; there [`ground`] is `Some`. What it says must begin on a
/// line of its own, because the harness writes too.
pub(crate) fn second(test: &str, ground: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    play(&mut command, test, ground);
    command
}

/// Like [`second`], as a child of a shell that runs `before` first.
pub(crate) fn second_in_shell(before: &str, test: &str, ground: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap());
    play(&mut command, test, ground);
    command
}

fn play(command: &mut Command, test: &str, ground: &Path) {
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env_clear()
        .env(GROUND, ground)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
}

/// Runs a second process to its good end and returns the lines it said that begin with `word`.
pub(crate) fn said_by(mut command: Command, word: &str) -> Vec<String> {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text.lines()
        .filter_map(|line| line.strip_prefix(word))
        .map(|rest| rest.trim().to_owned())
        .collect()
}

/// A runtime for tests that are no async functions because they are processes, too. It does no input or output of its
/// own, so that a process whose writes fail still runs.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
        .block_on(future)
}
