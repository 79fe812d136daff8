//! `cargo xtask bench supervise`: what supervision costs, what it holds, and what it never leaves behind.

mod crowd;
mod scene;
mod starts;
mod talk;
mod trials;
mod turns;

use anyhow::ensure;
use maestria_benches::Table;
use scene::Scene;
use std::path::PathBuf;

const USAGE: &str = "usage: bench-supervise MAESTRIA FAKE-AGENT [starts | turns | crowd | talk | trials] \
                     (run it with `cargo xtask bench supervise`)";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The process that a trial kills.
        [trials::HOLD, tier, script] => trials::hold(tier, script).await,
        [maestria, fake_agent] => measure(maestria.into(), fake_agent.into(), None).await,
        [maestria, fake_agent, part] => measure(maestria.into(), fake_agent.into(), Some(part)).await,
        _ => anyhow::bail!(USAGE),
    }
}

async fn measure(maestria: PathBuf, fake_agent: PathBuf, part: Option<&str>) -> anyhow::Result<()> {
    let known = ["starts", "turns", "crowd", "talk", "trials"];
    ensure!(part.is_none_or(|part| known.contains(&part)), USAGE);
    let wanted = |name| part.is_none_or(|part| part == name);
    let scene = Scene::open(maestria, fake_agent).await?;
    let mut table = Table::default();
    if wanted("starts") {
        starts::measure(&scene, &mut table)?;
    }
    if wanted("turns") {
        turns::measure(&scene, &mut table)?;
    }
    if wanted("crowd") {
        crowd::measure(&scene, &mut table)?;
    }
    if wanted("talk") {
        talk::measure(&scene, &mut table)?;
    }
    if wanted("trials") {
        trials::measure(&mut table).await?;
    }
    table.end();
    Ok(())
}
