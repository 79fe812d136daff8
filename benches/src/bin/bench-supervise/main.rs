//! `cargo xtask bench supervise`: what supervision costs, what it holds, and what it never leaves behind.

mod crowd;
mod scene;
mod starts;
mod talk;
mod trials;
mod turns;

use maestria_benches::Table;
use scene::Scene;
use std::path::PathBuf;

const USAGE: &str = "usage: bench-supervise MAESTRIA FAKE-AGENT (run it with `cargo xtask bench supervise`)";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The process that a trial kills.
        [trials::HOLD, tier, script] => trials::hold(tier, script).await,
        [maestria, fake_agent] => measure(maestria.into(), fake_agent.into()).await,
        _ => anyhow::bail!(USAGE),
    }
}

async fn measure(maestria: PathBuf, fake_agent: PathBuf) -> anyhow::Result<()> {
    let scene = Scene::open(maestria, fake_agent).await?;
    let mut table = Table::default();
    starts::measure(&scene, &mut table)?;
    turns::measure(&scene, &mut table)?;
    crowd::measure(&scene, &mut table)?;
    talk::measure(&scene, &mut table)?;
    trials::measure(&mut table).await?;
    table.end();
    Ok(())
}
