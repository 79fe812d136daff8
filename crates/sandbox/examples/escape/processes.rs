//! Touching other processes, and what the launcher left lying about.

use std::fs::{self, File, OpenOptions};
use std::io;

use crate::{Probe, Scene, done, found, probe};

/// Files of a process that tell or change something of it.
const FILES: [&str; 9] = [
    "environ",
    "mem",
    "maps",
    "root/etc/passwd",
    "cwd/x",
    "fd",
    "auxv",
    "stack",
    "io",
];

type Touch = fn(i32) -> libc::c_long;
type Whom = fn(&Scene) -> i32;

/// A call on a process, by its number.
const TOUCHES: [(&str, Touch); 13] = [
    ("ask for", |pid| raw(libc::SYS_kill, [pid as i64, 0, 0, 0, 0, 0])),
    ("interrupt", |pid| {
        raw(libc::SYS_kill, [pid as i64, libc::SIGURG as i64, 0, 0, 0, 0])
    }),
    ("queue a signal for", |pid| {
        // SAFETY: all-zero bytes are a valid value.
        unsafe { libc::sigqueue(pid, libc::SIGURG, std::mem::zeroed()).into() }
    }),
    ("signal a thread of", |pid| {
        raw(libc::SYS_tgkill, [pid as i64, pid as i64, libc::SIGURG as i64, 0, 0, 0])
    }),
    ("open", |pid| {
        // A handle alone says that it exists; a signal through it would be the harm.
        let handle = raw(libc::SYS_pidfd_open, [pid as i64, 0, 0, 0, 0, 0]);
        if handle == -1 {
            -1
        } else {
            raw(libc::SYS_pidfd_send_signal, [handle, libc::SIGURG as i64, 0, 0, 0, 0])
        }
    }),
    ("attach to", |pid| {
        raw(libc::SYS_ptrace, [libc::PTRACE_ATTACH as i64, pid as i64, 0, 0, 0, 0])
    }),
    ("seize", |pid| {
        raw(libc::SYS_ptrace, [libc::PTRACE_SEIZE as i64, pid as i64, 0, 0, 0, 0])
    }),
    ("read memory of", |pid| {
        raw(libc::SYS_process_vm_readv, [pid as i64, 0, 0, 0, 0, 0])
    }),
    ("write memory of", |pid| {
        raw(libc::SYS_process_vm_writev, [pid as i64, 0, 0, 0, 0, 0])
    }),
    ("slow down", |pid| {
        raw(libc::SYS_setpriority, [0, pid as i64, 19, 0, 0, 0])
    }),
    ("schedule", |pid| {
        let mask = 1_u64;
        raw(
            libc::SYS_sched_setaffinity,
            [pid as i64, 8, (&raw const mask) as i64, 0, 0, 0],
        )
    }),
    ("limit", |pid| {
        let limit = [1_u64 << 20; 2];
        raw(
            libc::SYS_prlimit64,
            [
                pid as i64,
                libc::RLIMIT_NOFILE as i64,
                (&raw const limit) as i64,
                0,
                0,
                0,
            ],
        )
    }),
    ("compare with", |pid| {
        raw(libc::SYS_kcmp, [pid as i64, std::process::id() as i64, 0, 0, 1, 0])
    }),
];

/// A call that is only given numbers and addresses that outlive it.
fn raw(call: libc::c_long, arguments: [i64; 6]) -> libc::c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers pass what the call reads; none of them writes to memory of ours.
    unsafe { libc::syscall(call, a, b, c, d, e, f) }
}

pub(crate) fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    let whom: [(&str, Whom); 2] = [
        ("a stranger", |scene| scene.victim),
        ("the launcher", |scene| scene.launcher),
    ];
    for (who, pid) in whom {
        for (what, touch) in TOUCHES {
            probes.push(probe(format!("{what} {who}"), move |scene| done(touch(pid(scene)))));
        }
        for file in FILES {
            probes.push(probe(format!("read {file} of {who}"), move |scene| {
                look(&format!("/proc/{}/{file}", pid(scene)))
            }));
        }
        probes.push(probe(format!("spare {who} no memory"), move |scene| {
            let file = format!("/proc/{}/oom_score_adj", pid(scene));
            io::Write::write_all(&mut OpenOptions::new().write(true).open(file)?, b"1000")
        }));
    }
    for file in ["environ", "mem", "maps", "root", "cwd", "fd", "exe"] {
        probes.push(probe(format!("read {file} of the first process"), move |_| {
            let path = format!("/proc/1/{file}");
            if file == "root" || file == "cwd" || file == "exe" {
                fs::read_link(path).map(drop)
            } else {
                look(&path)
            }
        }));
    }
    probes.push(probe("find an open descriptor", |_| {
        // SAFETY: only numbers are involved.
        found((3..1024).any(|fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1))
    }));
    probes.push(probe("find the caller's variables", |_| {
        found(std::env::var_os("MAESTRIA_ESCAPE_SECRET").is_some())
    }));
    probes.push(probe("find a terminal", |_| File::open("/dev/tty").map(drop)));
    probes.push(probe("type into a terminal", |_| {
        let byte = b'x';
        // SAFETY: the call reads one byte.
        done(unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const byte) }.into())
    }));
    probes.push(probe("paste into a terminal", |_| {
        let request = [3_u8, 0];
        // SAFETY: the call reads its subcode.
        done(unsafe { libc::ioctl(0, 0x541c, request.as_ptr()) }.into())
    }));
    probes.push(probe("attach shared memory", |scene| {
        // SAFETY: the kernel chooses where, and what is there is not touched.
        let memory = unsafe { libc::shmat(scene.shared_memory, std::ptr::null(), 0) };
        done(memory.addr() as libc::c_long)
    }));
    for file in ["tasks", "cgroup.procs"] {
        probes.push(probe(format!("leave its group by {file}"), move |_| {
            let groups = [
                "/sys/fs/cgroup",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/unified",
                "/sys/fs/cgroup/pids",
            ];
            let open = |group: &str| OpenOptions::new().write(true).open(format!("{group}/{file}"));
            let door = groups.iter().find_map(|group| open(group).ok());
            io::Write::write_all(&mut door.ok_or(io::ErrorKind::NotFound)?, b"0")
        }));
    }
    probes
}

/// Reads a little of a file, or of a folder's list.
fn look(path: &str) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        // The numbers say nothing; where one of them leads would.
        let mut entries = fs::read_dir(path)?.flatten();
        return found(entries.any(|entry| fs::read_link(entry.path()).is_ok()));
    }
    let mut byte = [0];
    io::Read::read(&mut File::open(path)?, &mut byte).map(drop)
}
