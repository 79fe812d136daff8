//! What a worker uses: from its control groups where it has them, else summed over its processes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libc::c_int;
use serde::Serialize;

use crate::kin::{self, Process, Table};
use crate::limits::cgroup::Groups;

/// What a worker and everything it started use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// Processor time so far.
    pub cpu: Duration,
    /// Memory now, bytes: without droppable file cache (control group), or proportional shares (processes).
    pub memory: u64,
    /// Highest memory, bytes: exact with a control group (file cache included), else the highest value read so far.
    pub memory_peak: u64,
    /// Live processes.
    pub processes: u32,
    /// Processes the kernel ended for want of memory.
    pub out_of_memory_kills: u64,
    /// Processes the kernel refused to start for the limit; known with a control group only.
    pub refused_processes: u64,
}

/// Reads the usage of one worker, and keeps the last reading after its end.
#[derive(Debug)]
pub(crate) struct Meter {
    keeper: c_int,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Gone after the worker's end: dropping removes the groups.
    groups: Option<Groups>,
    last: Usage,
}

impl Meter {
    pub(crate) fn new(keeper: c_int, groups: Groups) -> Self {
        Self {
            keeper,
            state: Mutex::new(State {
                groups: Some(groups),
                last: Usage::default(),
            }),
        }
    }

    pub(crate) fn read(&self) -> Usage {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(groups) = &state.groups {
            let usage = of_processes(self.keeper, groups.memory().is_some());
            state.last = with_groups(usage, groups, state.last);
        }
        state.last
    }

    /// The last reading, after everything has ended; removes the control groups. `cpu` is what the guard counted.
    pub(crate) fn close(&self, cpu: Option<Duration>) -> Usage {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(groups) = state.groups.take() {
            let ended = Usage {
                cpu: cpu.unwrap_or_default(),
                ..Usage::default()
            };
            state.last = Usage {
                memory: 0,
                ..with_groups(ended, &groups, state.last)
            };
        }
        state.last
    }
}

/// Prefers the groups' figures; never lets a sum over time go down.
fn with_groups(usage: Usage, groups: &Groups, last: Usage) -> Usage {
    let memory = groups.memory().unwrap_or(usage.memory);
    Usage {
        cpu: groups
            .cpu_micros()
            .map_or(usage.cpu, Duration::from_micros)
            .max(last.cpu),
        memory,
        memory_peak: groups.memory_peak().unwrap_or(memory).max(last.memory_peak),
        processes: usage.processes,
        out_of_memory_kills: groups.out_of_memory_kills(),
        refused_processes: groups.refused_processes().max(last.refused_processes),
    }
}

/// Sums over the keeper's descendants; memory only when nobody knows it more cheaply.
fn of_processes(keeper: c_int, memory_known: bool) -> Usage {
    let Ok(mut table) = Table::new() else {
        return Usage::default();
    };
    let live: Vec<Process> = table
        .descendants(keeper)
        .iter()
        .copied()
        .filter(Process::alive)
        .collect();
    // The time of reaped orphans is with the keeper, which uses nearly none itself.
    let reaped = kin::read_process(keeper).map_or(0, |keeper| keeper.reaped_ticks);
    let ticks: u64 = live.iter().map(|process| process.ticks + process.reaped_ticks).sum();
    Usage {
        cpu: ticks_to_time(ticks + reaped),
        memory: if memory_known {
            0
        } else {
            live.iter().map(memory_of).sum()
        },
        processes: u32::try_from(live.len()).unwrap_or(u32::MAX),
        ..Usage::default()
    }
}

/// The proportional share where readable, else the resident size, which counts shared pages in each process.
fn memory_of(process: &Process) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap_or_default();
    let share = rollup.lines().find_map(|line| {
        line.strip_prefix("Pss:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    share.map_or_else(|| process.resident * page_size(), |kilobytes| kilobytes * 1024)
}

fn page_size() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}
