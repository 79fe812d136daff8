//! Changing and reading files outside, by every call and every way of naming them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::{Probe, Scene, c_path, done, probe};

type Way = fn(&Scene, &Path) -> io::Result<PathBuf>;
type Change = fn(&Scene, &Path) -> io::Result<()>;
type Read = fn(&Path) -> io::Result<()>;

/// Changes that follow a link at the end of a path; the others would only change a worker's own link.
const FOLLOWING: [&str; 4] = ["write", "append", "open to truncate", "truncate"];

/// Ways of naming one place: absolute, upwards, through links, through the kernel's own links.
const WAYS: [(&str, Way); 7] = [
    ("absolute", |_, path| Ok(path.to_owned())),
    ("upwards", |scene, path| {
        Ok(up(&scene.work).join(path.strip_prefix("/").unwrap_or(path)))
    }),
    ("link", |scene, path| {
        let link = scene.work.join(format!("link-{}", std::process::id()));
        symlink(path, &link)?;
        Ok(link)
    }),
    ("link above", |scene, path| {
        let link = scene.work.join(format!("above-{}", std::process::id()));
        symlink(path.parent().unwrap_or(path), &link)?;
        Ok(link.join(path.file_name().unwrap_or_default()))
    }),
    ("own root", |_, path| Ok(below("/proc/self/root", path))),
    ("own folder", |scene, path| {
        let mut way = PathBuf::from("/proc/self/cwd");
        way.extend(scene.work.components().map(|_| ".."));
        Ok(way.join(path.strip_prefix("/").unwrap_or(path)))
    }),
    ("first process", |_, path| Ok(below("/proc/1/root", path))),
];

fn up(path: &Path) -> PathBuf {
    let mut way = path.to_owned();
    way.extend(path.components().map(|_| ".."));
    way
}

fn below(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

/// What is done to the file that a way leads to.
const CHANGES: [(&str, Change); 14] = [
    ("write", |_, path| {
        OpenOptions::new().write(true).open(path)?.write_all(b"x")
    }),
    ("append", |_, path| {
        OpenOptions::new().append(true).open(path)?.write_all(b"x")
    }),
    ("open to truncate", |_, path| {
        OpenOptions::new().write(true).truncate(true).open(path).map(drop)
    }),
    ("truncate", |_, path| {
        let path = c_path(path)?;
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::truncate(path.as_ptr(), 0) }.into())
    }),
    ("create", |_, path| {
        File::create_new(path.with_extension("new")).map(drop)
    }),
    ("unlink", |_, path| fs::remove_file(path)),
    ("rename away", |scene, path| fs::rename(path, scene.work.join("stolen"))),
    ("rename over", |scene, path| {
        let own = scene.work.join(format!("own-{}", std::process::id()));
        fs::write(&own, "x")?;
        fs::rename(own, path)
    }),
    ("link in", |scene, path| {
        let own = scene.work.join(format!("linked-{}", std::process::id()));
        fs::hard_link(path, &own)?;
        fs::write(own, "x")
    }),
    ("link out", |scene, path| {
        let own = scene.work.join(format!("out-{}", std::process::id()));
        fs::write(&own, "x")?;
        fs::hard_link(own, path.with_extension("linked"))
    }),
    ("make folder", |_, path| fs::create_dir(path.with_extension("folder"))),
    ("make link", |_, path| symlink("x", path.with_extension("symlink"))),
    ("make pipe", |_, path| {
        let path = c_path(&path.with_extension("pipe"))?;
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::mkfifo(path.as_ptr(), 0o666) }.into())
    }),
    ("unnamed file", |_, path| {
        let folder = c_path(path.parent().unwrap_or(path))?;
        let flags = libc::O_TMPFILE | libc::O_WRONLY;
        // SAFETY: a NUL-terminated path, and the mode that goes with the flag.
        done(unsafe { libc::open(folder.as_ptr(), flags, 0o666) }.into())
    }),
];

