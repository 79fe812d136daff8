//! Landlock's three calls, and which rights each version knows.

use std::ffi::CStr;

use libc::{c_int, c_long};

use super::{Errno, check_long};

const VERSION: c_long = 1;
const RULE_BENEATH: c_long = 1;
const RULE_PORT: c_long = 2;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEVICE: u64 = 1 << 15;
const CONNECT_TCP: u64 = 1 << 1;
const SCOPES: u64 = 0b11;

/// The newest version whose rights are known here.
const NEWEST: u32 = 7;

/// The version of Landlock this kernel offers, 0 for none.
pub(crate) fn version() -> u32 {
    // SAFETY: with this flag the kernel only returns its version; no structure is passed.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0 as c_long,
            VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

/// The rights on files that rules speak of, under one version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    all: u64,
    abi: u32,
}

impl Rights {
    /// Those of this kernel; nothing without Landlock.
    pub(crate) fn offered() -> Option<Self> {
        let abi = version().min(NEWEST);
        let bits = match abi {
            0 => return None,
            1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        Some(Self {
            all: (1 << bits) - 1,
            abi,
        })
    }

    /// The version that is used.
    pub(crate) const fn abi(self) -> u32 {
        self.abi
    }

    /// To read and execute.
    pub(crate) const fn read(self) -> u64 {
        EXECUTE | READ_FILE | READ_DIR
    }

    /// Everything but to speak to devices.
    pub(crate) const fn write(self) -> u64 {
        self.all & !IOCTL_DEVICE
    }

    /// To use a device or terminal.
    pub(crate) const fn device(self) -> u64 {
        (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE) & self.all
    }

    /// Of these rights those that a plain file can have.
    pub(crate) const fn of_file(self, rights: u64) -> u64 {
        rights & (EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE) & self.all
    }

    /// Of these rights those that a device needs below a folder of devices.
    pub(crate) const fn devices_below(self) -> u64 {
        self.device() | READ_DIR
    }

    /// A new set of rules, which forbids everything that is not then allowed; TCP connections too if `ports`.
    pub(crate) fn new_rules(self, ports: bool) -> Result<c_int, Errno> {
        #[repr(C)]
        struct Handled {
            files: u64,
            net: u64,
            scoped: u64,
        }
        let handled = Handled {
            files: self.all,
            net: if ports && self.abi >= 4 { CONNECT_TCP } else { 0 },
            scoped: if self.abi >= 6 { SCOPES } else { 0 },
        };
        let size = match self.abi {
            1..=3 => 8,
            4 | 5 => 16,
            _ => size_of::<Handled>(),
        };
        // SAFETY: the structure is at least as large as is said.
        check_long(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size, 0 as c_long) })
            .map(|fd| fd as c_int)
    }
}

/// Allows rights at and below an open place.
pub(crate) fn allow(rules: c_int, place: c_int, rights: u64) -> Result<(), Errno> {
    #[repr(C, packed)]
    struct Beneath {
        rights: u64,
        place: i32,
    }
    let rule = Beneath { rights, place };
    add(rules, RULE_BENEATH, (&raw const rule).cast())
}

/// Allows connections to a port, wherever it is.
pub(crate) fn allow_port(rules: c_int, port: u16) -> Result<(), Errno> {
    #[repr(C)]
    struct Port {
        rights: u64,
        port: u64,
    }
    let rule = Port {
        rights: CONNECT_TCP,
        port: u64::from(port),
    };
    add(rules, RULE_PORT, (&raw const rule).cast())
}

fn add(rules: c_int, kind: c_long, rule: *const u8) -> Result<(), Errno> {
    // SAFETY: the callers pass the structure that the kind asks for.
    check_long(unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules as c_long, kind, rule, 0 as c_long) })
        .map(|_| ())
}

/// As [`allow`], by path; a place that is not there needs no rule.
pub(crate) fn allow_path(rules: c_int, path: &CStr, rights: u64) -> Result<(), Errno> {
    match super::open(libc::AT_FDCWD, path, libc::O_PATH) {
        Ok(place) => {
            let added = allow(rules, place, rights);
            super::close(place);
            added
        }
        Err(_) => Ok(()),
    }
}

/// Binds this process and all that it starts to the rules.
pub(crate) fn enforce(rules: c_int) -> Result<(), Errno> {
    // SAFETY: a descriptor and no flags.
    check_long(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules as c_long, 0 as c_long) }).map(|_| ())
}
