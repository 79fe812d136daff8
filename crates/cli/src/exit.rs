//! What the exit code says; documented in docs/exit-codes.md.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Something given or configured is wrong, or something outside failed.
    User,
    /// The command line is wrong.
    Usage,
    /// The run failed.
    RunFailed,
    /// The server does not let the caller in, or not that far.
    Access,
    /// The policy blocks it.
    Blocked,
    /// The policy wants a person to confirm it.
    Confirm,
    /// The budget is spent.
    Budget,
    /// The run was paused or aborted.
    Paused,
    /// The run waits for a person.
    Waiting,
    /// A defect of Maestria.
    Bug,
    /// What a program that was run for the caller ended with.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::User => 1,
            Exit::Usage => 2,
            Exit::RunFailed => 3,
            Exit::Access => 4,
            Exit::Blocked => 5,
            Exit::Confirm | Exit::Budget => 6,
            Exit::Paused => 8,
            Exit::Waiting => 9,
            Exit::Bug => 70,
            Exit::Program(code) => code,
        })
    }
}
