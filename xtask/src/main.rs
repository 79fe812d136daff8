//! All automation of the project: `cargo xtask VERB`.

mod api_fuzz;
mod bench;
mod chaos;
mod clients;
mod contract;
mod dashboards;
mod e2e;
mod escape;
mod guest;
mod obedient;
mod openapi;
mod policy;
mod python;
mod test;
mod tidy;
mod ui;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "All automation of the project")]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run all tests (with cargo-nextest where it is installed).
    Test,
    /// Kill the real program with SIGKILL in the middle of runs, resume, and count what was lost or done twice.
    Chaos {
        /// How many rounds.
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        /// Repeat a session.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run a benchmark beside its peer or limit, and print each figure with its goal.
    Bench {
        /// Which one.
        name: bench::Bench,
        /// One part of it (of `supervise`: starts, turns, crowd, talk, trials; of `gateway`: beside, idle, others, budgets, growth;
        /// of `sandbox`: start, limits, bombs).
        part: Option<String>,
        /// How often (of `gateway budgets`: rounds, 1000 unless said; of `gateway growth`: calls, a million unless said).
        #[arg(long)]
        count: Option<u64>,
        /// As one JSON document (the gateway's).
        #[arg(long)]
        json: bool,
    },
    /// Run the real agent CLIs against the loopback model server; names what has changed.
    Contract,
    /// Have promtool parse every expression of the dashboards and the alerts, and try the alerts.
    Dashboards,
    /// Try to get out of the sandbox by every known way, and take each of its layers away in turn.
    Escape,
    /// Try the sandbox's limits on a kernel with control groups of version 2, in an emulator.
    Guest,
    /// Let an agent carry out every hostile instruction it reads, within the sandbox, and count the harm.
    Obedient,
    /// Run scripts by chance in bash and beside the command policy, and give it text that nobody would write.
    Policy {
        /// How many scripts.
        #[arg(long, default_value_t = 20_000)]
        scripts: u32,
        /// How many texts.
        #[arg(long, default_value_t = 20_000)]
        texts: u32,
        /// Other scripts and texts; the same number makes the same.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run the vendors' own Python clients against the gateway: every call kind on every provider.
    Clients,
    /// Check, test and build the dashboard's pages into crates/web/dist (needs node).
    Ui {
        /// Fail when what is committed is not what the sources build.
        #[arg(long)]
        check: bool,
    },
    /// Drive the dashboard in Chromium against the real program: every screen, keyboard, schemes, a killed server, axe.
    E2e {
        /// Take the pictures in docs/screens instead.
        #[arg(long)]
        pictures: bool,
    },
    /// Write the OpenAPI document of the server into docs/openapi.json.
    Openapi,
    /// Schemathesis, with all its checks, against the real server.
    ApiFuzz {
        /// How many requests, at the least.
        #[arg(long, default_value_t = 5000)]
        cases: u32,
        /// Repeat the requests of an earlier time.
        #[arg(long)]
        seed: Option<u32>,
    },
    /// Check the architecture: arrows between the crates, the kernel's purity, file sizes, forbidden words.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse().verb {
        Verb::Test => test::run(),
        Verb::Chaos { rounds, seed } => chaos::run(rounds, seed),
        Verb::Bench {
            name,
            part,
            count,
            json,
        } => bench::run(name, part.as_deref(), count, json),
        Verb::Contract => contract::run(),
        Verb::Dashboards => dashboards::run(),
        Verb::Escape => escape::run(),
        Verb::Guest => guest::run(),
        Verb::Obedient => obedient::run(),
        Verb::Policy { scripts, texts, seed } => policy::run(scripts, texts, seed),
        Verb::Clients => clients::run(),
        Verb::Ui { check } => ui::run(check),
        Verb::E2e { pictures } => e2e::run(pictures),
        Verb::Openapi => openapi::run(),
        Verb::ApiFuzz { cases, seed } => api_fuzz::run(cases, seed),
        Verb::Tidy => tidy::run(),
    }
}
