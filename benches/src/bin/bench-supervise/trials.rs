//! Workers that do not want to end, stopped, killed, or orphaned by a crash of their supervisor.

use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Table};
use maestria_sandbox::{Grace, Limits, Spec, Supervised, Tier};
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The word by which this program knows that it is the supervisor which is to crash.
pub(crate) const HOLD: &str = "--hold";

const TRIALS: u32 = 1000;

/// How long the kernel is given to clear up after a crash.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let (mut survivors, mut stopped, mut killed, mut crashed) = (0, 0, 0, 0);
    for trial in 0..TRIALS {
        let tier = if trial % 2 == 0 {
            Tier::Namespace
        } else {
            Tier::Subreaper
        };
        // Seconds to sleep that nothing else sleeps: the token by which survivors are found.
        let token = format!("7200.{}{trial:04}", std::process::id());
        let script = stubborn(&token);
        match trial % 3 {
            0 => {
                let grace = Grace {
                    interrupt: Duration::from_millis(5),
                    terminate: Duration::from_millis(5),
                };
                Supervised::spawn(spec(tier, &script))?.stop(grace).await;
                stopped += 1;
            }
            1 => {
                Supervised::spawn(spec(tier, &script))?.kill().await;
                killed += 1;
            }
            _ => {
                crash(tier, &script, trial)?;
                crashed += 1;
            }
        }
        survivors += left(&token);
    }
    let beside = format!("{stopped} stopped, {killed} killed, {crashed} crashes of the supervisor, in both tiers");
    table.show(&Figure::at_most(
        "processes that survived 1,000 trials",
        survivors as f64,
        "",
        0.0,
        beside,
    ));
    Ok(())
}

/// A worker that takes no hint, with a child, and one that went into a session of its own with nothing in its environment.
fn stubborn(token: &str) -> String {
    format!("trap '' INT TERM HUP; (setsid env -i sleep {token} &) ; sleep {token} & wait; wait")
}

fn spec(tier: Tier, script: &str) -> Spec {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".into(), script.into()];
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.limits = Limits::none();
    spec.tier = Some(tier);
    spec
}

/// Kills a supervisor with SIGKILL, each time at another moment from before the fork to long after.
fn crash(tier: Tier, script: &str, trial: u32) -> anyhow::Result<()> {
    let mut supervisor = Command::new(std::env::current_exe()?)
        .args([HOLD, &tier.to_string(), script])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_micros(u64::from(trial % 60) * 500));
    supervisor.kill()?;
    supervisor.wait()?;
    Ok(())
}

/// What the supervisor of a crash trial does: it holds a worker until it is killed.
pub(crate) async fn hold(tier: &str, script: &str) -> anyhow::Result<()> {
    let tiers = [Tier::Namespace, Tier::Subreaper];
    let tier = tiers
        .into_iter()
        .find(|t| t.to_string() == tier)
        .context("which tier?")?;
    let ended = Supervised::spawn(spec(tier, script))?.wait().await;
    ensure!(ended.code == Some(0), "the worker ended by itself: {ended:?}");
    Ok(())
}

/// Processes with the token in their command line after the patience is over.
fn left(token: &str) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = alive(token);
        if left == 0 || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn alive(token: &str) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    // A zombie has no command line any more.
    let lines = entries
        .flatten()
        .filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(token))
        .count()
}