/// What reads a file that must not be read.
const READS: [(&str, Read); 4] = [
    ("read", |path| {
        let mut text = String::new();
        File::open(path)?.read_to_string(&mut text).map(drop)
    }),
    ("list folder", |path| {
        fs::read_dir(path.parent().unwrap_or(path))?
            .next()
            .transpose()
            .map(drop)
    }),
    ("copy", |path| {
        fs::copy(
            path,
            std::env::current_dir()?.join(format!("copy-{}", std::process::id())),
        )
        .map(drop)
    }),
    ("watch", |path| {
        let path = c_path(path)?;
        // SAFETY: a NUL-terminated path, and a descriptor of ours.
        unsafe {
            let watch = libc::inotify_init1(libc::IN_CLOEXEC);
            let added = libc::inotify_add_watch(watch, path.as_ptr(), libc::IN_ACCESS);
            if added == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        // What can be watched but not read is known to exist, no more.
        File::open(std::ffi::OsStr::from_bytes(path.as_bytes())).map(drop)
    }),
];

/// Places of the machine that would make something run later, or change how it runs.
const LASTING: [&str; 16] = [
    "/etc/passwd",
    "/etc/ld.so.preload",
    "/etc/cron.d/escape",
    "/etc/profile.d/escape.sh",
    "/etc/sudoers.d/escape",
    "/etc/systemd/system/escape.service",
    "/etc/maestria-escape",
    "/usr/bin/escape",
    "/usr/local/bin/escape",
    "/usr/lib/escape.so",
    "/var/spool/cron/crontabs/root",
    "/var/lib/escape",
    "/run/escape",
    "/boot/escape",
    "/opt/escape",
    "/escape",
];

/// Files in a person's home that other programs run or trust.
const HOMELY: [&str; 8] = [
    ".bashrc",
    ".profile",
    ".ssh/authorized_keys",
    ".gitconfig",
    ".config/autostart/escape.desktop",
    ".config/systemd/user/escape.service",
    ".claude/settings.json",
    ".codex/config.toml",
];

/// Knobs of the kernel.
const KNOBS: [&str; 14] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/protected_symlinks",
    "/proc/sysrq-trigger",
    "/proc/self/uid_map",
    "/proc/self/gid_map",
    "/proc/self/setgroups",
    "/proc/self/mem",
    "/proc/self/clear_refs",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
];

/// Devices that lead past files.
const DEVICES: [&str; 12] = [
    "/dev/mem",
    "/dev/kmsg",
    "/dev/vda",
    "/dev/sda",
    "/dev/nvme0n1",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/loop-control",
    "/dev/port",
    "/dev/vsock",
    "/dev/tty1",
];

/// The files of a repository that run something.
const GIT: [&str; 5] = [
    ".git/hooks/post-checkout",
    ".git/config",
    ".git/info/attributes",
    ".git/HEAD",
    ".git/new",
];

pub(crate) fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (way, lead) in WAYS {
        let meant = |(what, _): &(&str, Change)| way != "link" || FOLLOWING.contains(what);
        for (what, change) in CHANGES.into_iter().filter(meant) {
            probes.push(probe(format!("{what}, {way}"), move |scene| {
                change(scene, &lead(scene, &scene.outside.join("file"))?)
            }));
        }
        // The folder above the link is the worker's own.
        for (what, read) in READS
            .into_iter()
            .filter(|(what, _)| way != "link" || *what != "list folder")
        {
            probes.push(probe(format!("{what} a secret, {way}"), move |scene| {
                read(&lead(scene, &scene.outside.join("secret"))?)
            }));
        }
    }
    let put = |path: PathBuf| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?
            .write_all(b"#x\n")
    };
    probes.extend(LASTING.map(|path| probe(format!("put {path}"), move |_| put(path.into()))));
    probes.extend(HOMELY.map(|path| probe(format!("put ~/{path}"), move |scene| put(scene.home.join(path)))));
    probes.extend(GIT.map(|path| probe(format!("put {path}"), move |scene| put(scene.work.join(path)))));
    probes.extend(KNOBS.map(|path| {
        probe(format!("turn {path}"), move |_| {
            // What the kernel takes is not known; that it takes an open for writing is enough, but for its own memory.
            let mut knob = OpenOptions::new().write(true).open(path)?;
            if path.ends_with("mem") {
                knob.write_all(b"")
            } else {
                knob.write_all(b"1\n")
            }
        })
    }));
    probes.extend(DEVICES.map(|path| probe(format!("open {path}"), move |_| File::open(path).map(drop))));
    probes.push(probe("read /etc/shadow", |_| fs::read("/etc/shadow").map(drop)));
    probes.push(probe("replace .git", |scene| {
        fs::rename(scene.work.join(".git"), scene.work.join("old-git"))
    }));
    probes.push(probe("remove .git", |scene| {
        fs::remove_dir_all(scene.work.join(".git"))
    }));
    probes.push(probe("change folder to outside", |scene| {
        std::env::set_current_dir(&scene.outside)?;
        fs::write("file", "x")
    }));
    probes.extend(alone());
    probes
}

/// What Landlock does not know: these are only stopped by a tree in which the place does not exist.
fn alone() -> Vec<Probe> {
    vec![
        probe("existence of a file", |scene| {
            fs::metadata(scene.outside.join("secret")).map(drop)
        }),
        probe("mode of a file", |scene| {
            let path = c_path(&scene.outside.join("file"))?;
            // SAFETY: a NUL-terminated path.
            done(unsafe { libc::chmod(path.as_ptr(), 0o644) }.into())
        }),
        probe("times of a file", |scene| {
            let path = c_path(&scene.outside.join("file"))?;
            // SAFETY: a NUL-terminated path; no times means now.
            done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), std::ptr::null(), 0) }.into())
        }),
        probe("attributes of a file", |scene| {
            let path = c_path(&scene.outside.join("file"))?;
            // SAFETY: NUL-terminated texts, and a value as long as is said.
            done(unsafe { libc::setxattr(path.as_ptr(), c"user.escape".as_ptr(), b"x".as_ptr().cast(), 1, 0) }.into())
        }),
    ]
}
