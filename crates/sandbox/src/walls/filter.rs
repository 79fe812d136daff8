//! The filter of system calls, as a program for the kernel. Own instructions rather than a library's: what is newer than
//! this list, or of another calling convention, must not pass, and rules by call number cannot say that.

use libc::{c_long, sock_filter};

/// Offsets in what the kernel shows a filter: `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The low half of an argument; all machines supported here are little-endian.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const fn refuse(errno: i32) -> u32 {
    0x0005_0000 | errno as u32
}

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u32 = 0xc000_00b7;

/// The newest call that was looked at for this list. Newer ones, and those of the x32 convention, do not exist.
const NEWEST: u32 = 469;

/// Every kind of new namespace that `clone` can be asked for.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Typing into a terminal on behalf of its owner.
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// Calls that no worker needs and that reach into the kernel, other processes, or the machine's settings.
const REFUSED: &[c_long] = &[
    // Rings run calls that no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Files past their paths.
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Kernel machinery with a long record of holes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
];

const OPEN_TREE_ATTR: c_long = 467;

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS__sysctl,
    libc::SYS_lookup_dcookie,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[libc::SYS_lookup_dcookie];

/// Which sockets a worker may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// None but nameless pairs.
    Pairs,
    /// TCP alone: without a network and mounts of its own, every other kind leads to somebody.
    Tcp,
    /// What a program on a machine with nothing but a loopback would use.
    Loopback,
}

/// Memory, queues and semaphores that the whole machine shares, where there is no namespace for them.
const SHARED: [c_long; 6] = [
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// Calls that change how a process runs, with the place of its number among their arguments; 0 means the caller.
const OF_PROCESSES: [(c_long, u32); 7] = [
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_prlimit64, 0),
];

/// The program. Where the worker is not alone in namespaces of its own (`walled`), it also keeps away from others.
pub(crate) fn program(sockets: Sockets, walled: bool) -> Vec<sock_filter> {
    let mut filter = Filter(Vec::with_capacity(192));
    filter.load(ARCHITECTURE);
    filter.unless_equal(THIS_MACHINE, KILL);
    filter.load(NUMBER);
    filter.if_greater(NEWEST, refuse(libc::ENOSYS));
    for call in REFUSED.iter().chain(REFUSED_HERE) {
        filter.if_equal(number(*call), refuse(libc::EPERM));
    }
    // Its flags lie in memory, where a filter cannot look; libraries fall back to `clone`.
    filter.if_equal(number(libc::SYS_clone3), refuse(libc::ENOSYS));
    filter.on(libc::SYS_clone, |filter| {
        filter.load(argument(0));
        filter.if_any_bit(NAMESPACES, refuse(libc::EPERM));
    });
    filter.on(libc::SYS_ioctl, |filter| {
        filter.load(argument(1));
        for request in TERMINAL_INPUT {
            filter.if_equal(request, refuse(libc::EPERM));
        }
    });
    filter.on(libc::SYS_socketpair, |filter| {
        filter.load(argument(0));
        filter.unless_equal(libc::AF_UNIX as u32, refuse(libc::EPERM));
        if !walled {
            // Half of a pair for datagrams can still write to anybody's socket.
            filter.load(argument(1));
            filter.mask(0xf);
            filter.unless_one_of(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET], refuse(libc::EPERM));
        }
    });
    if !walled {
        for call in SHARED {
            filter.if_equal(number(call), refuse(libc::EPERM));
        }
        for (call, place) in OF_PROCESSES {
            filter.on(call, |filter| {
                filter.load(argument(place));
                filter.unless_equal(0, refuse(libc::EPERM));
            });
        }
    }
    match sockets {
        Sockets::Pairs => filter.if_equal(number(libc::SYS_socket), refuse(libc::EPERM)),
        Sockets::Tcp => filter.on(libc::SYS_socket, only_tcp),
        Sockets::Loopback => filter.on(libc::SYS_socket, usual_sockets),
    }
    filter.end(ALLOW);
    filter.0
}

