//! Asking the kernel for what no worker needs.

use std::io;

use crate::{Probe, done, found, probe};

/// Calls with arguments that the kernel would take, or complain of in another way than by refusing.
fn asked() -> Vec<(&'static str, libc::c_long, [i64; 5])> {
    let null = 0;
    let text = |text: &'static std::ffi::CStr| text.as_ptr() as i64;
    let mut asked = vec![
        (
            "a ring",
            libc::SYS_io_uring_setup,
            [1, Box::leak(Box::new([0_u8; 256])).as_mut_ptr() as i64, 0, 0, 0],
        ),
        ("a program in the kernel", libc::SYS_bpf, [0, null, 0, 0, 0]),
        ("performance events", libc::SYS_perf_event_open, [null, 0, -1, -1, 0]),
        ("its page faults", libc::SYS_userfaultfd, [0, 0, 0, 0, 0]),
        (
            "a mount",
            libc::SYS_mount,
            [text(c"none"), text(c"/tmp"), text(c"tmpfs"), 0, 0],
        ),
        (
            "a bind",
            libc::SYS_mount,
            [text(c"/etc"), text(c"/tmp"), 0, libc::MS_BIND as i64, 0],
        ),
        (
            "a writable root",
            libc::SYS_mount,
            [0, text(c"/"), 0, (libc::MS_REMOUNT | libc::MS_BIND) as i64, 0],
        ),
        (
            "a shared root",
            libc::SYS_mount,
            [0, text(c"/"), 0, libc::MS_SHARED as i64, 0],
        ),
        (
            "/proc gone",
            libc::SYS_umount2,
            [text(c"/proc"), libc::MNT_DETACH as i64, 0, 0, 0],
        ),
        (
            "another root",
            libc::SYS_pivot_root,
            [text(c"/tmp"), text(c"/tmp"), 0, 0, 0],
        ),
        ("to change its root", libc::SYS_chroot, [text(c"/tmp"), 0, 0, 0, 0]),
        (
            "a tree",
            libc::SYS_open_tree,
            [libc::AT_FDCWD as i64, text(c"/"), 1, 0, 0],
        ),
        ("a file system", libc::SYS_fsopen, [text(c"tmpfs"), 0, 0, 0, 0]),
        (
            "other attributes",
            libc::SYS_mount_setattr,
            [libc::AT_FDCWD as i64, text(c"/"), 0, null, 32],
        ),
        ("keys", libc::SYS_keyctl, [1, 0, 0, 0, 0]),
        (
            "to add a key",
            libc::SYS_add_key,
            [text(c"user"), text(c"escape"), text(c"x"), 1, -3],
        ),
        (
            "to request a key",
            libc::SYS_request_key,
            [text(c"user"), text(c"escape"), 0, -3, 0],
        ),
        ("the kernel's log", libc::SYS_syslog, [10, 0, 0, 0, 0]),
        (
            "another host name",
            libc::SYS_sethostname,
            [text(c"escape"), 6, 0, 0, 0],
        ),
        ("another domain", libc::SYS_setdomainname, [text(c"escape"), 6, 0, 0, 0]),
        ("all file events", libc::SYS_fanotify_init, [0, 0, 0, 0, 0]),
        ("accounting", libc::SYS_acct, [0, 0, 0, 0, 0]),
        ("a module", libc::SYS_init_module, [0, 0, text(c""), 0, 0]),
        ("a module from a file", libc::SYS_finit_module, [0, text(c""), 0, 0, 0]),
        ("a module gone", libc::SYS_delete_module, [text(c"escape"), 0, 0, 0, 0]),
        ("quotas", libc::SYS_quotactl, [0, 0, 0, 0, 0]),
        ("a hang-up", libc::SYS_vhangup, [0, 0, 0, 0, 0]),
        ("user 0", libc::SYS_setresuid, [12345, 12345, 12345, 0, 0]),
        ("group 0", libc::SYS_setresgid, [12345, 12345, 12345, 0, 0]),
        (
            "other groups",
            libc::SYS_setgroups,
            [1, text(c"\x2a\x2a\x2a\x2a"), 0, 0, 0],
        ),
        (
            "an older way to open",
            libc::SYS_open_by_handle_at,
            [libc::AT_FDCWD as i64, null, 0, 0, 0],
        ),
    ];
    for (name, flag) in [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
    ] {
        let (unshared, cloned) = names(name);
        asked.push((unshared, libc::SYS_unshare, [i64::from(flag), 0, 0, 0, 0]));
        asked.push((
            cloned,
            libc::SYS_clone,
            [i64::from(flag | libc::SIGCHLD) & 0xffff_ffff, 0, 0, 0, 0],
        ));
    }
    asked
}

