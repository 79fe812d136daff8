//! The program `maestria`.
//!
//! Reads the command line, opens the product ([`maestria_server::App`]), does what the verb says, and turns every
//! error into what failed, a hint, and a documented exit code. Data goes to stdout, everything else to stderr.

#[macro_use]
mod out;
mod args;
mod command;
mod exit;
mod live;
mod render;

use clap::Parser as _;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap knows where help goes; nothing can be done when not even that can be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    start_log(args.verbose);
    let exit = command::execute(args).unwrap_or_else(|failure| {
        eprintln!("{}", failure.render());
        failure.exit
    });
    match out::finish() {
        Some(error) if exit == Exit::Ok => {
            eprintln!("{error}");
            Exit::User.into()
        }
        _ => exit.into(),
    }
}

/// The log is for people who ask for it: `MAESTRIA_LOG=debug`, or `--verbose`; with `MAESTRIA_LOG_FORMAT=json` for programs.
fn start_log(verbose: bool) {
    let default = if verbose { "maestria=info,warn" } else { "error" };
    let filter = std::env::var("MAESTRIA_LOG").unwrap_or_else(|_| default.to_owned());
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // One JSON object a line, for whatever collects logs; people need no moments, programs do.
    if std::env::var("MAESTRIA_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().flatten_event(true).init();
    } else {
        log.without_time().init();
    }
}
