//! System calls usable between fork and exec: no allocation, no locks, errors as plain errno values.

pub(crate) mod landlock;
pub(crate) mod mount;

use std::ffi::CStr;

use libc::{c_int, c_long};

/// An errno value.
pub(crate) type Errno = c_int;

/// Which side of a fork the caller is on.
pub(crate) enum Side {
    Parent(c_int),
    Child,
}

/// What `capget` and `capset` are told first: the version of their sets, and whose they are.
#[repr(C)]
pub(crate) struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// Version 3 (`linux/capability.h`: sets of 64 bits as two words each), of the caller itself.
pub(crate) const CAPABILITIES: CapabilityHeader = CapabilityHeader {
    version: 0x2008_0522,
    pid: 0,
};

pub(crate) fn errno() -> Errno {
    // SAFETY: returns the address of this thread's errno, always valid.
    unsafe { *libc::__errno_location() }
}

/// Turns a system call's -1 into its errno.
pub(crate) fn check(result: c_int) -> Result<c_int, Errno> {
    if result == -1 { Err(errno()) } else { Ok(result) }
}

pub(crate) fn check_long(result: c_long) -> Result<c_long, Errno> {
    if result == -1 { Err(errno()) } else { Ok(result) }
}

/// Forks without libc's fork handlers, which may take locks some other thread held at the first fork.
pub(crate) fn fork() -> Result<Side, Errno> {
    // SAFETY: a plain fork (copied memory, no shared stack); the child only makes system calls until it executes or exits.
    let pid = check_long(unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::SIGCHLD as c_long,
            0 as c_long,
            0 as c_long,
            0 as c_long,
            0 as c_long,
        )
    })?;
    Ok(if pid == 0 {
        Side::Child
    } else {
        Side::Parent(pid as c_int)
    })
}

/// Ends this process at once, running no handlers.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A close-on-exec pipe: (read end, write end).
pub(crate) fn pipe() -> Result<(c_int, c_int), Errno> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((ends[0], ends[1]))
}

/// A counter that becomes readable when somebody adds to it.
pub(crate) fn event() -> Result<c_int, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

pub(crate) fn open(dir: c_int, path: &CStr, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: the path is NUL-terminated; no mode is needed because nothing is created.
    check(unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// A path that ends in a number, written into `buffer`, which must have room for it.
pub(crate) fn numbered<'a>(buffer: &'a mut [u8; 32], prefix: &[u8], number: c_int) -> &'a CStr {
    let mut digits = [0_u8; 10];
    let mut rest = number.unsigned_abs();
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let length = prefix.len() + digits.len() - first;
    buffer[..prefix.len()].copy_from_slice(prefix);
    buffer[prefix.len()..length].copy_from_slice(&digits[first..]);
    buffer[length] = 0;
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

pub(crate) fn close(fd: c_int) {
    // SAFETY: closing a number is harmless to memory; callers own the descriptor.
    unsafe { libc::close(fd) };
}

pub(crate) fn read(fd: c_int, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: pointer and length describe the buffer.
        let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        match count {
            -1 if errno() == libc::EINTR => {}
            -1 => return Err(errno()),
            count => return Ok(count as usize),
        }
    }
}

pub(crate) fn read_at(fd: c_int, buffer: &mut [u8], offset: libc::off_t) -> Result<usize, Errno> {
    // SAFETY: pointer and length describe the buffer.
    let count = unsafe { libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset) };
    usize::try_from(count).map_err(|_| errno())
}

/// Writes a small message in one call.
pub(crate) fn write(fd: c_int, bytes: &[u8]) -> Result<(), Errno> {
    loop {
        // SAFETY: pointer and length describe the slice.
        let count = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match count {
            -1 if errno() == libc::EINTR => {}
            -1 => return Err(errno()),
            count if count as usize == bytes.len() => return Ok(()),
            _ => return Err(libc::EIO),
        }
    }
}

/// Sends on a socket without raising SIGPIPE.
pub(crate) fn send(fd: c_int, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the slice.
    let count = unsafe {
        libc::send(
            fd,
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        )
    };
    if count == -1 { Err(errno()) } else { Ok(()) }
}

/// Sends descriptors over a socket, with one byte that carries them.
pub(crate) fn send_descriptors(socket: c_int, descriptors: &[c_int]) -> Result<(), Errno> {
    // Aligned as a control message must be, with room for its head and sixteen descriptors.
    let mut control = [0_u64; 2 + 8];
    let mut byte = [0_u8];
    let bytes = size_of_val(descriptors);
    if bytes > 64 {
        return Err(libc::EINVAL);
    }
    // SAFETY: all-zero bytes are a valid message; its parts outlive the call, and the control buffer has room for what is
    // written, which was checked.
    unsafe {
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(bytes as u32) as _;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
        std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), libc::CMSG_DATA(head), bytes);
        check_long(libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) as c_long).map(|_| ())
    }
}

