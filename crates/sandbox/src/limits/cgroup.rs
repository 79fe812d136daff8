//! Control groups: one group a worker and hierarchy, below the product's own group, removed when the worker is gone.
//!
//! Existing groups are never changed, with one exception in version 2: an own group that lets its children have no controllers is
//! asked to (the kernel refuses while it has processes, unless it is the root).

mod alarm;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Backend, Enforced, Limits};
pub(crate) use alarm::{Alarm, Wires};

/// Where groups can be made: a hierarchy and the group below which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) backend: Backend,
    pub(crate) controllers: Vec<String>,
    pub(crate) dir: PathBuf,
}

/// The usable bases of this process, found once; stale groups of dead products are removed then.
pub(crate) fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let found = find(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let usable: Vec<Base> = found.into_iter().filter_map(usable).collect();
        usable.iter().for_each(|base| sweep(&base.dir));
        usable
    })
}

/// Controllers this crate knows what to do with.
const WANTED: [&str; 4] = ["memory", "cpu", "pids", "cpuacct"];

/// Joins the mounted hierarchies with this process's groups in them.
fn find(mountinfo: &str, groups: &str) -> Vec<Base> {
    mountinfo
        .lines()
        .filter_map(|line| base_of_mount(line, groups))
        .collect()
}

fn base_of_mount(line: &str, groups: &str) -> Option<Base> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, mount) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (system, options) = (kind.next()?, kind.nth(1)?);
    let (backend, controllers) = match system {
        "cgroup" => (Backend::CgroupV1, wanted(options, ',')),
        "cgroup2" => (Backend::CgroupV2, Vec::new()),
        _ => return None,
    };
    if backend == Backend::CgroupV1 && controllers.is_empty() {
        return None;
    }
    let own = groups.lines().find_map(|line| own_group(line, &controllers))?;
    let below = if root == "/" {
        own.trim_start_matches('/')
    } else {
        own.strip_prefix(root)?.trim_start_matches('/')
    };
    Some(Base {
        backend,
        controllers,
        dir: Path::new(mount).join(below),
    })
}

/// The path in a `/proc/self/cgroup` line, when it is the hierarchy with these controllers (none: the unified one).
fn own_group<'a>(line: &'a str, controllers: &[String]) -> Option<&'a str> {
    let (_, rest) = line.split_once(':')?;
    let (names, path) = rest.split_once(':')?;
    let here = match controllers.first() {
        None => names.is_empty(),
        Some(first) => names.split(',').any(|name| name == first),
    };
    here.then_some(path)
}

fn wanted(list: &str, separator: char) -> Vec<String> {
    list.split(separator)
        .map(str::trim)
        .filter(|name| WANTED.contains(name))
        .map(str::to_owned)
        .collect()
}

/// The base with what its children really get, or nothing when no group can be made there.
fn usable(base: Base) -> Option<Base> {
    match base.backend {
        Backend::CgroupV2 => {
            // A process may not live beside children with controllers: usually the parent of the own group is the place.
            let parent = base.dir.parent().map(Path::to_path_buf);
            [Some(base.dir), parent]
                .into_iter()
                .flatten()
                .find_map(|dir| usable_v2(&dir))
        }
        _ => writable(&base.dir).then_some(base),
    }
}

fn usable_v2(dir: &Path) -> Option<Base> {
    if !writable(dir) {
        return None;
    }
    let enabled = dir.join("cgroup.subtree_control");
    let given = || {
        fs::read_to_string(&enabled)
            .map(|list| wanted(&list, ' '))
            .unwrap_or_default()
    };
    let mut controllers = given();
    if controllers.is_empty() {
        for name in wanted(
            &fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default(),
            ' ',
        ) {
            // Refused while the group has processes of its own; then there is nothing to use here.
            let _ = fs::write(&enabled, format!("+{name}"));
        }
        controllers = given();
    }
    (!controllers.is_empty()).then(|| Base {
        backend: Backend::CgroupV2,
        controllers,
        dir: dir.to_path_buf(),
    })
}

fn writable(dir: &Path) -> bool {
    dir.join("cgroup.procs").exists() && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Removes empty groups whose product is dead.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("maestria-"))
            .and_then(|rest| rest.split_once('-'));
        if let Some((pid, _)) = owner
            && pid.parse::<u32>().is_ok()
            && !Path::new("/proc").join(pid).exists()
        {
            // Not empty means a worker of someone we cannot see: it stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// One group of a worker.
#[derive(Debug)]
struct Group {
    backend: Backend,
    controllers: Vec<String>,
    dir: PathBuf,
}

/// The groups of one worker; dropping removes them.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
}

