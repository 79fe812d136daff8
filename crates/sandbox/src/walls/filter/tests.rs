use libc::sock_filter;

use super::{ALLOW, KILL, NEWEST, Sockets, THIS_MACHINE, op, program, refuse};

/// Runs the program as the kernel would.
fn verdict(program: &[sock_filter], machine: u32, call: i64, arguments: &[u64]) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&(call as u32).to_ne_bytes());
    data[4..8].copy_from_slice(&machine.to_ne_bytes());
    for (index, argument) in arguments.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_ne_bytes());
    }
    let (mut at, mut word) = (0, 0_u32);
    loop {
        let step = program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
        match step.code {
            op::LOAD => {
                let from = step.k as usize;
                word = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
            }
            op::AND => word &= step.k,
            op::EQUAL => at += jump(word == step.k),
            op::GREATER => at += jump(word > step.k),
            op::ANY_BIT => at += jump(word & step.k != 0),
            op::RETURN => return step.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

fn of(sockets: Sockets, call: i64, arguments: &[u64]) -> u32 {
    verdict(&program(sockets, true), THIS_MACHINE, call, arguments)
}

const REFUSED: u32 = refuse(libc::EPERM);
const ABSENT: u32 = refuse(libc::ENOSYS);

#[test]
fn usual_calls_pass() {
    for call in [
        libc::SYS_read,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_futex,
        libc::SYS_connect,
        libc::SYS_memfd_create,
    ] {
        assert_eq!(of(Sockets::Pairs, call, &[]), ALLOW, "{call}");
    }
    assert_eq!(of(Sockets::Pairs, libc::SYS_clone, &[libc::CLONE_VM as u64]), ALLOW);
    assert_eq!(of(Sockets::Pairs, libc::SYS_ioctl, &[0, 0x5401]), ALLOW);
}

#[test]
fn dangerous_calls_do_not() {
    for call in [
        libc::SYS_io_uring_setup,
        libc::SYS_ptrace,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_bpf,
        libc::SYS_setns,
        467,
    ] {
        assert_eq!(of(Sockets::Loopback, call, &[]), REFUSED, "{call}");
    }
    assert_eq!(of(Sockets::Loopback, libc::SYS_clone3, &[]), ABSENT);
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
    ] {
        let flags = (flag | libc::SIGCHLD) as u32 as u64;
        assert_eq!(of(Sockets::Loopback, libc::SYS_clone, &[flags]), REFUSED, "{flag:#x}");
    }
}

#[test]
fn the_kernel_reads_half_of_some_arguments_and_so_does_the_filter() {
    let high = 1 << 63;
    assert_eq!(of(Sockets::Loopback, libc::SYS_ioctl, &[0, high | 0x5412]), REFUSED);
    assert_eq!(
        of(
            Sockets::Loopback,
            libc::SYS_socket,
            &[high | libc::AF_VSOCK as u64, 1, 0]
        ),
        REFUSED
    );
}

#[test]
fn other_machines_and_newer_calls_do_not_exist() {
    let program = program(Sockets::Loopback, true);
    assert_eq!(verdict(&program, 0x4000_0003, libc::SYS_read, &[]), KILL);
    assert_eq!(verdict(&program, THIS_MACHINE, i64::from(NEWEST) + 1, &[]), ABSENT);
    assert_eq!(
        verdict(&program, THIS_MACHINE, 0x4000_0000 | libc::SYS_read, &[]),
        ABSENT
    );
}

#[test]
fn sockets_are_those_of_the_level() {
    let (inet, inet6, unix, netlink) = (
        libc::AF_INET as u64,
        libc::AF_INET6 as u64,
        libc::AF_UNIX as u64,
        libc::AF_NETLINK as u64,
    );
    let (stream, datagram, raw) = (
        libc::SOCK_STREAM as u64 | libc::SOCK_CLOEXEC as u64,
        libc::SOCK_DGRAM as u64,
        libc::SOCK_RAW as u64,
    );
    // family, type, protocol; whether it passes at the level: pairs, tcp, loopback
    for (asked, passes) in [
        ([inet, stream, 0], [false, true, true]),
        ([inet6, stream, 6], [false, true, true]),
        ([inet, stream, 262], [false, false, true]),
        ([inet, datagram, 0], [false, false, true]),
        ([inet, raw, 1], [false, false, false]),
        ([unix, stream, 0], [false, false, true]),
        ([netlink, raw, 0], [false, false, true]),
        ([netlink, raw, 9], [false, false, false]),
        ([libc::AF_PACKET as u64, raw, 0], [false, false, false]),
        ([libc::AF_VSOCK as u64, stream, 0], [false, false, false]),
        (
            [libc::AF_ALG as u64, libc::SOCK_SEQPACKET as u64, 0],
            [false, false, false],
        ),
    ] {
        for (level, passes) in [Sockets::Pairs, Sockets::Tcp, Sockets::Loopback]
            .into_iter()
            .zip(passes)
        {
            let expected = if passes { ALLOW } else { REFUSED };
            assert_eq!(of(level, libc::SYS_socket, &asked), expected, "{asked:?} {level:?}");
        }
    }
    assert_eq!(of(Sockets::Pairs, libc::SYS_socketpair, &[unix, stream, 0]), ALLOW);
    assert_eq!(
        of(Sockets::Pairs, libc::SYS_socketpair, &[libc::AF_TIPC as u64, stream, 0]),
        REFUSED
    );
}

#[test]
fn without_namespaces_it_keeps_away_from_others() {
    let bare = |call, arguments: &[u64]| verdict(&program(Sockets::Pairs, false), THIS_MACHINE, call, arguments);
    let unix = libc::AF_UNIX as u64;
    assert_eq!(bare(libc::SYS_socketpair, &[unix, libc::SOCK_STREAM as u64]), ALLOW);
    assert_eq!(bare(libc::SYS_socketpair, &[unix, libc::SOCK_DGRAM as u64]), REFUSED);
    assert_eq!(bare(libc::SYS_shmget, &[]), REFUSED);
    assert_eq!(bare(libc::SYS_setpriority, &[0, 0, 19]), ALLOW);
    assert_eq!(bare(libc::SYS_setpriority, &[0, 17, 19]), REFUSED);
    assert_eq!(bare(libc::SYS_prlimit64, &[17]), REFUSED);
    assert_eq!(of(Sockets::Pairs, libc::SYS_prlimit64, &[17]), ALLOW);
}
