//! What the tests share: shell workers, polling with a deadline, and a look at every process of the machine.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use maestria_sandbox::{Limits, Spec, Supervised, Tier};
use tokio::io::AsyncReadExt as _;

pub(crate) const TIERS: [Tier; 2] = [Tier::Namespace, Tier::Subreaper];
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A shell script as a worker, without limits so that one test tests one thing.
pub(crate) fn shell(tier: Tier, script: &str) -> Spec {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".into(), script.into()];
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.limits = Limits::none();
    spec.tier = Some(tier);
    spec
}

pub(crate) fn start(tier: Tier, script: &str) -> Supervised {
    Supervised::spawn(shell(tier, script)).unwrap()
}

/// Everything the worker prints.
pub(crate) async fn output(worker: &mut Supervised) -> String {
    let mut text = String::new();
    let mut stdout = worker.take_stdout().unwrap();
    tokio::time::timeout(LONG, stdout.read_to_string(&mut text))
        .await
        .expect("output ends")
        .unwrap();
    text
}

/// Reads until the worker has printed `line`.
pub(crate) async fn until_said(worker: &mut Supervised, line: &str) -> tokio::process::ChildStdout {
    let mut stdout = worker.take_stdout().unwrap();
    let mut text = Vec::new();
    let wanted = format!("{line}\n");
    let said = async {
        while !String::from_utf8_lossy(&text).contains(&wanted) {
            let byte = stdout.read_u8().await.expect("worker goes on talking");
            text.push(byte);
        }
    };
    tokio::time::timeout(LONG, said).await.expect("worker says it in time");
    stdout
}

/// A number of seconds to sleep which no other test uses, to find the sleeper by its command line.
pub(crate) fn unique_sleep() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("3600.{}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Live processes whose command line contains `token`, found without the crate's own means.
pub(crate) fn alive_with(token: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| *pid != std::process::id() && says(*pid, token) && lives(*pid))
        .collect()
}

fn says(pid: u32, token: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(token)
}

/// Exists and is not a zombie.
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Polls until `reached`, and fails after a deadline.
pub(crate) async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !reached() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
