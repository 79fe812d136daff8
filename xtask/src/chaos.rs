//! `cargo xtask chaos --rounds N`: kills the real program with SIGKILL in the middle of a run, resumes it, and counts what
//! was lost, done twice, or left behind.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The longest that a round may take.
const ROUND: Duration = Duration::from_secs(60);

/// A word about how far it is, after so many rounds.
const PROGRESS: u32 = 20;

#[derive(Debug, Default)]
struct Tally {
    rounds: u32,
    killed: u32,
    resumed: u32,
    orphans: usize,
    lost: usize,
    duplicated: usize,
}

/// Runs the rounds and prints the count.
pub(crate) fn run(rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    let program = build()?;
    let ground = std::env::temp_dir().join(format!("maestria-chaos-{}", std::process::id()));
    fs::create_dir_all(&ground)?;
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs()));
    println!("chaos: seed {seed}");
    let mut random = Random(seed);
    let usual = measure(&program, &ground)?;
    let mut tally = Tally::default();
    for number in 0..rounds {
        let home = ground.join(format!("round-{number}"));
        round(&program, &home, usual, &mut random, &mut tally)
            .with_context(|| format!("round {number}, seed {seed}"))?;
        fs::remove_dir_all(&home)?;
        if (number + 1) % PROGRESS == 0 {
            eprintln!("{} of {rounds} rounds", number + 1);
        }
    }
    fs::remove_dir_all(&ground)?;
    println!(
        "rounds {} killed {} resumed {} orphans {} lost {} duplicated {}",
        tally.rounds, tally.killed, tally.resumed, tally.orphans, tally.lost, tally.duplicated
    );
    ensure!(
        tally.orphans + tally.lost + tally.duplicated == 0,
        "the run is not crash-safe"
    );
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = env!("CARGO");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "maestria-cli"])
        .status()?;
    ensure!(built.success(), "building maestria failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(std::path::absolute(target.join("release/maestria"))?)
}

/// A small generator; the seed makes a failed session repeatable (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1)
    }
}

