//! Raises the walls: in the namespace's init those that belong to a namespace, in the worker those that belong to a process.

use libc::{c_int, c_long, c_ulong};

use super::nobody::Trees;
use super::tree;
use crate::control::{Failure, Stage};
use crate::layer::{Layer, Layers};
use crate::raw::{self, Errno, landlock};
use crate::walls::{Blueprint, Cover, DOORS, Move, TEMPORARY};

/// The namespaces that init makes: each layer with its flag.
const NAMESPACES: [(Layer, c_int); 4] = [
    (Layer::Mounts, libc::CLONE_NEWNS),
    (Layer::Net, libc::CLONE_NEWNET),
    (Layer::Ipc, libc::CLONE_NEWIPC),
    (Layer::Uts, libc::CLONE_NEWUTS),
];

/// In init: the remaining namespaces, with a file tree and a loopback of their own.
pub(super) fn around(blueprint: &Blueprint, trees: &mut Trees) -> Result<(), Failure> {
    let mut made = Layers::NONE;
    for (layer, flag) in NAMESPACES {
        if blueprint.removed.has(layer) {
            continue;
        }
        // SAFETY: this process has one thread.
        let unshared = raw::check(unsafe { libc::unshare(flag) });
        if step(blueprint, Stage::Namespaces, unshared.map(|_| ()))? {
            made = made.with(Layers::of(&[layer]));
        }
    }
    if made.has(Layer::Uts) {
        // SAFETY: pointer and length describe a static text.
        unsafe { libc::sethostname(c"worker".as_ptr(), 6) };
    }
    if made.has(Layer::Net) {
        step(
            blueprint,
            Stage::Loopback,
            raise_loopback().and_then(|()| open_doors(blueprint)),
        )?;
    }
    if made.has(Layer::Mounts) {
        step(blueprint, Stage::Tree, tree::move_in(blueprint, trees))?;
    }
    Ok(())
}

/// In the worker: what its process gives up. What is left for after the proofs is [`filter`].
pub(super) fn within(blueprint: &Blueprint) -> Result<(), Failure> {
    if !blueprint.removed.has(Layer::Capabilities) {
        step(blueprint, Stage::Capabilities, drop_capabilities())?;
    }
    if !blueprint.removed.has(Layer::NoNewPrivileges) {
        // SAFETY: plain flag of this process.
        let set = raw::check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) });
        step(blueprint, Stage::Capabilities, set.map(|_| ()))?;
    }
    Ok(())
}

/// In the worker: the file rules, with those for what was made fresh.
pub(super) fn rules(blueprint: &Blueprint) -> Result<(), Failure> {
    let Some((rules, rights)) = blueprint.rules else {
        return Ok(());
    };
    let fresh = |path, rights| landlock::allow_path(rules, path, rights);
    let mut made = fresh(c"/proc", rights.read()).and_then(|()| fresh(c"/dev/pts", rights.devices_below()));
    // Only what is the worker's own: on a tree shared with the machine these are everybody's.
    if blueprint.walled && !blueprint.removed.has(Layer::Tmp) {
        for path in TEMPORARY {
            made = made.and_then(|()| fresh(path, rights.write()));
        }
        for step in blueprint.moves.items() {
            if let Move::Cover {
                path,
                with: Cover::Folder,
                ..
            } = step
            {
                made = made.and_then(|()| fresh(path.as_c_str(), rights.write()));
            }
        }
    }
    let enforced = made.and_then(|()| landlock::enforce(rules));
    step(blueprint, Stage::Landlock, enforced).map(|_| ())
}

/// In the worker, last of all: the filter of system calls.
pub(super) fn filter(blueprint: &Blueprint) -> Result<(), Failure> {
    if blueprint.removed.has(Layer::Seccomp) {
        return Ok(());
    }
    let instructions = blueprint.filter.items();
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_ptr().cast_mut(),
    };
    const FILTER: c_ulong = 2;
    // SAFETY: the program outlives the call, which only reads it.
    let set = raw::check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, FILTER, &raw const program, 0, 0) });
    step(blueprint, Stage::Seccomp, set.map(|_| ())).map(|_| ())
}

/// Whether a step was done. One that was not ends the start, unless the worker may go on with less.
fn step(blueprint: &Blueprint, stage: Stage, done: Result<(), Errno>) -> Result<bool, Failure> {
    match done {
        Ok(()) => Ok(true),
        // What builds on a removed layer fails with it; the proof names both.
        Err(_) if blueprint.allow_degraded || !blueprint.removed.is_empty() => Ok(false),
        Err(errno) => Err(Failure { stage, errno }),
    }
}

/// The loopback of a new network namespace is there, but down.
fn raise_loopback() -> Result<(), Errno> {
    // SAFETY: all-zero bytes are a valid request, which the call only reads.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let socket = raw::check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        let raised = raw::check(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request));
        raw::close(socket);
        raised.map(|_| ())
    }
}

/// Listens under every granted address, and hands the sockets to the product.
fn open_doors(blueprint: &Blueprint) -> Result<(), Errno> {
    let Some(handoff) = blueprint.handoff else {
        return Ok(());
    };
    let mut doors = [-1; DOORS];
    let addresses = blueprint.doors.items();
    for (door, address) in doors.iter_mut().zip(addresses) {
        *door = listen(address)?;
    }
    let sent = raw::send_descriptors(handoff, &doors[..addresses.len()]);
    doors[..addresses.len()].iter().for_each(|door| raw::close(*door));
    sent
}

fn listen(address: &libc::sockaddr_storage) -> Result<c_int, Errno> {
    let family = c_int::from(address.ss_family);
    let length = if family == libc::AF_INET {
        size_of::<libc::sockaddr_in>()
    } else {
        size_of::<libc::sockaddr_in6>()
    };
    // SAFETY: the address is of its family's kind and at least as long as is said.
    unsafe {
        let socket = raw::check(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        raw::check(libc::bind(
            socket,
            (&raw const *address).cast(),
            length as libc::socklen_t,
        ))?;
        raw::check(libc::listen(socket, 128))?;
        Ok(socket)
    }
}

/// Gives up every capability, and every way to one: inherited, ambient, bounding, and by being user 0.
fn drop_capabilities() -> Result<(), Errno> {
    const SECURE_BITS: c_ulong = 0b1110_1111;
    let header = raw::CAPABILITIES;
    let none = [0_u32; 6];
    // SAFETY: plain settings of this process; the structures are those of the version that is named.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == -1 {
                match raw::errno() {
                    // Beyond the last that this kernel knows.
                    libc::EINVAL => break,
                    // There is none to drop with; the set below is then empty already, which the proof looks at.
                    libc::EPERM => break,
                    errno => return Err(errno),
                }
            }
        }
        // Refused without capabilities, where it does not matter.
        libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0);
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        raw::check_long(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr())).map(|_: c_long| ())
    }
}
