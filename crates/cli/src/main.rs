//! The program `maestria`.
//!
//! Reads the command line, opens the product ([`maestria_server::App`]) or a client of a server, does what the verb says, and
//! turns every error into what failed, a hint, and a documented exit code. Data goes to stdout, everything else to stderr.

#[macro_use]
mod out;
mod args;
mod command;
mod exit;
mod live;
mod place;
mod render;

use clap::Parser as _;
use exit::Exit;
use std::process::ExitCode;

/// A call through the gateway takes about a hundred small pieces of memory and gives them back: with the system's
/// allocator that is a sixth of what it costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap knows where help goes; nothing can be done when not even that can be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    maestria_secrets::know_environment(std::env::vars_os().filter_map(|(name, value)| {
        // What is no text is no key.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    }));
    start_log(args.verbose, args.log_format);
    let exit = command::execute(args).unwrap_or_else(|failure| {
        eprintln!("{}", maestria_secrets::funnel().clean(&failure.render()));
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

/// The log is for people who ask for it: `MAESTRIA_LOG=debug`, or `--verbose`; in JSON for programs.
fn start_log(verbose: bool, format: args::LogFormat) {
    let is_json = format == args::LogFormat::Json;
    let default = if verbose || is_json {
        "maestria=info,warn"
    } else {
        "error"
    };
    let filter = std::env::var("MAESTRIA_LOG").unwrap_or_else(|_| default.to_owned());
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Cleaned(std::io::stderr()));
    // One JSON object a line, for whatever collects logs; people need no moments, programs do.
    if is_json {
        log.json().flatten_event(true).init();
    } else {
        log.without_time().init();
    }
}

/// A log without secrets. Each entry comes in one piece.
struct Cleaned(std::io::Stderr);

impl std::io::Write for Cleaned {
    fn write(&mut self, entry: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(&maestria_secrets::funnel().clean_bytes(entry))?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
