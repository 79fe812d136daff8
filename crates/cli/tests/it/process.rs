//! Starting the program with nothing of the caller's environment.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// What a finished process left.
pub(crate) struct Left {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program with a home of its own.
pub(crate) fn program(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maestria"));
    command
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .args(args)
        .stdin(Stdio::null());
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Runs the program to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Left {
    left(&program(home, args).output().unwrap())
}

pub(crate) fn left(output: &Output) -> Left {
    Left {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
