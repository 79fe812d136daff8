//! Starting a worker: everything prepared before the fork, one closure after it, a handshake with the guard at the end.

mod walled;

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::confine::{self, IdMaps, Parcel, Plan};
use crate::control::{Failure, REPORT, Report, Stage};
use crate::layer::{Layer, Layers};
use crate::limits::cgroup::{Alarm, Groups};
use crate::limits::{Enforced, rlimit};
use crate::spec::{Spec, Stdin};
use crate::stray::MARKER;
use crate::supervised::{Start, Supervised};
use walled::Walled;

/// Why a worker could not be started. Nothing is left running after any of these.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program did not run.
    #[error("cannot execute {program:?} ({hint})")]
    Exec {
        /// The program as asked for.
        program: PathBuf,
        /// What to do about it.
        hint: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The working directory is not there.
    #[error("working directory {cwd:?} cannot be used (create it, or name another)")]
    Cwd {
        /// The directory as asked for.
        cwd: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The worker could not be held safely, so its program was never run.
    #[error("cannot confine worker {name:?}: {step} failed ({hint})")]
    Confine {
        /// The worker's name.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What to do about it.
        hint: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The sandbox does not hold as asked for, so the program was never run.
    #[error("worker {name:?} is not started: the sandbox lacks {missing} ({hint})")]
    Walls {
        /// The worker's name.
        name: String,
        /// The layers which do not hold.
        missing: Layers,
        /// What to do about it.
        hint: &'static str,
    },
    /// The profile asks for something that cannot be given.
    #[error("worker {name:?} is not started: its sandbox profile cannot be used ({hint})")]
    Profile {
        /// The worker's name.
        name: String,
        /// What to do about it.
        hint: &'static str,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The guard did not answer after the program was started; the worker was ended.
    #[error("guard of worker {name:?} did not answer (is the machine out of memory or processes?)")]
    Guard {
        /// The worker's name.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Pipes, descriptors or processes ran out before the fork.
    #[error("cannot prepare worker {name:?} (raise the limit of open files or processes)")]
    Prepare {
        /// The worker's name.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// How long a guard may take to say hello; it needs microseconds on an idle machine.
const HELLO: Duration = Duration::from_secs(10);

/// Starts the worker; returns when its program is running. Needs a tokio runtime.
pub(crate) fn spawn(spec: Spec) -> Result<Supervised, SpawnError> {
    let tier = walled::tier(&spec);
    let spec = walled::with_proxy(spec, tier);
    let prepare = |source| SpawnError::Prepare {
        name: spec.name.clone(),
        source,
    };
    let unanswered = |source| SpawnError::Guard {
        name: spec.name.clone(),
        source,
    };
    check_cwd(&spec)?;
    let mut enforced = Enforced::default();
    let groups = Groups::create(&spec.limits, &mut enforced);
    let doors = groups.open_doors().map_err(prepare)?;
    let alarm = spec.limits.memory.and_then(|_| groups.alarm());
    let walls = walled::prepare(&spec, tier, groups.name())?;
    let parcel = pack(&spec)?;
    let (ours, theirs) = UnixStream::pair().map_err(prepare)?;
    let plan = Plan {
        tier,
        channel: theirs.as_raw_fd(),
        maps: IdMaps::of_caller(),
        groups: numbers(&doors),
        rlimits: rlimit::choose(&spec.limits, tier, &mut enforced),
        alarm: alarm.as_ref().map(Alarm::wires),
        parcel: parcel.label(),
        walls: walls.as_ref().map(Walled::blueprint),
    };
    let mut command = command(&spec);
    // SAFETY: `enter` only makes system calls on data prepared above; see `confine.rs`.
    unsafe { command.pre_exec(move || Err(confine::enter(&plan))) };
    let spawned = command.spawn();
    // From here the guard holds the only other end: its death is the end of the channel.
    drop((theirs, doors, alarm, parcel));
    ours.set_read_timeout(Some(HELLO)).map_err(prepare)?;
    let child = spawned.map_err(|source| refused(&spec, &ours, source))?;
    let (keeper, early) = await_hello(&ours, walls.is_some()).map_err(unanswered)?;
    let standing = walls.map(|walls| walls.stand(&early)).transpose().map_err(unanswered)?;
    let start = Start {
        tier,
        keeper,
        groups,
        enforced,
        standing,
        early,
    };
    Supervised::new(spec.name.clone(), child, ours, start).map_err(unanswered)
}

fn check_cwd(spec: &Spec) -> Result<(), SpawnError> {
    let directory = std::fs::metadata(&spec.cwd).and_then(|found| {
        if found.is_dir() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    });
    directory.map_err(|source| SpawnError::Cwd {
        cwd: spec.cwd.clone(),
        source,
    })
}

fn numbers(doors: &[File]) -> [Option<libc::c_int>; confine::GROUPS] {
    let mut numbers = [None; confine::GROUPS];
    numbers
        .iter_mut()
        .zip(doors)
        .for_each(|(slot, door)| *slot = Some(door.as_raw_fd()));
    numbers
}

/// Only directory and streams are left to std: the exec is our own, see `confine/parcel.rs`.
fn command(spec: &Spec) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(&spec.program);
    command.current_dir(&spec.cwd).env_clear();
    command.stdin(match spec.stdin {
        Stdin::Null => Stdio::null(),
        Stdin::Pipe => Stdio::piped(),
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn pack(spec: &Spec) -> Result<Parcel, SpawnError> {
    let packed = find_program(spec)
        .map(|program| seen_from_within(spec, program))
        .and_then(|program| {
            let arguments: Vec<&OsStr> = std::iter::once(spec.program.as_os_str())
                .chain(spec.args.iter().map(OsString::as_os_str))
                .collect();
            let mut variables = environment(spec)?;
            if spec
                .walls
                .as_ref()
                .is_some_and(|walls| walls.removed.has(Layer::Environment))
            {
                variables.extend(walled::callers_variables());
            }
            Parcel::pack(program.as_os_str(), &arguments, &variables)
        });
    packed.map_err(|source| SpawnError::Exec {
        program: spec.program.clone(),
        hint: exec_hint(spec, &source),
        source,
    })
}

/// The environment as given, the last of equal names winning, and the marker.
fn environment(spec: &Spec) -> io::Result<Vec<CString>> {
    let mut variables: BTreeMap<&OsStr, &OsStr> = spec.env.iter().map(|(name, value)| (&**name, &**value)).collect();
    if let Some(marker) = &spec.marker {
        variables.insert(OsStr::new(MARKER), OsStr::new(marker));
    }
    variables
        .into_iter()
        .map(|(name, value)| Ok(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?))
        .collect()
}

/// The path under which a walled worker finds its program: `..` leads through folders that need not be there for it. A link
/// that is the program stays one, since programs look at the name they are called by.
fn seen_from_within(spec: &Spec, program: PathBuf) -> PathBuf {
    let plain = || Some(program.parent()?.canonicalize().ok()?.join(program.file_name()?));
    match spec.walls {
        Some(_) if program.is_absolute() => plain().unwrap_or(program),
        _ => program,
    }
}

/// A bare name is looked up in the worker's own `PATH`; a path is taken as it is, from the worker's directory.
fn find_program(spec: &Spec) -> io::Result<PathBuf> {
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(spec.program.clone());
    }
    let path = spec
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value);
    let places = path.into_iter().flat_map(std::env::split_paths);
    let mut found = places
        .map(|place| spec.cwd.join(place).join(&spec.program))
        .filter(|file| file.is_file())
        .peekable();
    let missing = if found.peek().is_some() {
        libc::EACCES
    } else {
        libc::ENOENT
    };
    found
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
        .ok_or_else(|| io::Error::from_raw_os_error(missing))
}

/// Tells a step of ours that failed from a program that cannot run.
fn refused(spec: &Spec, channel: &UnixStream, source: io::Error) -> SpawnError {
    let mut failure = None;
    while failure.is_none()
        && let Ok(Some(report)) = next_report(channel)
    {
        if let Report::Failed(failed) = report {
            failure = Some(failed);
        }
    }
    match failure {
        Some(Failure {
            stage: Stage::Proof,
            errno,
        }) => SpawnError::Walls {
            name: spec.name.clone(),
            missing: Layers(errno.unsigned_abs()),
            hint: walled::HINT,
        },
        Some(Failure { stage, errno }) => SpawnError::Confine {
            name: spec.name.clone(),
            step: stage.describe(),
            hint: confine_hint(stage),
            source: io::Error::from_raw_os_error(errno),
        },
        None => SpawnError::Exec {
            program: spec.program.clone(),
            hint: exec_hint(spec, &source),
            source,
        },
    }
}

pub(crate) fn confine_hint(stage: Stage) -> &'static str {
    match stage {
        Stage::Unshare | Stage::Map => {
            "the kernel or the container refuses user namespaces: allow them (sysctl user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns=0), or let the subreaper tier be used"
        }
        Stage::Fork => "too many processes: end some, or raise the limit",
        Stage::Group => "the control group vanished or refuses processes: start again",
        Stage::Limit => "lower the limit asked for in the configuration",
        Stage::Session | Stage::Signals | Stage::Reaper => "a system-call filter around this process may be too strict",
        Stage::Namespaces
        | Stage::Loopback
        | Stage::Tree
        | Stage::Capabilities
        | Stage::Landlock
        | Stage::Seccomp
        | Stage::Proof => walled::HINT,
    }
}

fn exec_hint(spec: &Spec, source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::EACCES)
            if spec.walls.is_some() && find_program(spec).is_ok_and(|file| file.exists()) =>
        {
            "it is there, but not for this worker: let its sandbox profile read the folder of the program and of its interpreter"
        }
        Some(libc::ENOENT) if spec.program.is_absolute() && spec.program.exists() => {
            "the file is there, but the interpreter its first line or header names is not"
        }
        Some(libc::ENOENT) => "install it, or put its directory into the worker's PATH, or give the full path",
        Some(libc::EACCES) => "make it executable, and every directory above it searchable",
        Some(libc::ENOEXEC) => "it is not a program of this machine's kind",
        None => "program, arguments and environment must not contain zero bytes",
        Some(libc::E2BIG) => "arguments and environment are too long: pass the text on stdin or in a file",
        Some(libc::EAGAIN) => "too many processes: end some, or raise the limit",
        _ => "check the path and its permissions",
    }
}

/// The pid the guard names, and the reports of a worker that was quicker; with what was proved, if anything was to be.
fn await_hello(channel: &UnixStream, walled: bool) -> io::Result<(libc::c_int, Vec<Report>)> {
    let mut early = Vec::new();
    let mut keeper = None;
    loop {
        let proved = early.iter().any(|report| matches!(report, Report::Proved(_)));
        if let Some(pid) = keeper
            && (proved || !walled)
        {
            return Ok((pid, early));
        }
        match next_report(channel)? {
            Some(Report::Hello(pid)) => keeper = Some(pid),
            Some(report) => early.push(report),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Reads one report; `None` at the end of the channel.
fn next_report(mut channel: &UnixStream) -> io::Result<Option<Report>> {
    let mut bytes = [0; REPORT];
    match io::Read::read_exact(&mut channel, &mut bytes) {
        Ok(()) => Ok(Report::parse(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// An exact handle to a process, or nothing when it is gone.
pub(crate) fn handle_of(pid: libc::c_int) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: a fresh descriptor nobody else owns.
    crate::raw::pidfd_open(pid)
        .ok()
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}
