//! Runs a program under supervision, like `supervise namespace /bin/sh -c 'echo hello'`, and says how it ended.
//!
//! The tests kill this process with SIGKILL to see that nothing survives it.

use std::io::Write as _;

use maestria_sandbox::{Spec, Supervised, Tier};
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let tier = match args.next().as_deref().and_then(|tier| tier.to_str()) {
        Some("namespace") => Tier::Namespace,
        Some("subreaper") => Tier::Subreaper,
        _ => return Err("usage: supervise namespace|subreaper PROGRAM [ARGUMENT...]".into()),
    };
    let program = args.next().ok_or("which program?")?;
    let mut spec = Spec::new(program, "/");
    spec.args = args.collect();
    spec.env = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
    spec.tier = Some(tier);
    let mut worker = Supervised::spawn(spec)?;
    println!("started {} ({})", worker.pid(), worker.tier());
    std::io::stdout().flush()?;
    if let Some(mut output) = worker.take_stdout() {
        let mut part = [0; 4096];
        while let count @ 1.. = output.read(&mut part).await? {
            std::io::stdout().write_all(&part[..count])?;
            std::io::stdout().flush()?;
        }
    }
    println!("{:?}", worker.wait().await);
    Ok(())
}
