//! What happens between fork and exec: the product's child becomes a guard, and a descendant of it goes on to be the worker.
//!
//! ```text
//! namespace tier:  product ── guard (waits) ── init, PID 1 of the namespace (obeys the channel) ── worker
//! subreaper tier:  product ── guard (obeys the channel, adopts orphans) ── worker
//! ```
//!
//! Everything here runs in a copy of a many-threaded process: system calls only, no allocation, no locks.
//! The kill-on-parent-death signal is not used towards the product, because it fires when the *thread* that forked ends.

mod guard;
mod namespace;
mod nobody;
mod parcel;
mod prove;
mod raise;
mod shed;
mod tree;

use libc::c_int;

use crate::control::{Failure, Report, Stage};
use crate::layer::Layer;
use crate::limits::cgroup::Wires;
use crate::raw::{self, Side};
use crate::spec::Tier;
use crate::walls::Blueprint;
use guard::Reach;
pub(crate) use namespace::{IdMaps, granted as namespace_granted};
pub(crate) use nobody::owners;
use nobody::{NO_TREES, Trees};
pub(crate) use parcel::{Label, Parcel};
use prove::Proofs;
pub(crate) use prove::UNPRIVILEGED;

/// Most control groups a worker joins (one a hierarchy).
pub(crate) const GROUPS: usize = 8;
/// Most resource limits set.
pub(crate) const RLIMITS: usize = 8;

/// A resource limit: which, and its soft and hard value.
#[derive(Clone, Copy)]
pub(crate) struct Rlimit {
    pub(crate) resource: c_int,
    pub(crate) value: u64,
}

/// Everything the child side needs, prepared before the fork; nothing in it lives on the heap.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) tier: Tier,
    /// The guard's end of the control channel.
    pub(crate) channel: c_int,
    pub(crate) maps: IdMaps,
    /// Open membership files of control groups; writing "0" joins.
    pub(crate) groups: [Option<c_int>; GROUPS],
    pub(crate) rlimits: [Option<Rlimit>; RLIMITS],
    /// What goes off when the kernel ended one process of the worker for want of memory: then all of them end.
    pub(crate) alarm: Option<Wires>,
    pub(crate) parcel: Label,
    /// The sandbox; without, the worker is supervised and nothing more.
    pub(crate) walls: Option<Blueprint>,
}

impl Plan {
    fn removed(&self, layer: Layer) -> bool {
        self.walls.is_some_and(|walls| walls.removed.has(layer))
    }
}

/// Becomes the worker and executes its program: a return is always a failure, in whichever process it happened.
pub(crate) fn enter(plan: &Plan) -> std::io::Error {
    // From here on the copied heap is gone, which makes every further fork cheap and every guard small. The plan lies on
    // that heap, so it is copied to the stack first; volatile, because the optimiser knows nothing of the shedding and
    // would read the original later.
    // SAFETY: a reference is a valid, aligned place.
    let plan = std::hint::black_box(unsafe { std::ptr::read_volatile(plan) });
    shed::copied_memory();
    let entered = match plan.tier {
        Tier::Namespace => through_namespace(&plan),
        Tier::Subreaper => through_subreaper(&plan),
    };
    let errno = match entered {
        Ok(()) => plan.parcel.execute(),
        Err(failure) => {
            Report::Failed(failure).send(plan.channel);
            failure.errno
        }
    };
    std::io::Error::from_raw_os_error(errno)
}

fn through_namespace(plan: &Plan) -> Result<(), Failure> {
    leave_session()?;
    let mut trees = NO_TREES;
    match &plan.walls {
        None => namespace::enter(&plan.maps)?,
        Some(walls) => enter_walled(plan, walls, &mut trees)?,
    }
    // The guard keeps the write end: its death, at whatever moment, is the end of the read end.
    let (guard_lives, guard_end) = raw::pipe().map_err(Stage::Fork.failed())?;
    match raw::fork().map_err(Stage::Fork.failed())? {
        Side::Parent(init) => guard::await_init(plan.channel, guard_end, init),
        Side::Child => {
            raw::close(guard_end);
            die_with_parent();
            if let Some(walls) = &plan.walls {
                raise::around(walls, &mut trees)?;
            }
            start_worker(plan, Reach::Namespace, guard_lives)
        }
    }
}

