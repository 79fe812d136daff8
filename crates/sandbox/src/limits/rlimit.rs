//! Resource limits: open files, file size and core dumps always; the rest where no control group does it.

use super::{Backend, Enforced, Limits};
use crate::confine::{RLIMITS, Rlimit};
use crate::spec::Tier;

/// Chooses resource limits for what `enforced` does not cover yet, and notes them there.
pub(crate) fn choose(limits: &Limits, tier: Tier, enforced: &mut Enforced) -> [Option<Rlimit>; RLIMITS] {
    let mut chosen = [None; RLIMITS];
    let mut free = chosen.iter_mut();
    let mut set = |resource, value, mark: &mut Option<Backend>| {
        if let (Some(slot), Some(value)) = (free.next(), value) {
            *slot = Some(Rlimit {
                resource,
                value: at_most_inherited(resource, value),
            });
            *mark = Some(Backend::Rlimit);
        }
    };
    set(libc::RLIMIT_CORE as _, Some(0), &mut enforced.core);
    set(libc::RLIMIT_NOFILE as _, limits.open_files, &mut enforced.open_files);
    set(libc::RLIMIT_FSIZE as _, limits.file_size, &mut enforced.file_size);
    if enforced.memory.is_none() {
        // Not the address space: JavaScript engines reserve far more of it than they use.
        set(libc::RLIMIT_DATA as _, limits.memory, &mut enforced.memory);
    }
    if enforced.processes.is_none() && counts_only_this_worker(tier) {
        set(libc::RLIMIT_NPROC as _, limits.processes, &mut enforced.processes);
    }
    chosen
}

/// The kernel counts processes by user and user namespace, and never limits root.
pub(crate) fn counts_only_this_worker(tier: Tier) -> bool {
    // SAFETY: geteuid has no preconditions.
    tier == Tier::Namespace && unsafe { libc::geteuid() } != 0
}

/// A limit can only be lowered without privileges.
fn at_most_inherited(resource: libc::c_int, value: u64) -> u64 {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `now` is a valid place for the result.
    let read = unsafe { libc::getrlimit(resource as _, &raw mut now) };
    if read == 0 { value.min(now.rlim_max) } else { value }
}
