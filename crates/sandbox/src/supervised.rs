//! A running worker in the product's hands.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libc::c_int;
use serde::Serialize;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use crate::control::{Order, REPORT, Report};
use crate::limits::Enforced;
use crate::limits::cgroup::Groups;
use crate::net::{Carriers, Stranger};
use crate::profile::Standing;
use crate::spawn::{self, SpawnError};
use crate::spec::{Spec, Tier};
use crate::usage::{Meter, Usage};

/// A worker which is started, watched and ended together with everything it starts.
///
/// Dropping it kills the worker and waits (at most [`DROP_WAIT`]) until nothing of it is left.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    tier: Tier,
    /// The process whose end is the worker's end: init, or the guard itself in the subreaper tier.
    keeper: c_int,
    keeper_handle: Option<OwnedFd>,
    guard_handle: Option<OwnedFd>,
    child: Mutex<Child>,
    talk: Mutex<Talk>,
    frozen: AtomicBool,
    exit: OnceLock<Exit>,
    meter: Meter,
    enforced: Enforced,
    standing: Option<Standing>,
    /// Carry for the worker as long as this lives.
    carriers: Carriers,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// Longest that dropping a live worker blocks.
pub const DROP_WAIT: Duration = Duration::from_secs(5);

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// Exit code, when it ended by itself.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel ended any of its processes for want of memory.
    pub out_of_memory: bool,
    /// Processes which could not be ended (only possible in the subreaper tier, for example set-uid programs).
    pub survivors: u32,
}

impl Exit {
    /// Code 0. No proof of success: agents exit with 0 after failures, too.
    pub fn is_zero(&self) -> bool {
        self.code == Some(0)
    }
}

/// The worker has ended, so there is nobody to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker has ended (ask `wait` how)")]
pub struct Gone;

/// How long each polite step of [`Supervised::stop`] may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// After the interrupt.
    pub interrupt: Duration,
    /// After the TERM.
    pub terminate: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            interrupt: Duration::from_secs(5),
            terminate: Duration::from_secs(3),
        }
    }
}

/// The step of [`Supervised::stop`] after which the worker was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopStep {
    /// It had ended before.
    Already,
    /// SIGINT to its process group.
    Interrupt,
    /// SIGTERM to all its processes.
    Terminate,
    /// Killed.
    Kill,
}

/// What [`Supervised::stop`] achieved and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// How the worker ended.
    pub exit: Exit,
    /// What it took.
    pub by: StopStep,
}

impl Supervised {
    /// Starts a worker; returns when its program runs. Needs a tokio runtime, and blocks for a few milliseconds.
    ///
    /// # Errors
    /// [`SpawnError`] names what failed and what to do; nothing is left running then.
    pub fn spawn(spec: Spec) -> Result<Self, SpawnError> {
        spawn::spawn(spec)
    }

    pub(crate) fn new(name: String, mut child: Child, channel: StdStream, start: Start) -> std::io::Result<Self> {
        channel.set_nonblocking(true)?;
        let guard = child.id().and_then(|pid| c_int::try_from(pid).ok());
        let mut talk = Talk::new(UnixStream::from_std(channel)?);
        start.early.into_iter().for_each(|report| talk.note(report));
        let (standing, carriers) = start.standing.unzip();
        Ok(Self {
            name,
            tier: start.tier,
            keeper: start.keeper,
            keeper_handle: spawn::handle_of(start.keeper),
            guard_handle: guard.and_then(spawn::handle_of),
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child: Mutex::new(child),
            talk: Mutex::new(talk),
            frozen: AtomicBool::new(false),
            exit: OnceLock::new(),
            meter: Meter::new(start.keeper, start.groups),
            enforced: start.enforced,
            standing,
            carriers: carriers.unwrap_or_default(),
        })
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the worker is held.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The process, as seen from here, under which the whole worker runs. For display: signals belong to the methods here.
    pub fn pid(&self) -> i32 {
        self.keeper
    }

    /// Which limits hold, and by what.
    pub fn enforced(&self) -> Enforced {
        self.enforced
    }

    /// What stands around it, when it was started in a sandbox.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// The worker's stdin, once, when it was asked for as a pipe.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The worker's stdout, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// The worker's stderr, once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// Stops every process of the worker where it is. When this returns, the stop signals have been delivered.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended.
    pub async fn freeze(&self) -> Result<(), Gone> {
        self.order(Order::Freeze).await?;
        self.frozen.store(true, Ordering::Release);
        Ok(())
    }

    /// Lets a frozen worker go on.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended.
    pub async fn thaw(&self) -> Result<(), Gone> {
        self.order(Order::Thaw).await?;
        self.frozen.store(false, Ordering::Release);
        Ok(())
    }

    /// Whether the worker lives and is frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire) && self.exit.get().is_none()
    }