/// Somebody who owns nothing where that can be had, else the caller without the ids of others.
fn enter_walled(plan: &Plan, walls: &Blueprint, trees: &mut Trees) -> Result<(), Failure> {
    if nobody::become_nobody(walls, trees)? {
        return Ok(());
    }
    namespace::enter_alone(&plan.maps)
}

fn through_subreaper(plan: &Plan) -> Result<(), Failure> {
    leave_session()?;
    // SAFETY: plain flag of this process.
    raw::check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map_err(Stage::Reaper.failed())?;
    start_worker(plan, Reach::Descendants, guard::NONE)
}

/// Splits into the supervising process, which stays here for its life, and the worker.
fn start_worker(plan: &Plan, reach: Reach, guard_lives: c_int) -> Result<(), Failure> {
    let ended = raw::child_signals().map_err(Stage::Signals.failed())?;
    match raw::fork().map_err(Stage::Fork.failed())? {
        Side::Parent(worker) => guard::supervise(reach, plan, guard_lives, ended, worker),
        Side::Child => become_worker(plan),
    }
}

fn become_worker(plan: &Plan) -> Result<(), Failure> {
    if !plan.removed(Layer::Session) {
        // SAFETY: no memory is involved. A session of its own: no controlling terminal, and a process group to interrupt.
        raw::check(unsafe { libc::setsid() }).map_err(Stage::Session.failed())?;
    }
    die_with_parent();
    if plan.tier == Tier::Namespace && plan.walls.is_none() {
        own_proc();
    }
    if !plan.removed(Layer::Limits) {
        limit(plan)?;
    }
    match &plan.walls {
        None => raw::hide_descriptors(),
        Some(walls) => wall_in(plan, walls)?,
    }
    raw::default_signals();
    Ok(())
}

/// Raises what belongs to the process itself, each layer with its proof as soon as nothing later can answer in its place.
fn wall_in(plan: &Plan, walls: &Blueprint) -> Result<(), Failure> {
    raise::within(walls)?;
    let mut proofs = Proofs::before_rules(walls, plan.parcel.variables());
    raise::rules(walls)?;
    proofs.after_rules(walls);
    prove::leave_open();
    if !walls.removed.has(Layer::Descriptors) {
        raw::hide_descriptors();
    }
    proofs.after_hiding();
    raise::filter(walls)?;
    proofs.after_filter();
    proofs.settle(walls, plan.channel)
}

fn limit(plan: &Plan) -> Result<(), Failure> {
    for group in plan.groups.iter().flatten() {
        raw::write(*group, b"0").map_err(Stage::Group.failed())?;
    }
    for limit in plan.rlimits.iter().flatten() {
        let value = libc::rlimit {
            rlim_cur: limit.value,
            rlim_max: limit.value,
        };
        // SAFETY: the value outlives the call.
        raw::check(unsafe { libc::setrlimit(limit.resource as _, &raw const value) }).map_err(Stage::Limit.failed())?;
    }
    Ok(())
}

/// Gives the worker a `/proc` of its own PID namespace. With the outer one, a sandbox inside the worker (bubblewrap, which
/// Codex starts for every command) looks for its children under the wrong numbers, fails, and leaves them waiting for
/// ever. Where the kernel refuses (a masked `/proc` in a container), the outer one stays.
fn own_proc() {
    let none: *const libc::c_void = std::ptr::null();
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: this process has one thread, and all strings are static.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                none.cast(),
                c"/".as_ptr(),
                none.cast(),
                libc::MS_REC | libc::MS_PRIVATE,
                none,
            ) == 0
        {
            libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, none);
        }
    }
}

/// Leaves the product's session and process group, so that a Ctrl-C there reaches only the product.
fn leave_session() -> Result<(), Failure> {
    raw::block_signals();
    raw::default_child_signal();
    // SAFETY: no memory is involved.
    raw::check(unsafe { libc::setsid() })
        .map_err(Stage::Session.failed())
        .map(|_| ())
}

/// Asks to be killed when the single-threaded parent ends. A second line only: the channels are the first.
fn die_with_parent() {
    // SAFETY: plain setting of this process.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
}
