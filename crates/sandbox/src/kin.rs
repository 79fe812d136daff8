//! Descendants of a process, read from `/proc` without allocating (a subreaper guard runs this after a fork).

use std::ffi::CStr;

use libc::c_int;

use crate::raw;

/// One process as `/proc/PID/stat` shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) pid: c_int,
    pub(crate) parent: c_int,
    pub(crate) state: u8,
    /// User and system time, clock ticks.
    pub(crate) ticks: u64,
    /// User and system time of reaped children, clock ticks.
    pub(crate) reaped_ticks: u64,
    /// Start time, clock ticks since boot: with the pid, an exact identity.
    pub(crate) start: u64,
    /// Resident memory, pages.
    pub(crate) resident: u64,
    related: bool,
}

impl Process {
    /// Neither dead nor waiting to be reaped.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }

    /// Stopped by a signal.
    pub(crate) fn stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Signals exactly this process, never another one which got its number.
    pub(crate) fn signal(&self, signal: c_int) -> Result<(), raw::Errno> {
        let handle = raw::pidfd_open(self.pid)?;
        let result = match read_process(self.pid) {
            Some(now) if now.start == self.start => raw::pidfd_signal(handle, signal),
            _ => Err(libc::ESRCH),
        };
        raw::close(handle);
        result
    }
}

/// Most processes looked at; beyond it the machine has other problems, and callers see `len` at this value.
const CAPACITY: usize = 1 << 17;

/// Room for a snapshot, in its own mapping.
pub(crate) struct Table {
    slots: *mut Process,
    len: usize,
}

impl Table {
    pub(crate) fn new() -> Result<Self, raw::Errno> {
        // SAFETY: an anonymous private mapping of fixed size; the result is checked.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                CAPACITY * size_of::<Process>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            Err(raw::errno())
        } else {
            Ok(Self {
                slots: memory.cast(),
                len: 0,
            })
        }
    }

    /// Takes a snapshot and returns the descendants of `root`, without `root`.
    pub(crate) fn descendants(&mut self, root: c_int) -> &[Process] {
        self.snapshot();
        let all = self.all();
        loop {
            let mut found = false;
            for index in 0..all.len() {
                if !all[index].related && (all[index].parent == root || is_related(all, all[index].parent)) {
                    all[index].related = true;
                    found = true;
                }
            }
            if !found {
                break;
            }
        }
        let mut kept = 0;
        for index in 0..all.len() {
            if all[index].related {
                all.swap(kept, index);
                kept += 1;
            }
        }
        &all[..kept]
    }

    fn all(&mut self) -> &mut [Process] {
        // SAFETY: the first `len` slots were written by `snapshot`; the mapping lives as long as self.
        unsafe { std::slice::from_raw_parts_mut(self.slots, self.len) }
    }

    /// Reads every process of this `/proc`, in the kernel's ascending pid order.
    pub(crate) fn snapshot(&mut self) -> &[Process] {
        self.len = 0;
        if let Ok(proc) = raw::open(libc::AT_FDCWD, c"/proc", libc::O_RDONLY | libc::O_DIRECTORY) {
            each_pid(proc, |pid| {
                if self.len < CAPACITY
                    && let Some(process) = read_process(pid)
                {
                    // SAFETY: len < CAPACITY, so the slot lies in the mapping.
                    unsafe { self.slots.add(self.len).write(process) };
                    self.len += 1;
                }
            });
            raw::close(proc);
        }
        self.all()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped.
        unsafe { libc::munmap(self.slots.cast(), CAPACITY * size_of::<Process>()) };
    }
}

/// `/proc` lists pids in ascending order, so a binary search finds the parent.
fn is_related(all: &[Process], pid: c_int) -> bool {
    all.binary_search_by_key(&pid, |process| process.pid)
        .is_ok_and(|index| all[index].related)
}

/// Offset of the name in a `linux_dirent64`.
const NAME: usize = 19;

fn each_pid(proc: c_int, mut visit: impl FnMut(c_int)) {
    let mut buffer = [0_u8; 8192];
    loop {
        // SAFETY: pointer and length describe the buffer.
        let count = unsafe { libc::syscall(libc::SYS_getdents64, proc, buffer.as_mut_ptr(), buffer.len()) };
        if count <= 0 {
            return;
        }
        let mut rest = &buffer[..count as usize];
        while rest.len() > NAME {
            let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]])).clamp(NAME, rest.len());
            if let Some(pid) = number(&rest[NAME..length]) {
                visit(pid as c_int);
            }
            rest = &rest[length..];
        }
    }
}

/// The decimal number a byte string starts with, ended by NUL or a blank.
fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ended = bytes.get(digits).is_none_or(|byte| matches!(byte, 0 | b' ' | b'\n'));
    (digits > 0 && ended).then(|| {
        bytes[..digits].iter().fold(0, |sum: u64, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
        })
    })
}

/// Reads one process, or nothing when it is gone.
pub(crate) fn read_process(pid: c_int) -> Option<Process> {
    let mut path = [0_u8; 32];
    let file = raw::open(libc::AT_FDCWD, stat_path(&mut path, pid)?, libc::O_RDONLY).ok()?;
    let mut buffer = [0_u8; 1024];
    let count = raw::read(file, &mut buffer);
    raw::close(file);
    parse(pid, &buffer[..count.ok()?])
}

fn stat_path(buffer: &mut [u8; 32], pid: c_int) -> Option<&CStr> {
    let mut digits = [0_u8; 10];
    let mut rest = u32::try_from(pid).ok()?;
    let mut first = digits.len();
    while first > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut at = 0;
    for part in [b"/proc/".as_slice(), &digits[first..], b"/stat\0"] {
        buffer[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    CStr::from_bytes_until_nul(buffer).ok()
}

/// Fields after the command name, which itself may hold blanks and brackets.
fn parse(pid: c_int, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(name_end + 2..)?.split(|byte| *byte == b' ');
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)? as c_int;
    let mut field = |skip| fields.nth(skip).and_then(number);
    let ticks = field(9)?.wrapping_add(field(0)?);
    let reaped_ticks = field(0)?.wrapping_add(field(0)?);
    let start = field(4)?;
    let resident = field(1)?;
    Some(Process {
        pid,
        parent,
        state,
        ticks,
        reaped_ticks,
        start,
        resident,
        related: false,
    })
}

#[cfg(test)]
mod tests;