fn only_tcp(filter: &mut Filter) {
    filter.load(argument(0));
    filter.unless_one_of(&[libc::AF_INET, libc::AF_INET6], refuse(libc::EPERM));
    filter.load(argument(1));
    filter.mask(0xf);
    filter.unless_equal(libc::SOCK_STREAM as u32, refuse(libc::EPERM));
    filter.load(argument(2));
    filter.unless_one_of(&[0, libc::IPPROTO_TCP], refuse(libc::EPERM));
}

fn usual_sockets(filter: &mut Filter) {
    filter.load(argument(0));
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];
    filter.unless_one_of(&families, refuse(libc::EPERM));
    // Netlink only to ask for addresses, as name resolution does.
    filter.load(argument(1));
    filter.mask(0xf);
    let types = [
        libc::SOCK_STREAM,
        libc::SOCK_DGRAM,
        libc::SOCK_SEQPACKET,
        libc::SOCK_RAW,
    ];
    filter.unless_one_of(&types, refuse(libc::EPERM));
    filter.load(argument(0));
    filter.when(libc::AF_NETLINK as u32, |filter| {
        filter.load(argument(2));
        filter.unless_equal(libc::NETLINK_ROUTE as u32, refuse(libc::EPERM));
        filter.end(ALLOW);
    });
    filter.load(argument(1));
    filter.mask(0xf);
    filter.if_equal(libc::SOCK_RAW as u32, refuse(libc::EPERM));
}

fn number(call: c_long) -> u32 {
    call as u32
}

struct Filter(Vec<sock_filter>);

/// The opcodes used: load a word, compare, mask, return.
mod op {
    pub(super) const LOAD: u16 = 0x20;
    pub(super) const AND: u16 = 0x54;
    pub(super) const EQUAL: u16 = 0x15;
    pub(super) const GREATER: u16 = 0x25;
    pub(super) const ANY_BIT: u16 = 0x45;
    pub(super) const RETURN: u16 = 0x06;
}

impl Filter {
    fn push(&mut self, code: u16, k: u32, jt: u8, jf: u8) {
        self.0.push(sock_filter { code, jt, jf, k });
    }

    fn load(&mut self, offset: u32) {
        self.push(op::LOAD, offset, 0, 0);
    }

    fn mask(&mut self, bits: u32) {
        self.push(op::AND, bits, 0, 0);
    }

    fn end(&mut self, verdict: u32) {
        self.push(op::RETURN, verdict, 0, 0);
    }

    fn if_equal(&mut self, value: u32, verdict: u32) {
        self.push(op::EQUAL, value, 0, 1);
        self.end(verdict);
    }

    fn unless_equal(&mut self, value: u32, verdict: u32) {
        self.push(op::EQUAL, value, 1, 0);
        self.end(verdict);
    }

    fn if_greater(&mut self, value: u32, verdict: u32) {
        self.push(op::GREATER, value, 0, 1);
        self.end(verdict);
    }

    fn if_any_bit(&mut self, bits: u32, verdict: u32) {
        self.push(op::ANY_BIT, bits, 0, 1);
        self.end(verdict);
    }

    fn unless_one_of(&mut self, values: &[i32], verdict: u32) {
        for (index, value) in values.iter().enumerate() {
            self.push(op::EQUAL, *value as u32, (values.len() - index) as u8, 0);
        }
        self.end(verdict);
    }

    /// Instructions for one value; others skip them.
    fn when(&mut self, value: u32, body: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.push(op::EQUAL, value, 0, 0);
        body(self);
        self.0[at].jf = (self.0.len() - at - 1) as u8;
    }

    /// Instructions for one call, which is allowed when none of them refuses.
    fn on(&mut self, call: c_long, body: impl FnOnce(&mut Self)) {
        self.when(number(call), |filter| {
            body(filter);
            filter.end(ALLOW);
        });
    }
}

#[cfg(test)]
mod tests;
