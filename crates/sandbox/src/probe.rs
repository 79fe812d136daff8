//! What this machine lets the product do to its workers, found by trying: each limit is really exceeded once.

mod trial;

use serde::Serialize;

use crate::confine;
use crate::limits::cgroup::Groups;
use crate::limits::{Backend, Enforced, Limits};
use crate::profile::{Profile, Standing, Walls};
use crate::spawn::SpawnError;
use crate::spawn::confine_hint;
use crate::spec::{Spec, Tier};
use crate::supervised::Supervised;

/// One ability, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// Whether it was seen working.
    pub works: bool,
    /// What was found, one sentence.
    pub finding: String,
    /// What to do about it, when it does not work or works less well than it could.
    pub fix: Option<&'static str>,
}

/// Everything supervision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Abilities {
    /// The tier workers get by default.
    pub tier: Tier,
    /// Ending a worker whole.
    pub isolation: Ability,
    /// Pausing a worker.
    pub freeze: Ability,
    /// Holding a worker to its memory.
    pub memory: Ability,
    /// Holding a worker to its share of processor time.
    pub cpu: Ability,
    /// Holding a worker to its number of processes.
    pub processes: Ability,
    /// Landlock, for file rules; reported only, nothing here uses it.
    pub landlock: Ability,
    /// Landlock's version, 0 without it.
    pub landlock_abi: u32,
}

impl Abilities {
    /// The abilities with their names, in the order to show them.
    pub fn each(&self) -> [(&'static str, &Ability); 6] {
        [
            ("isolation", &self.isolation),
            ("freeze", &self.freeze),
            ("memory limit", &self.memory),
            ("cpu limit", &self.cpu),
            ("process limit", &self.processes),
            ("landlock", &self.landlock),
        ]
    }
}

const GROUPS_FIX: &str = "run where control groups can be made: as root with /sys/fs/cgroup mounted writable, or as a user in a \
                          delegated group, as in `systemd-run --user --scope -p Delegate=yes maestria ...`";

/// Tries every ability for real; blocks for about half a second and starts short-lived processes.
pub fn probe() -> Abilities {
    let landlock_abi = crate::raw::landlock::version();
    Abilities {
        tier: Tier::best(),
        isolation: isolation(),
        freeze: freeze(),
        memory: memory(),
        cpu: cpu(),
        processes: processes(),
        landlock: landlock(landlock_abi),
        landlock_abi,
    }
}

/// Starts a worker that does nothing, in the strictest sandbox, and says which layers were proved. Needs a tokio runtime.
///
/// # Errors
/// [`SpawnError`] when not even a degraded one can be started.
pub async fn standing() -> Result<Standing, SpawnError> {
    let mut spec = Spec::new("/bin/sh", "/");
    spec.args = vec!["-c".into(), ":".into()];
    spec.walls = Some(Walls {
        allow_degraded: true,
        ..Walls::new(Profile::review([]))
    });
    let worker = Supervised::spawn(spec)?;
    let standing = worker.standing().cloned();
    worker.wait().await;
    standing.ok_or(SpawnError::Guard {
        name: "trial".to_owned(),
        source: std::io::ErrorKind::UnexpectedEof.into(),
    })
}

fn works(finding: impl Into<String>) -> Ability {
    Ability {
        works: true,
        finding: finding.into(),
        fix: None,
    }
}

fn fails(finding: impl Into<String>, fix: &'static str) -> Ability {
    Ability {
        works: false,
        finding: finding.into(),
        fix: Some(fix),
    }
}

fn isolation() -> Ability {
    match confine::namespace_granted() {
        Ok(()) => works("each worker gets its own user and PID namespace: the kernel ends all of it at once"),
        Err(failure) => fails(
            format!(
                "{} was refused ({}); workers are held by a subreaper which hunts their processes instead",
                failure.stage.describe(),
                std::io::Error::from_raw_os_error(failure.errno)
            ),
            confine_hint(failure.stage),
        ),
    }
}

fn freeze() -> Ability {
    if trial::stops_and_continues() {
        works("a process was stopped and went on by signals; workers are paused that way, all processes together")
    } else {
        fails(
            "a process could not be stopped and continued by signals",
            "a system-call filter around this process may be too strict",
        )
    }
}

fn memory() -> Ability {
    let limits = Limits {
        memory: Some(trial::LITTLE_MEMORY),
        ..Limits::none()
    };
    let (groups, enforced) = groups_for(&limits);
    match enforced.memory {
        Some(backend) if trial::killed_for_memory(&groups) && groups.out_of_memory_kills() > 0 => {
            works(format!("{backend} ended a process that used too much"))
        }
        Some(backend) => fails(
            format!("{backend} took a memory limit but did not enforce it"),
            GROUPS_FIX,
        ),
        None if trial::refused_memory() => Ability {
            fix: Some(GROUPS_FIX),
            ..works("no control group; a resource limit holds each process alone, not the worker as a whole")
        },
        None => fails("nothing limits a worker's memory", GROUPS_FIX),
    }
}

fn cpu() -> Ability {
    let (groups, enforced) = groups_for(&Limits {
        cpu_percent: Some(10),
        ..Limits::none()
    });
    match enforced.cpu {
        Some(backend) if trial::slowed_down(&groups) => works(format!("{backend} held a busy loop to its share")),
        Some(backend) => fails(
            format!("{backend} took a processor limit but did not enforce it"),
            GROUPS_FIX,
        ),
        None => fails("nothing limits a worker's share of processor time", GROUPS_FIX),
    }
}

fn processes() -> Ability {
    let (groups, enforced) = groups_for(&Limits {
        processes: Some(1),
        ..Limits::none()
    });
    match enforced.processes {
        Some(backend) if trial::refused_fork(&groups) => works(format!("{backend} refused one process too many")),
        Some(backend) => fails(
            format!("{backend} took a process limit but did not enforce it"),
            GROUPS_FIX,
        ),
        None if crate::limits::rlimit::counts_only_this_worker(Tier::best()) => Ability {
            fix: Some(GROUPS_FIX),
            ..works(format!(
                "no control group; {} counts the processes of a worker's namespace",
                Backend::Rlimit
            ))
        },
        None => fails("nothing limits a worker's number of processes", GROUPS_FIX),
    }
}

fn landlock(abi: u32) -> Ability {
    match abi {
        0 => fails(
            "the kernel has no Landlock",
            "boot with landlock in the lsm= list, kernel 5.13 or newer",
        ),
        abi => works(format!("the kernel offers Landlock, version {abi}")),
    }
}

fn groups_for(limits: &Limits) -> (Groups, Enforced) {
    let mut enforced = Enforced::default();
    (Groups::create(limits, &mut enforced), enforced)
}
