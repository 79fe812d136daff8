//! The channel between the product and a worker's guard: one byte down, eight bytes up.
//!
//! Its closing is itself the most important message: when the product dies, however, the guard reads the end and ends the worker.

use libc::c_int;

use crate::raw::{self, Errno};

/// What the product asks of a guard; each is answered by [`Report::Done`] with the same byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    Interrupt = b'i',
    Terminate = b't',
    Freeze = b'f',
    Thaw = b'c',
    Kill = b'k',
}

impl Order {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Interrupt, Self::Terminate, Self::Freeze, Self::Thaw, Self::Kill]
            .into_iter()
            .find(|order| *order as u8 == byte)
    }
}

/// What was being done when the way to the worker failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Session = 1,
    Unshare,
    Map,
    Fork,
    Signals,
    Reaper,
    Group,
    Limit,
    Namespaces,
    Loopback,
    Tree,
    Capabilities,
    Landlock,
    Seccomp,
    /// What should stop the worker did not; the number is the set of missing layers.
    Proof,
}

impl Stage {
    const ALL: [Self; 15] = [
        Self::Session,
        Self::Unshare,
        Self::Map,
        Self::Fork,
        Self::Signals,
        Self::Reaper,
        Self::Group,
        Self::Limit,
        Self::Namespaces,
        Self::Loopback,
        Self::Tree,
        Self::Capabilities,
        Self::Landlock,
        Self::Seccomp,
        Self::Proof,
    ];

    pub(crate) fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == byte)
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Session => "starting a session",
            Self::Unshare => "making a user and PID namespace",
            Self::Map => "mapping user ids into the namespace",
            Self::Fork => "starting the guard's child",
            Self::Signals => "watching for ended children",
            Self::Reaper => "becoming a subreaper",
            Self::Group => "joining the control group",
            Self::Limit => "setting resource limits",
            Self::Namespaces => "making mount, network, ipc and uts namespaces",
            Self::Loopback => "raising the worker's own loopback",
            Self::Tree => "building the worker's file tree",
            Self::Capabilities => "giving up capabilities",
            Self::Landlock => "enforcing the file rules",
            Self::Seccomp => "filtering system calls",
            Self::Proof => "proving the sandbox",
        }
    }
}

/// A failed step before the worker's program ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) errno: Errno,
}

impl Stage {
    /// For `map_err`: this stage failed with that errno.
    pub(crate) fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { stage: self, errno }
    }
}

/// What a guard tells the product.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    /// The pid, as the product sees it, of the process whose end is the worker's end.
    Hello(c_int),
    /// A step before exec failed.
    Failed(Failure),
    /// The layers of the sandbox that were proved, and what else is known of it.
    Proved(c_int),
    /// The order was carried out.
    Done(u8),
    /// Processor time of the worker and what it reaped, milliseconds.
    Used(c_int),
    /// The worker ended with this raw wait status.
    Exited(c_int),
    /// That many processes could not be ended.
    Survivors(c_int),
}

/// Length of a report on the channel, bytes.
pub(crate) const REPORT: usize = 8;

impl Report {
    pub(crate) fn send(self, channel: c_int) {
        let (tag, extra, value) = match self {
            Self::Hello(pid) => (b'h', 0, pid),
            Self::Failed(failure) => (b'!', failure.stage as u8, failure.errno),
            Self::Proved(layers) => (b'p', 0, layers),
            Self::Done(order) => (b'd', order, 0),
            Self::Used(millis) => (b'u', 0, millis),
            Self::Exited(status) => (b'x', 0, status),
            Self::Survivors(count) => (b's', 0, count),
        };
        let value = value.to_ne_bytes();
        // A product that died cannot be told; its end is noticed by the closed channel.
        let _ = raw::send(channel, &[tag, extra, 0, 0, value[0], value[1], value[2], value[3]]);
    }

    pub(crate) fn parse(bytes: [u8; REPORT]) -> Option<Self> {
        let value = c_int::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        Some(match bytes[0] {
            b'h' => Self::Hello(value),
            b'!' => Self::Failed(Failure {
                stage: Stage::of(bytes[1])?,
                errno: value,
            }),
            b'p' => Self::Proved(value),
            b'd' => Self::Done(bytes[1]),
            b'u' => Self::Used(value),
            b'x' => Self::Exited(value),
            b's' => Self::Survivors(value),
            _ => return None,
        })
    }
}
