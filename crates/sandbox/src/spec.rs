//! What to run and under which rules.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::limits::Limits;
use crate::profile::Walls;

/// A worker to start. The environment is exactly `env` (plus the marker): nothing is inherited.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Name for logs and errors.
    pub name: String,
    /// Program: a path, or a bare name looked up in the `PATH` of `env`.
    pub program: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Working directory; must exist.
    pub cwd: PathBuf,
    /// The whole environment of the worker.
    pub env: Vec<(OsString, OsString)>,
    /// Where the worker's stdin comes from.
    pub stdin: Stdin,
    /// What the worker may use.
    pub limits: Limits,
    /// Value of the [`crate::MARKER`] variable, by which [`crate::find_marked`] finds strays after a crash.
    pub marker: Option<String>,
    /// Forces a tier; `None` takes the best one the kernel grants.
    pub tier: Option<Tier>,
    /// The sandbox around it; `None` supervises only.
    pub walls: Option<Walls>,
}

impl Spec {
    /// A worker with an empty environment, no stdin, and the default limits.
    pub fn new(program: impl Into<PathBuf>, cwd: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            name: program
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            program,
            args: Vec::new(),
            cwd: cwd.into(),
            env: Vec::new(),
            stdin: Stdin::Null,
            limits: Limits::default(),
            marker: None,
            tier: None,
            walls: None,
        }
    }
}

/// Where a worker's stdin comes from. There is no "inherit": some agents wait for ever on an open pipe nobody writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe, taken with [`crate::Supervised::take_stdin`].
    Pipe,
}

/// How a worker is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Own user and PID namespace: the kernel itself ends every process of the worker.
    Namespace,
    /// A child subreaper which finds the worker's descendants in `/proc` and ends them until it has no child left.
    Subreaper,
}

impl Tier {
    /// The best tier this kernel grants, found out once by a real attempt.
    pub fn best() -> Self {
        if crate::confine::namespace_granted().is_ok() {
            Self::Namespace
        } else {
            Self::Subreaper
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::Subreaper => "subreaper",
        })
    }
}