    /// Sends SIGINT to the worker's process group, like Ctrl-C at a terminal.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended.
    pub async fn interrupt(&self) -> Result<(), Gone> {
        self.order(Order::Interrupt).await
    }

    /// Sends SIGTERM to every process of the worker, detached ones too.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended.
    pub async fn terminate(&self) -> Result<(), Gone> {
        self.order(Order::Terminate).await
    }

    /// Ends every process of the worker. When this returns nothing is left, except what [`Exit::survivors`] counts.
    pub async fn kill(&self) -> Exit {
        if self.exit.get().is_none() {
            self.strike().await;
        }
        self.wait().await
    }

    /// Waits until the worker and everything it started is gone. May be called often and by many.
    pub async fn wait(&self) -> Exit {
        let mut child = self.child.lock().await;
        if let Some(exit) = self.exit.get() {
            return *exit;
        }
        let guard = child.wait().await;
        if !matches!(&guard, Ok(status) if status.success()) {
            // Somebody ended the guard; the kernel then ends the keeper, which is only sometimes done by now.
            self.await_keeper().await;
        }
        let mut talk = self.talk.lock().await;
        talk.drain_rest();
        *self.exit.get_or_init(|| {
            let usage = self.meter.close(talk.cpu);
            exit_of(talk.status, talk.survivors, usage.out_of_memory_kills > 0)
        })
    }

    /// Ends the worker as politely as `grace` allows: interrupt, then TERM, then kill. A frozen worker is thawed first.
    pub async fn stop(&self, grace: Grace) -> Stopped {
        if let Ok(exit) = tokio::time::timeout(Duration::ZERO, self.wait()).await {
            return Stopped {
                exit,
                by: StopStep::Already,
            };
        }
        // An error here means it ended meanwhile, which the next wait reports.
        if self.is_frozen() {
            let _ = self.thaw().await;
        }
        let steps = [
            (Order::Interrupt, StopStep::Interrupt, grace.interrupt),
            (Order::Terminate, StopStep::Terminate, grace.terminate),
        ];
        for (order, by, patience) in steps {
            let _ = self.order(order).await;
            if let Ok(exit) = tokio::time::timeout(patience, self.wait()).await {
                return Stopped { exit, by };
            }
        }
        Stopped {
            exit: self.kill().await,
            by: StopStep::Kill,
        }
    }

    /// The hosts that its proxy has refused since the last call, each once.
    pub fn strangers(&self) -> Vec<Stranger> {
        self.carriers.strangers().take()
    }

    /// What the worker uses now; after its end, what it used.
    pub fn usage(&self) -> Usage {
        self.meter.read()
    }

    async fn order(&self, order: Order) -> Result<(), Gone> {
        if self.exit.get().is_some() {
            return Err(Gone);
        }
        self.talk.lock().await.order(order).await
    }

    async fn strike(&self) {
        match (self.tier, &self.keeper_handle) {
            // The kernel needs no cooperation of init for this.
            (Tier::Namespace, Some(init)) => {
                let _ = crate::raw::pidfd_signal(init.as_raw_fd(), libc::SIGKILL);
            }
            _ => self.talk.lock().await.send(Order::Kill),
        }
    }

