//! The processes which hold a worker: they never execute a program, touch no heap, and end when the worker or the product does.

use libc::c_int;

use super::Plan;
use crate::control::{Order, Report};
use crate::kin::{Process, Table};
use crate::raw;

/// Milliseconds between two looks whether the kernel ended a process.
const AGAIN: c_int = 10;

/// No descriptor; nothing is ever heard of it.
pub(super) const NONE: c_int = -1;

/// Whom a supervising process can signal.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// Everything in its PID namespace, atomically; its own exit ends them all.
    Namespace,
    /// Its descendants, found in `/proc`; as a subreaper it stays the ancestor of every one.
    Descendants,
}

/// The outer guard: its exit tells the product that init, and with it the whole namespace, is gone and reaped.
pub(super) fn await_init(channel: c_int, guard_end: c_int, init: c_int) -> ! {
    Report::Hello(init).send(channel);
    raw::close_all_but(&mut [guard_end]);
    while let Ok(None) = raw::wait(init, 0) {}
    raw::exit(0)
}

/// Obeys the product, reaps, and ends everything as soon as the worker, the outer guard or the product ends.
pub(super) fn supervise(reach: Reach, plan: &Plan, guard_lives: c_int, ended: c_int, worker: c_int) -> ! {
    let channel = plan.channel;
    let (starved, count) = plan.alarm.map_or((NONE, NONE), |alarm| (alarm.event, alarm.count));
    if matches!(reach, Reach::Descendants) {
        // SAFETY: getpid has no preconditions.
        Report::Hello(unsafe { libc::getpid() }).send(channel);
    }
    raw::close_all_but(&mut [channel, ended, guard_lives, starved, count]);
    let mut watched = [channel, ended, guard_lives, starved].map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    let mut alarmed = false;
    loop {
        // The alarm goes off just before the kernel ends a process: from then on it is looked whether it has.
        let patience = if alarmed { AGAIN } else { -1 };
        if raw::poll(&mut watched, patience).is_err() || watched[2].revents != 0 {
            end(reach, channel);
        }
        if let Some(alarm) = &plan.alarm {
            if watched[3].revents != 0 {
                alarm.silence();
                alarmed = true;
            }
            if alarmed && alarm.has_ended_one() {
                alarmed = false;
                signal_all(reach, libc::SIGKILL);
            }
        }
        if watched[1].revents != 0 {
            drain(ended);
            if let Some(status) = reap(worker) {
                finish(reach, channel, status);
            }
        }
        if watched[0].revents != 0 {
            obey(reach, channel, worker);
        }
    }
}

fn obey(reach: Reach, channel: c_int, worker: c_int) {
    let mut byte = [0];
    let order = match raw::read(channel, &mut byte) {
        Ok(1) => Order::from_byte(byte[0]),
        // The product is gone.
        _ => end(reach, channel),
    };
    match order {
        Some(Order::Interrupt) => {
            let _ = raw::kill(-worker, libc::SIGINT);
        }
        Some(Order::Terminate) => signal_all(reach, libc::SIGTERM),
        Some(Order::Freeze) => freeze(reach),
        Some(Order::Thaw) => signal_all(reach, libc::SIGCONT),
        Some(Order::Kill) => end(reach, channel),
        None => {}
    }
    Report::Done(byte[0]).send(channel);
}

/// The worker ended by itself: whatever it left behind ends too, before anyone hears of it.
fn finish(reach: Reach, channel: c_int, status: c_int) -> ! {
    Report::Used(raw::reaped_millis()).send(channel);
    Report::Exited(status).send(channel);
    end(reach, channel)
}

fn end(reach: Reach, channel: c_int) -> ! {
    if matches!(reach, Reach::Descendants) {
        let survivors = end_descendants();
        if survivors > 0 {
            Report::Survivors(survivors).send(channel);
        }
    }
    // In the namespace this is PID 1: the kernel kills and reaps every other process before the exit completes.
    raw::exit(0)
}

fn drain(ended: c_int) {
    let mut infos = [0_u8; 4 * size_of::<libc::signalfd_siginfo>()];
    while matches!(raw::read(ended, &mut infos), Ok(count) if count > 0) {}
}

/// Reaps every ended child; the worker's wait status when it is among them.
fn reap(worker: c_int) -> Option<c_int> {
    let mut found = None;
    while let Ok(Some((pid, status))) = raw::wait(-1, libc::WNOHANG) {
        if pid == worker {
            found = Some(status);
        }
    }
    found
}

fn signal_all(reach: Reach, signal: c_int) {
    match reach {
        Reach::Namespace => {
            let _ = raw::kill(-1, signal);
        }
        Reach::Descendants => {
            each_descendant(|process| {
                let _ = process.signal(signal);
            });
        }
    }
}

fn freeze(reach: Reach) {
    match reach {
        // The kernel delivers this to forking processes and their new children alike: one call is enough.
        Reach::Namespace => signal_all(reach, libc::SIGSTOP),
        Reach::Descendants => stop_descendants(),
    }
}

/// Rounds until a whole look finds nothing running; the bound only matters for processes in an uninterruptible wait.
fn stop_descendants() {
    for _ in 0..200 {
        let mut running = false;
        each_descendant(|process| {
            if process.alive() && !process.stopped() {
                running |= process.signal(libc::SIGSTOP).is_ok();
            }
        });
        if !running {
            return;
        }
        raw::sleep_micros(500);
    }
}

/// Kills until the kernel says there is no child left. A subreaper without children has no descendants: that is the proof.
///
/// Returns how many could not be killed within some seconds (set-uid programs, for example).
fn end_descendants() -> c_int {
    for _ in 0..10_000 {
        reap(0);
        if raw::wait(-1, libc::WNOHANG) == Err(libc::ECHILD) {
            return 0;
        }
        for signal in [libc::SIGSTOP, libc::SIGKILL] {
            // Held still first, so that the family cannot fork faster than it is killed.
            signal_all(Reach::Descendants, signal);
        }
        raw::sleep_micros(500);
    }
    let mut left = 0;
    each_descendant(|process| left += c_int::from(process.alive()));
    left
}

fn each_descendant(mut visit: impl FnMut(&Process)) {
    let Ok(mut table) = Table::new() else { return };
    // SAFETY: getpid has no preconditions.
    let me = unsafe { libc::getpid() };
    for process in table.descendants(me) {
        visit(process);
    }
}