fn command(program: &Path, home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .args(args)
        .stdin(Stdio::null())
        .current_dir(home);
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// How long an undisturbed run takes here.
fn measure(program: &Path, ground: &Path) -> anyhow::Result<Duration> {
    let home = ground.join("undisturbed");
    fs::create_dir_all(&home)?;
    let begun = Instant::now();
    let output = command(program, &home, &["demo"]).output()?;
    ensure!(
        output.status.success(),
        "the demo fails undisturbed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(begun.elapsed())
}

fn round(program: &Path, home: &Path, usual: Duration, random: &mut Random, tally: &mut Tally) -> anyhow::Result<()> {
    tally.rounds += 1;
    fs::create_dir_all(home)?;
    let begun = Instant::now();
    let told = home.join("told.jsonl");
    let mut first = command(program, home, &["demo", "--jsonl"])
        .stdout(fs::File::create(&told)?)
        .stderr(Stdio::null())
        .spawn()?;
    let moment = Duration::from_micros(random.below(u64::try_from(usual.as_micros())? + 20_000));
    std::thread::sleep(moment);
    if first.try_wait()?.is_none() {
        first.kill()?;
        tally.killed += 1;
    }
    first.wait()?;
    // A second kill in the middle of the recovery, every other time.
    if random.below(2) == 0 {
        let mut second = command(program, home, &["resume"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_micros(random.below(u64::try_from(usual.as_micros())?)));
        second.kill()?;
        second.wait()?;
    }
    finish(program, home, tally)?;
    ensure!(begun.elapsed() < ROUND, "a round took {} s", begun.elapsed().as_secs());
    inspect(program, home, &told, tally)?;
    tally.orphans += survivors(home)?;
    Ok(())
}

fn output(program: &Path, home: &Path, args: &[&str]) -> anyhow::Result<Output> {
    command(program, home, args)
        .output()
        .with_context(|| format!("maestria {}", args.join(" ")))
}

/// Resumes until the run is completed. A kill before the run was stored leaves nothing, and nothing is lost.
fn finish(program: &Path, home: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    for _ in 0..3 {
        let listed = output(program, home, &["runs", "--json"])?;
        let rows: Vec<Value> = serde_json::from_slice(&listed.stdout)
            .with_context(|| format!("runs: {}", String::from_utf8_lossy(&listed.stderr)))?;
        match rows.first().and_then(|r| r["state"].as_str()) {
            None => return Ok(()),
            Some("completed") => return Ok(()),
            Some(_) => {
                let resumed = output(program, home, &["resume"])?;
                tally.resumed += 1;
                if !resumed.status.success() {
                    bail!("resume: {}", String::from_utf8_lossy(&resumed.stderr));
                }
            }
        }
    }
    bail!("the run does not complete")
}

/// Compares what was told with what is stored, and what is stored with the repository.
fn inspect(program: &Path, home: &Path, told: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let log = output(program, home, &["events"])?;
    let stored: Vec<Value> = lines(&log.stdout);
    for event in lines(&fs::read(told)?) {
        tally.lost += usize::from(!stored.contains(&event));
    }
    let mut once: BTreeMap<String, u32> = BTreeMap::new();
    for event in &stored {
        let kind = event["kind"].as_str().unwrap_or_default();
        if matches!(
            kind,
            "task.merged" | "task.finished" | "plan.proposed" | "run.prepared" | "review.received"
        ) {
            let name = format!("{kind} {} {} {}", event["task"], event["attempt"], event["review"]);
            *once.entry(name).or_default() += 1;
        }
    }
    tally.duplicated += once.values().filter(|n| **n > 1).count();
    if stored.is_empty() {
        return Ok(());
    }
    let target = repository(home)?;
    let merges = Command::new("git")
        .env_clear()
        .envs(std::env::var_os("PATH").map(|p| ("PATH", p)))
        .args([
            "-C",
            &target.display().to_string(),
            "log",
            "--branches=maestria/*",
            "--format=%(trailers:key=Maestria-Merge,valueonly)",
        ])
        .output()?;
    let mut merged: Vec<String> = String::from_utf8_lossy(&merges.stdout)
        .lines()
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    let all = merged.len();
    merged.sort();
    merged.dedup();
    tally.duplicated += all - merged.len();
    tally.lost += 3usize.saturating_sub(merged.len());
    let applied = output(program, home, &["apply"])?;
    ensure!(
        applied.status.success(),
        "apply: {}",
        String::from_utf8_lossy(&applied.stderr)
    );
    let check = Command::new("sh")
        .arg("test.sh")
        .current_dir(&target)
        .stdout(Stdio::null())
        .status()?;
    tally.lost += usize::from(!check.success());
    Ok(())
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    // A line that the kill has torn was not told.
    bytes
        .split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

fn repository(home: &Path) -> anyhow::Result<PathBuf> {
    let root = home.join(".local/share/maestria/workspaces");
    let folders = fs::read_dir(&root)?.filter_map(|e| e.ok().map(|e| e.path().join("greetings")));
    folders
        .into_iter()
        .find(|p| p.join(".git").exists())
        .context("no sample repository")
}

/// Processes that still carry this round's HOME, or one below it.
fn survivors(home: &Path) -> anyhow::Result<usize> {
    let mark = format!("HOME={}", home.display());
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let alive = fs::read_dir("/proc")?
            .filter_map(Result::ok)
            .filter(|e| e.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
            .filter_map(|e| fs::read(e.path().join("environ")).ok())
            .filter(|environ| environ.split(|b| *b == 0).any(|v| v.starts_with(mark.as_bytes())))
            .count();
        // What is being reaped at this very moment is given time to go.
        if alive == 0 || Instant::now() > deadline {
            return Ok(alive);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
