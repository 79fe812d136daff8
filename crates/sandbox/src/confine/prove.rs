//! Proves each layer from within, by trying what it must stop. Not by asking for versions: a layer that is there and does not
//! hold is missing.

use std::ffi::CStr;

use libc::{c_int, c_long, c_ulong};

use crate::control::{Failure, Report, Stage};
use crate::layer::{Layer, Layers};
use crate::raw;
use crate::walls::{Blueprint, Marks};

/// Namespaces in the order of [`Marks::namespaces`].
const NAMESPACES: [&CStr; 6] = [
    c"/proc/self/ns/user",
    c"/proc/self/ns/mnt",
    c"/proc/self/ns/pid",
    c"/proc/self/ns/net",
    c"/proc/self/ns/ipc",
    c"/proc/self/ns/uts",
];
/// Descriptors looked at; a fresh process has the lowest numbers.
const DESCRIPTORS: c_int = 256;
/// An address that belongs to nobody.
const ELSEWHERE: [u8; 4] = [192, 0, 2, 1];

/// What was seen before the rules and the filter hide it.
pub(super) struct Proofs(Layers);

impl Proofs {
    /// Tries everything that Landlock and the filter would answer in place of the layer that is meant.
    /// `given` is how many variables its program will get.
    pub(super) fn before_rules(blueprint: &Blueprint, given: usize) -> Self {
        let marks = &blueprint.marks;
        let differs = NAMESPACES.map(|path| inode(path).is_some_and(|(_, inode)| !marks.namespaces.contains(&inode)));
        let [user, mounts, pids, net, ipc, uts] = differs;
        let mut proofs = Self(Layers::NONE);
        proofs.note(Layer::Session, has_own_session());
        proofs.note(Layer::Limits, is_limited(marks));
        proofs.note(Layer::User, user);
        proofs.note(Layer::Mounts, mounts && !opens(marks.canary.as_c_str()));
        proofs.note(Layer::Pids, pids && sees_no_product(marks.pid));
        proofs.note(Layer::Net, net && !finds_a_way());
        proofs.note(Layer::Ipc, ipc);
        proofs.note(Layer::Uts, uts);
        proofs.note(Layer::Proc, pids && is_itself_in_proc());
        proofs.note(
            Layer::Tmp,
            mounts && inode(c"/tmp").is_some_and(|found| found != marks.tmp),
        );
        proofs.note(Layer::Capabilities, has_no_capability());
        proofs.note(Layer::NoNewPrivileges, cannot_gain());
        proofs.note(Layer::Environment, given == marks.variables);
        proofs
    }

    /// Tries what only the rules stop.
    pub(super) fn after_rules(&mut self, blueprint: &Blueprint) {
        let readable = if self.0.has(Layer::Mounts) {
            c"/.unnamed"
        } else {
            blueprint.marks.canary.as_c_str()
        };
        let refused = raw::open(libc::AT_FDCWD, readable, libc::O_RDONLY) == Err(libc::EACCES);
        self.note(Layer::Landlock, refused);
    }

    /// Looks for what was left open on purpose, and whatever else is open.
    pub(super) fn after_hiding(&mut self) {
        self.note(Layer::Descriptors, (3..DESCRIPTORS).all(is_hidden));
    }

    /// Tries what only the filter stops: without it, the first succeeds and the second complains of its argument.
    pub(super) fn after_filter(&mut self) {
        // SAFETY: asks for nothing, and for a ring without a place for its parameters.
        let refused = unsafe {
            let unshared = raw::check(libc::unshare(0));
            let ring = raw::check_long(libc::syscall(
                libc::SYS_io_uring_setup,
                0 as c_long,
                std::ptr::null::<u8>(),
            ));
            unshared == Err(libc::EPERM) && ring == Err(libc::EPERM)
        };
        self.note(Layer::Seccomp, refused);
    }

    /// Tells the product what stands; a layer that does not ends the start, unless the worker may go on with less.
    pub(super) fn settle(&self, blueprint: &Blueprint, channel: c_int) -> Result<(), Failure> {
        let mut told = self.0.0 as c_int;
        if is_nobody_outside() {
            told |= UNPRIVILEGED;
        }
        Report::Proved(told).send(channel);
        let missing = Layers::ALL.without(self.0);
        if missing.is_empty() || blueprint.allow_degraded {
            Ok(())
        } else {
            Err(Failure {
                stage: Stage::Proof,
                errno: missing.0 as c_int,
            })
        }
    }

    fn note(&mut self, layer: Layer, holds: bool) {
        if holds {
            self.0 = self.0.with(Layers::of(&[layer]));
        }
    }
}

/// Beside the layers in a report: the worker's user owns nothing outside.
pub(crate) const UNPRIVILEGED: c_int = 1 << 30;

