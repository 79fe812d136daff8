//! What a worker may use, and which of it the kernel really enforces here.

pub(crate) mod cgroup;
pub(crate) mod rlimit;

use serde::{Deserialize, Serialize};
use std::num::NonZero;
use std::sync::LazyLock;

/// Limits of one worker and everything it starts; `None` means unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory, bytes.
    pub memory: Option<u64>,
    /// Processor time, percent of one core.
    pub cpu_percent: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Size of a single file written, bytes.
    pub file_size: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Some(2 << 30),
            cpu_percent: Some(Self::of_machine(50)),
            processes: Some(512),
            open_files: Some(4096),
            file_size: None,
        }
    }
}

impl Limits {
    /// A share of the whole machine as [`Limits::cpu_percent`] counts it: half of four cores is 200.
    pub fn of_machine(percent: u32) -> u32 {
        // To count them takes a dozen files.
        static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));
        let cores = *CORES;
        percent.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX))
    }

    /// No limit at all; core dumps stay off.
    pub fn none() -> Self {
        Self {
            memory: None,
            cpu_percent: None,
            processes: None,
            open_files: None,
            file_size: None,
        }
    }
}

/// What enforces a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Backend {
    /// A control group of the unified hierarchy: the worker's whole tree together.
    #[serde(rename = "cgroup v2")]
    CgroupV2,
    /// A control group of a version 1 hierarchy: the worker's whole tree together.
    #[serde(rename = "cgroup v1")]
    CgroupV1,
    /// A resource limit: each process of the worker alone (processes: all of the worker's namespace).
    #[serde(rename = "rlimit")]
    Rlimit,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CgroupV2 => "cgroup v2",
            Self::CgroupV1 => "cgroup v1",
            Self::Rlimit => "rlimit",
        })
    }
}

/// Which limits hold for a worker, and by what; `None` is a limit not asked for or not enforceable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Enforced {
    /// Memory.
    pub memory: Option<Backend>,
    /// Processor time.
    pub cpu: Option<Backend>,
    /// Processes.
    pub processes: Option<Backend>,
    /// Open files.
    pub open_files: Option<Backend>,
    /// File size.
    pub file_size: Option<Backend>,
    /// No core dumps.
    pub core: Option<Backend>,
}
