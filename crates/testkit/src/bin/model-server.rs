//! The loopback model server for shell scripts and benches.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use maestria_testkit::model::{ModelServer, Rule};

/// Scripted model server on 127.0.0.1, in every dialect; ends on SIGINT or SIGTERM.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Print the base URL as the first line on stdout.
    #[arg(long)]
    print_url: bool,
    /// JSON list of rules: [{"match": "...", "steps": [...], "faults": [...]}, ...].
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("model-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let server = ModelServer::bind(arguments.port).await?;
    if let Some(path) = &arguments.script {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        server.rules(Rule::list(&text)?);
    }
    // Before anybody learns where it is: from then on it may be told to stop.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    if arguments.print_url {
        println!("{}", server.base_url());
        std::io::stdout().flush()?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown().await;
    Ok(())
}
