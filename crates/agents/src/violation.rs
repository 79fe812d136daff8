//! What a refusal or a broken limit comes to as a violation. Only what was really seen: a ruling, an answer of the proxy, a
//! figure of the kernel.

use maestria_kernel::{
    permission::{Action, Permission, Question, Ruling},
    violation::{Kind, Unit, Violation},
};
use maestria_sandbox::{Limits, Stranger, Supervised, audit::fingerprint};
use std::{path::Path, time::Duration};

/// Refusals of paths that are no mistakes: the others (a missing file, a loop of links) say nothing about the worker.
const PATHS: [&str; 9] = [
    "path.outside",
    "path.read_only",
    "path.root",
    "path.protected",
    "path.git",
    "path.secret",
    "path.hard_link",
    "path.special",
    "path.mount",
];

/// A violation of a rule, without secrets before anything of it is cut off.
fn new(kind: Kind, rule: &str, subject: &str, because: &str) -> Violation {
    Violation::new(kind, rule, &maestria_secrets::funnel().clean(subject), because)
}

/// What the policy denies. That a reader may not write is how it was started, and no offence of its own.
pub(crate) fn of_ruling(question: &Question, permission: &Permission) -> Option<Violation> {
    if permission.ruling != Ruling::Deny || permission.rule == "mode.read_only" {
        return None;
    }
    let Permission { rule, because, .. } = permission;
    match &question.action {
        Action::Run { command } => {
            let told = maestria_secrets::funnel().clean(command);
            let violation = Violation::new(Kind::Command, rule, &told, because);
            let sha256 = Some(fingerprint(&told));
            Some(Violation { sha256, ..violation })
        }
        Action::Read { paths } | Action::Write { paths } => Some(new(Kind::Path, rule, &paths.join(", "), because)),
        Action::Fetch { url } => Some(new(Kind::Network, rule, url, because)),
        // Tools that need a person at the agent's side are useless here, and not forbidden.
        Action::Other { .. } => None,
    }
}

/// What the path policy refuses a file tool.
pub(crate) fn of_path(given: &str, rule: &str, because: &str) -> Option<Violation> {
    PATHS.contains(&rule).then(|| new(Kind::Path, rule, given, because))
}

/// A change that no tool was asked for: git shows it.
pub(crate) fn of_change(path: &str) -> Violation {
    let because = "the worktree shows a change of what decides which programs run, or which orders they take";
    new(Kind::Path, "path.protected", path, because)
}

/// A host that the proxy has refused.
pub(crate) fn of_stranger(stranger: &Stranger) -> Violation {
    new(Kind::Network, stranger.rule, &stranger.host, stranger.because)
}

/// More time than there is.
pub(crate) fn of_time(what: &str, limit: u64, measured: u64) -> Violation {
    let because = "it was stopped, since its time was up";
    new(Kind::Time, "workers.timeout", what, because).over(limit, measured, Unit::Seconds)
}

/// Longer silence than there may be, of an agent that waits for nobody.
pub(crate) fn of_silence(span: Duration) -> Violation {
    let because = "it was stopped, since nothing was heard of it for too long";
    let (limit, measured) = (span.as_secs(), span.as_secs());
    new(Kind::Time, "workers.idle_timeout", "attempt", because).over(limit, measured, Unit::Seconds)
}

/// More on the disk than there may be.
pub(crate) fn of_disk(folder: &Path, limit: u64, measured: u64) -> Violation {
    let because = "its worktree and its home have grown by more than they may";
    new(Kind::Disk, "workers.disk", &folder.display().to_string(), because).over(limit, measured, Unit::Bytes)
}

/// What the kernel has refused a worker and everything it started, as far as its figures tell. After the worker's end
/// `out_of_memory` says whether the kernel ended something of it.
pub(crate) fn of_limits(worker: &Supervised, limits: &Limits, out_of_memory: bool) -> Vec<Violation> {
    let used = worker.usage();
    let memory = limits.memory.filter(|_| out_of_memory).map(|limit| {
        let because = "the kernel ended what used more memory than there may be";
        new(Kind::Memory, "workers.memory", worker.name(), because).over(limit, used.memory_peak, Unit::Bytes)
    });
    let processes = limits.processes.filter(|_| used.refused_processes > 0).map(|limit| {
        let because = "the kernel refused to start one process more than there may be";
        new(Kind::Processes, "workers.processes", worker.name(), because).over(limit, limit + 1, Unit::Processes)
    });
    memory.into_iter().chain(processes).collect()
}