    async fn await_keeper(&self) {
        let Some(handle) = self.keeper_handle.as_ref().and_then(|handle| handle.try_clone().ok()) else {
            return;
        };
        // SAFETY: the registration owns the descriptor, which stays the same and open until it is dropped.
        if let Ok(handle) = unsafe { AsyncFd::register(handle) } {
            let _ = handle.readable().await;
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.exit.get().is_some() {
            return;
        }
        match (self.tier, &self.keeper_handle) {
            (Tier::Namespace, Some(init)) => {
                let _ = crate::raw::pidfd_signal(init.as_raw_fd(), libc::SIGKILL);
            }
            _ => self.talk.get_mut().send(Order::Kill),
        }
        if let Some(guard) = &self.guard_handle {
            let mut watched = [libc::pollfd {
                fd: guard.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            }];
            let gone = crate::raw::poll(&mut watched, DROP_WAIT.as_millis() as c_int);
            if gone != Ok(1) {
                tracing::error!(worker = %self.name, "worker did not end in time; its guard goes on ending it");
            }
        }
        let _ = self.child.get_mut().try_wait();
    }
}

/// What the start of a worker hands over.
pub(crate) struct Start {
    pub(crate) tier: Tier,
    pub(crate) keeper: c_int,
    pub(crate) groups: Groups,
    pub(crate) enforced: Enforced,
    pub(crate) standing: Option<(Standing, Carriers)>,
    pub(crate) early: Vec<Report>,
}

/// A worker without a reported status was killed: by us, with its guard, or with its namespace.
fn exit_of(status: Option<c_int>, survivors: c_int, out_of_memory: bool) -> Exit {
    let status = status.map(ExitStatus::from_raw);
    Exit {
        code: status.and_then(|status| status.code()),
        signal: status.map_or(Some(libc::SIGKILL), |status| status.signal()),
        out_of_memory,
        survivors: survivors.unsigned_abs(),
    }
}

/// The product's end of the control channel, and what came through it.
#[derive(Debug)]
struct Talk {
    channel: UnixStream,
    buffer: [u8; REPORT],
    filled: usize,
    done: Option<u8>,
    status: Option<c_int>,
    cpu: Option<Duration>,
    survivors: c_int,
}

impl Talk {
    fn new(channel: UnixStream) -> Self {
        Self {
            channel,
            buffer: [0; REPORT],
            filled: 0,
            done: None,
            status: None,
            cpu: None,
            survivors: 0,
        }
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Done(order) => self.done = Some(order),
            Report::Exited(status) => self.status = Some(status),
            Report::Used(millis) => self.cpu = Some(Duration::from_millis(u64::from(millis.unsigned_abs()))),
            Report::Survivors(count) => self.survivors = count,
            Report::Hello(_) | Report::Failed(_) | Report::Proved(_) => {}
        }
    }

    fn send(&self, order: Order) {
        // A closed channel means the worker is already ending.
        let _ = crate::raw::send(self.channel.as_raw_fd(), &[order as u8]);
    }

    /// Sends an order and waits until it is carried out.
    async fn order(&mut self, order: Order) -> Result<(), Gone> {
        self.drain();
        self.done = None;
        if self.status.is_some() {
            return Err(Gone);
        }
        self.send(order);
        while self.done != Some(order as u8) {
            if self.channel.readable().await.is_err() || !self.drain() {
                return Err(Gone);
            }
        }
        Ok(())
    }

    /// Notes every report that has arrived; false at the end of the channel.
    fn drain(&mut self) -> bool {
        loop {
            match self.channel.try_read(&mut self.buffer[self.filled..]) {
                Ok(0) => return false,
                Ok(count) => self.take(count),
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Notes what a guard that is gone has left in the channel. Read past the runtime: it may not have noticed yet that
    /// there is something to read, and then says there is nothing.
    fn drain_rest(&mut self) {
        while let Ok(count @ 1..) = crate::raw::read(self.channel.as_raw_fd(), &mut self.buffer[self.filled..]) {
            self.take(count);
        }
    }

    fn take(&mut self, count: usize) {
        self.filled += count;
        if self.filled == REPORT {
            self.filled = 0;
            if let Some(report) = Report::parse(self.buffer) {
                self.note(report);
            }
        }
    }
}