/// Leaves a descriptor open that must not survive.
pub(super) fn leave_open() {
    // SAFETY: only descriptor numbers are involved.
    unsafe { libc::dup(2) };
}

fn inode(path: &CStr) -> Option<(u64, u64)> {
    // SAFETY: a NUL-terminated path; all-zero bytes are a valid stat, and it is a valid place for the result.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        raw::check(libc::stat(path.as_ptr(), &raw mut found)).ok()?;
        Some((found.st_dev, found.st_ino))
    }
}

fn opens(path: &CStr) -> bool {
    [libc::O_RDONLY, libc::O_WRONLY].into_iter().any(|flags| {
        raw::open(libc::AT_FDCWD, path, flags | libc::O_NOFOLLOW)
            .map(raw::close)
            .is_ok()
    })
}

fn has_own_session() -> bool {
    // SAFETY: no memory is involved.
    let own = unsafe { libc::getsid(0) == libc::getpid() };
    own && !opens(c"/dev/tty")
}

fn is_limited(marks: &Marks) -> bool {
    let mut core = libc::rlimit {
        rlim_cur: 1,
        rlim_max: 1,
    };
    // SAFETY: a valid place for the result.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut core) };
    core.rlim_max == 0 && marks.group.is_none_or(|group| is_member(group.as_c_str().to_bytes()))
}

/// Whether the list of the process's groups names one.
fn is_member(group: &[u8]) -> bool {
    let Ok(list) = raw::open(libc::AT_FDCWD, c"/proc/self/cgroup", libc::O_RDONLY) else {
        return false;
    };
    let mut text = [0; 4096];
    let mut filled = 0;
    while let Ok(count @ 1..) = raw::read(list, &mut text[filled..]) {
        filled += count;
    }
    raw::close(list);
    text[..filled].windows(group.len()).any(|part| part == group)
}

fn sees_no_product(product: c_int) -> bool {
    // SAFETY: no memory is involved; signal 0 only asks.
    let first = unsafe { libc::getppid() } == 1;
    // Numbers this low are taken inside, too.
    first && (product <= 2 || raw::kill(product, 0) == Err(libc::ESRCH))
}

/// Connecting a datagram socket sends nothing; it only looks for a way.
fn finds_a_way() -> bool {
    // SAFETY: all-zero bytes are a valid address, which the call only reads.
    unsafe {
        let Ok(socket) = raw::check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)) else {
            return false;
        };
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = 9_u16.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes(ELSEWHERE);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let connected = libc::connect(socket, (&raw const address).cast(), length);
        raw::close(socket);
        connected == 0
    }
}

fn is_itself_in_proc() -> bool {
    let mut told = [0_u8; 16];
    // SAFETY: pointer and length describe the buffer.
    let count = unsafe { libc::readlink(c"/proc/self".as_ptr(), told.as_mut_ptr().cast(), told.len()) };
    let Some(told) = usize::try_from(count).ok().and_then(|count| told.get(..count)) else {
        return false;
    };
    let mut own = [0_u8; 32];
    // SAFETY: getpid has no preconditions.
    told == raw::numbered(&mut own, b"", unsafe { libc::getpid() }).to_bytes()
}

fn has_no_capability() -> bool {
    let header = raw::CAPABILITIES;
    let mut sets = [u32::MAX; 6];
    // SAFETY: the structures are those of the version that is named; the name set is the one that is in force.
    unsafe {
        let read = libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr());
        let none = read == 0 && sets == [0; 6];
        let bounded = (0..64).all(|capability| libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) != 1);
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        let length = libc::strnlen(names.nodename.as_ptr(), names.nodename.len());
        let renamed = libc::sethostname(names.nodename.as_ptr(), length) == 0;
        // A caller who never had a capability cannot lower the bound; without any it gives nothing.
        none && !renamed && (bounded || libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    }
}

fn cannot_gain() -> bool {
    // SAFETY: plain question about this process.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0 as c_ulong, 0, 0, 0) == 1 }
}

fn is_hidden(fd: c_int) -> bool {
    // SAFETY: only descriptor numbers are involved.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags == -1 || flags & libc::FD_CLOEXEC != 0
}

/// Whether user 0 in here is somebody without property outside.
fn is_nobody_outside() -> bool {
    let Ok(map) = raw::open(libc::AT_FDCWD, c"/proc/self/uid_map", libc::O_RDONLY) else {
        return false;
    };
    let mut text = [0_u8; 128];
    let count = raw::read(map, &mut text).unwrap_or(0);
    raw::close(map);
    let mut fields = text[..count]
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    fields.nth(1).is_some_and(|outside| outside == b"65534")
}
