//! Whole processes, timed from outside by the kernel's own accounting.

use anyhow::Context as _;
use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Clock ticks in a second, as Linux shows them in `/proc` on every architecture.
const TICKS: u64 = 100;

/// A program, and the whole environment it runs in.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    first: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Program {
    /// A program with nothing in its environment but `PATH` and a HOME of its own.
    pub fn new(path: impl Into<PathBuf>, home: &Path) -> Self {
        let mut env = vec![("HOME".into(), home.into())];
        env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        Self {
            path: path.into(),
            first: Vec::new(),
            env,
        }
    }

    /// Arguments that go before all others.
    #[must_use]
    pub fn with(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.first.extend(args.into_iter().map(Into::into));
        self
    }

    /// More environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The command: no stdin, nothing of its output kept.
    pub fn command(&self, args: &[&str], cwd: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.first).args(args).current_dir(cwd).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn time(&self, args: &[&str], cwd: &Path) -> io::Result<Finished> {
        let begun = Instant::now();
        let child = self.command(args, cwd).spawn()?;
        finish(child, begun)
    }
}

/// A process that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// From before its start to its end.
    pub wall: Duration,
    /// Its own processor time and that of all descendants it waited for, to 10 ms.
    pub cpu: Duration,
    /// How it ended.
    pub status: ExitStatus,
}

/// Waits for `child`, and reads its accounting before it is gone.
///
/// # Errors
/// When the kernel gives no answer.
pub fn finish(mut child: Child, begun: Instant) -> io::Result<Finished> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let wall = begun.elapsed();
    let cpu = processor_time(child.id())?;
    let status = child.wait()?;
    Ok(Finished { wall, cpu, status })
}

fn processor_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; utime, stime, cutime and cstime are the 12th to 15th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The port that a server tells in the first line that it prints, which ends with its address.
///
/// # Errors
/// When its stdout is no pipe, or it says something else.
pub fn told_port(server: &mut Child) -> anyhow::Result<u16> {
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("stdout")?).read_line(&mut line)?;
    Ok(line.trim().rsplit(':').next().context("an address")?.parse()?)
}

/// Resident memory of a process now, in kB.
///
/// # Errors
/// When it is gone.
pub fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}

/// A port of loopback that nobody uses now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
