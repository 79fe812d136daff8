//! All automation of the project: `cargo xtask VERB`.

mod test;
mod tidy;

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
    /// Check the architecture: arrows between the crates, the kernel's purity, file sizes, forbidden words.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse().verb {
        Verb::Test => test::run(),
        Verb::Tidy => tidy::run(),
    }
}