impl Groups {
    /// Makes groups for what `limits` asks and the kernel offers, and notes in `enforced` what holds.
    pub(crate) fn create(limits: &Limits, enforced: &mut Enforced) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "maestria-{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let mut groups = Vec::new();
        for base in bases() {
            let group = Group {
                backend: base.backend,
                controllers: base.controllers.clone(),
                dir: base.dir.join(&name),
            };
            if groups.len() < crate::confine::GROUPS && fs::create_dir(&group.dir).is_ok() {
                group.apply(limits, enforced);
                groups.push(group);
            }
        }
        Self { groups }
    }

    /// The name that all groups of the worker end in, when it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.groups.first()?.dir.file_name()?.to_str()
    }

    /// Opens the files through which a single-threaded process joins by writing "0".
    pub(crate) fn open_doors(&self) -> io::Result<Vec<File>> {
        self.groups
            .iter()
            .map(|group| OpenOptions::new().write(true).open(group.dir.join(group.door())))
            .collect()
    }

    /// What tells that the worker is out of memory, where the kernel then ends less than all of it.
    pub(crate) fn alarm(&self) -> Option<Alarm> {
        let group = self.with("memory").filter(|group| group.backend == Backend::CgroupV1)?;
        Alarm::of(&group.dir)
            .inspect_err(|error| tracing::warn!(group = %group.dir.display(), %error, "no alarm for want of memory"))
            .ok()
    }

    /// How many processes of the worker the kernel ended for want of memory.
    pub(crate) fn out_of_memory_kills(&self) -> u64 {
        let Some(group) = self.with("memory") else { return 0 };
        let file = if group.backend == Backend::CgroupV2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        group.keyed(file, "oom_kill").unwrap_or(0)
    }

    /// How many processes the kernel refused to start because there were as many as may be.
    pub(crate) fn refused_processes(&self) -> u64 {
        self.with("pids")
            .and_then(|group| group.keyed("pids.events", "max"))
            .unwrap_or(0)
    }

    /// Bytes in use, without file cache the kernel can drop at once.
    pub(crate) fn memory(&self) -> Option<u64> {
        let group = self.with("memory")?;
        let (used, cache) = match group.backend {
            Backend::CgroupV2 => ("memory.current", "inactive_file"),
            _ => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        Some(
            group
                .number(used)?
                .saturating_sub(group.keyed("memory.stat", cache).unwrap_or(0)),
        )
    }

    /// Most bytes ever in use, file cache included.
    pub(crate) fn memory_peak(&self) -> Option<u64> {
        let group = self.with("memory")?;
        group.number(if group.backend == Backend::CgroupV2 {
            "memory.peak"
        } else {
            "memory.max_usage_in_bytes"
        })
    }

    /// Processor time, microseconds.
    pub(crate) fn cpu_micros(&self) -> Option<u64> {
        if let Some(group) = self.with("cpuacct") {
            return group.number("cpuacct.usage").map(|nanos| nanos / 1000);
        }
        self.with("cpu")
            .filter(|group| group.backend == Backend::CgroupV2)?
            .keyed("cpu.stat", "usage_usec")
    }

    fn with(&self, controller: &str) -> Option<&Group> {
        self.groups
            .iter()
            .find(|group| group.controllers.iter().any(|name| name == controller))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.groups {
            if let Err(error) = fs::remove_dir(&group.dir) {
                tracing::warn!(group = %group.dir.display(), %error, "control group left behind; the next start removes it");
            }
        }
    }
}

impl Group {
    /// Version 1 has a door for single threads which spares the whole-machine lock of `cgroup.procs` (tens of milliseconds).
    fn door(&self) -> &'static str {
        if self.backend == Backend::CgroupV1 {
            "tasks"
        } else {
            "cgroup.procs"
        }
    }

    fn apply(&self, limits: &Limits, enforced: &mut Enforced) {
        for controller in &self.controllers {
            match controller.as_str() {
                "memory" => self.limit(limits.memory, &mut enforced.memory, |group, bytes| {
                    group.limit_memory(bytes)
                }),
                "cpu" => self.limit(limits.cpu_percent, &mut enforced.cpu, |group, percent| {
                    group.limit_cpu(percent)
                }),
                "pids" => self.limit(limits.processes, &mut enforced.processes, |group, count| {
                    group.put("pids.max", count)
                }),
                _ => {}
            }
        }
    }

    fn limit<T>(&self, limit: Option<T>, mark: &mut Option<Backend>, set: impl Fn(&Self, T) -> io::Result<()>) {
        let Some(limit) = limit else { return };
        match set(self, limit) {
            Ok(()) => *mark = Some(self.backend),
            Err(error) => tracing::warn!(group = %self.dir.display(), %error, "control group refused a limit"),
        }
    }

    fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        if self.backend == Backend::CgroupV2 {
            // Swap is absent on some kernels; ending the whole worker beats one that lost a random process.
            let _ = self.put("memory.swap.max", 0);
            let _ = self.put("memory.oom.group", 1);
            return self.put("memory.max", bytes);
        }
        self.put("memory.limit_in_bytes", bytes)?;
        let _ = self.put("memory.memsw.limit_in_bytes", bytes);
        Ok(())
    }

    fn limit_cpu(&self, percent: u32) -> io::Result<()> {
        // Counted over a second, a worker may start on every core and still keep to its share; over the kernel's usual
        // tenth of that, a CLI's parallel start is stopped again and again. A small share would be stopped for too long.
        let period = if percent >= 100 { 1_000_000 } else { 100_000 };
        let quota = u64::from(percent.max(1)) * period / 100;
        if self.backend == Backend::CgroupV2 {
            return fs::write(self.dir.join("cpu.max"), format!("{quota} {period}"));
        }
        self.put("cpu.cfs_period_us", period)?;
        self.put("cpu.cfs_quota_us", quota)
    }

    fn put(&self, file: &str, value: u64) -> io::Result<()> {
        fs::write(self.dir.join(file), value.to_string())
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }

    fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(file)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests;
