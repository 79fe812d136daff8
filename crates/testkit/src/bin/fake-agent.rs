//! A fake agent CLI; `maestria_testkit::fake` says what it can be told to do.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    maestria_testkit::fake::run(&program, &words.collect::<Vec<_>>())
}