fn names(namespace: &str) -> (&'static str, &'static str) {
    match namespace {
        "user" => ("a user namespace", "a child in a user namespace"),
        "mount" => ("a mount namespace", "a child in a mount namespace"),
        "pid" => ("a pid namespace", "a child in a pid namespace"),
        "net" => ("a net namespace", "a child in a net namespace"),
        "ipc" => ("an ipc namespace", "a child in an ipc namespace"),
        "uts" => ("a uts namespace", "a child in a uts namespace"),
        _ => ("a cgroup namespace", "a child in a cgroup namespace"),
    }
}

pub(crate) fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = asked()
        .into_iter()
        .map(|(name, call, arguments)| {
            probe(format!("ask for {name}"), move |_| {
                let [a, b, c, d, e] = arguments;
                // SAFETY: static texts, numbers, or null; a child that is made does nothing but return here, and its
                // parent reports the same.
                done(unsafe { libc::syscall(call, a, b, c, d, e) })
            })
        })
        .collect();
    probes.extend(by_other_means());
    probes
}

fn by_other_means() -> Vec<Probe> {
    vec![
        probe("ask for a namespace in a structure", |_| {
            let request = [libc::CLONE_NEWUSER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
            // SAFETY: the structure is as large as is said.
            let child = unsafe { libc::syscall(libc::SYS_clone3, request.as_ptr(), size_of_val(&request)) };
            if child == 0 {
                std::process::exit(0);
            }
            done(child)
        }),
        probe("enter the namespace of the first process", |_| {
            let namespace = std::fs::File::open("/proc/1/ns/mnt")?;
            // SAFETY: a descriptor of ours.
            done(unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&namespace), 0) }.into())
        }),
        probe("take back the promise", |_| {
            // SAFETY: plain numbers.
            done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) }.into())
        }),
        probe("take off the filter", |_| {
            // SAFETY: plain numbers.
            done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, 0, 0, 0, 0) }.into())
        }),
        probe("raise a capability", |_| {
            // SAFETY: plain numbers.
            done(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 21, 0, 0) }.into())
        }),
        probe("set all capabilities", |_| {
            let header = [0x2008_0522_u32, 0];
            let all = [u32::MAX; 6];
            // SAFETY: the structures are those of the version that is named.
            done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), all.as_ptr()) })
        }),
        probe("have a capability", |_| {
            let status = std::fs::read_to_string("/proc/self/status")?;
            let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
            found(effective.is_some_and(|bits| bits.trim().bytes().any(|digit| digit != b'0')))
        }),
        probe("become root by a set-uid program", |_| {
            let said = std::process::Command::new("su").args(["-c", "id"]).output()?;
            found(said.status.success())
        }),
        probe("make a device", |_| {
            let path = std::env::current_dir()?.join("device");
            let path = crate::c_path(&path)?;
            // SAFETY: a NUL-terminated path.
            done(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 1)) }.into())
        }),
        probe("raise a limit", |_| {
            let mut limit = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: a valid place for the result, and a value to read.
            unsafe {
                libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit);
                if limit.rlim_max == libc::RLIM_INFINITY {
                    return Err(io::Error::other("there is no limit to raise"));
                }
                limit.rlim_max += 4096;
                done(libc::setrlimit(libc::RLIMIT_CORE, &raw const limit).into())
            }
        }),
        #[cfg(target_arch = "x86_64")]
        probe("call by another convention", |_| {
            // SAFETY: asks for its own number in the numbering of x32.
            done(unsafe { libc::syscall(0x4000_0000 | libc::SYS_getpid) })
        }),
        #[cfg(target_arch = "x86_64")]
        probe("call as an older machine", |_| {
            let mut result: i64 = 20;
            // SAFETY: asks for its own number by the gate of 32-bit programs.
            unsafe { std::arch::asm!("int 0x80", inout("rax") result) };
            found(result > 0)
        }),
        probe("set the clock", |_| {
            // Only far off the mark would be harm; the present time is as much of a proof.
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: a valid place, and then a valid time.
            unsafe {
                libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
                done(libc::clock_settime(libc::CLOCK_REALTIME, &raw const now).into())
            }
        }),
        probe("ask for ports", |_| ports()),
    ]
}

#[cfg(target_arch = "x86_64")]
fn ports() -> io::Result<()> {
    // SAFETY: plain numbers.
    done(unsafe { libc::syscall(libc::SYS_iopl, 3) })
}

#[cfg(not(target_arch = "x86_64"))]
fn ports() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