/// Takes the descriptors that were sent over a socket, without waiting; they are close-on-exec.
pub(crate) fn receive_descriptors(socket: c_int, places: &mut [c_int]) -> Result<usize, Errno> {
    let mut control = [0_u64; 2 + 8];
    let mut byte = [0_u8];
    // SAFETY: as for sending; what the kernel has written is read only as far as it says, and copied into room that is there.
    unsafe {
        let mut part = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        check_long(libc::recvmsg(socket, &raw mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) as c_long)?;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        if head.is_null() || (*head).cmsg_type != libc::SCM_RIGHTS {
            return Ok(0);
        }
        let count = ((*head).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<c_int>();
        let count = count.min(places.len());
        std::ptr::copy_nonoverlapping(libc::CMSG_DATA(head).cast(), places.as_mut_ptr(), count);
        Ok(count)
    }
}

pub(crate) fn kill(pid: c_int, signal: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }).map(|_| ())
}

/// Opens a handle to a process which stays exact when its number is used again.
pub(crate) fn pidfd_open(pid: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is involved.
    check_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as c_long, 0 as c_long) }).map(|fd| fd as c_int)
}

pub(crate) fn pidfd_signal(pidfd: c_int, signal: c_int) -> Result<(), Errno> {
    // SAFETY: a null siginfo asks for the same as kill(2).
    check_long(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd as c_long,
            signal as c_long,
            std::ptr::null::<libc::siginfo_t>(),
            0 as c_long,
        )
    })
    .map(|_| ())
}

/// Waits for a child; `Ok(None)` when `WNOHANG` found none ready, `Err(ECHILD)` when there is no child at all.
pub(crate) fn wait(pid: c_int, flags: c_int) -> Result<Option<(c_int, c_int)>, Errno> {
    loop {
        let mut status = 0;
        // SAFETY: status is a valid place for the result.
        match unsafe { libc::waitpid(pid, &raw mut status, flags | libc::__WALL) } {
            -1 if errno() == libc::EINTR => {}
            -1 => return Err(errno()),
            0 => return Ok(None),
            pid => return Ok(Some((pid, status))),
        }
    }
}

/// Waits until a descriptor is ready or `millis` passed (-1: no limit). Fills `revents`.
pub(crate) fn poll(fds: &mut [libc::pollfd], millis: c_int) -> Result<usize, Errno> {
    loop {
        // SAFETY: pointer and length describe the slice.
        match unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) } {
            -1 if errno() == libc::EINTR => {}
            -1 => return Err(errno()),
            count => return Ok(count as usize),
        }
    }
}

pub(crate) fn sleep_micros(micros: i64) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: micros * 1000,
    };
    // SAFETY: the time is valid and no remainder is asked for.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// Blocks every signal that can be blocked, so that no handler inherited from the product runs in a guard.
pub(crate) fn block_signals() {
    set_mask(true);
}

/// Gives a worker what a fresh login would: nothing blocked, nothing ignored.
pub(crate) fn default_signals() {
    // All zero is SIG_DFL without flags; larger than any architecture's kernel structure. Not through libc, which
    // refuses to touch its two own signals although those can be inherited ignored.
    let default = [0_u64; 8];
    for signal in 1..=64 as c_long {
        // SAFETY: the kernel reads the zeroed structure and writes nothing; refusals (KILL, STOP) do not matter.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8 as c_long,
            )
        };
    }
    set_mask(false);
}

/// Makes sure ended children stay to be reaped, even when the product ignored SIGCHLD.
pub(crate) fn default_child_signal() {
    // SAFETY: restoring the default disposition of one signal.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

fn set_mask(full: bool) {
    // SAFETY: the set is initialised by sigfillset/sigemptyset before use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        if full {
            libc::sigfillset(&raw mut set)
        } else {
            libc::sigemptyset(&raw mut set)
        };
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// A descriptor which becomes readable when a child ended.
pub(crate) fn child_signals() -> Result<c_int, Errno> {
    // SAFETY: the set is initialised before use; a new descriptor is asked for.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        ))
    }
}

/// Closes every descriptor except those in `keep` (which is sorted in place).
pub(crate) fn close_all_but(keep: &mut [c_int]) {
    keep.sort_unstable();
    let mut from = 0;
    for &fd in keep.iter() {
        if fd > from {
            close_range(from as u32, (fd - 1) as u32, 0);
        }
        from = fd + 1;
    }
    close_range(from as u32, u32::MAX, 0);
}

/// Marks every descriptor above stderr close-on-exec.
pub(crate) fn hide_descriptors() {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) {
    // SAFETY: only descriptor numbers are involved.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first as c_long, last as c_long, flags as c_long) };
    if done == -1 {
        // Kernels before 5.9 (5.11 for the flag): one by one, up to the usual limit.
        for fd in first..=last.min(65_535) {
            if flags == 0 {
                close(fd as c_int);
            } else {
                // SAFETY: only descriptor numbers are involved.
                unsafe { libc::fcntl(fd as c_int, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }
}

/// Processor time of all reaped children, milliseconds.
pub(crate) fn reaped_millis() -> c_int {
    // SAFETY: all-zero bytes are a valid rusage, and it is a valid place for the result.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let millis = |time: libc::timeval| time.tv_sec.saturating_mul(1000).saturating_add(time.tv_usec / 1000);
    c_int::try_from(millis(usage.ru_utime).saturating_add(millis(usage.ru_stime))).unwrap_or(c_int::MAX)
}
