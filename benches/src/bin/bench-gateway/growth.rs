//! Whether the gateway's memory grows with the calls it has served.

use crate::{peer::Peer, request, upstream};
use maestria_benches::{Figure, Table, run};
use std::{path::Path, time::Duration};

/// Calls until what is remembered is remembered, and every buffer is as large as it gets.
const WARM: u64 = 100_000;

/// Looks at the memory after a load, and the pause before each: what was freed goes back to the system with delay.
const LOOKS: usize = 5;
const REST: Duration = Duration::from_millis(200);

/// Whole answers and streams are asked for in turn, for so long each.
const TURN: Duration = Duration::from_millis(500);

pub(crate) async fn watch(program: &Path, calls: u64, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = upstream::start().await?;
    let gateway = Peer::gateway(program, folder.path(), upstream)?;
    load(&gateway, WARM.max(calls / 5)).await?;
    let before = held(&gateway).await?;
    load(&gateway, calls).await?;
    let after = held(&gateway).await?;
    table.show(&Figure::at_most(
        "growth of memory",
        (after - before).max(0.0),
        "MB",
        2.0,
        format!("from {before:.1} to {after:.1} MB over {calls} calls"),
    ));
    Ok(())
}

/// What it holds at rest, in MB.
async fn held(gateway: &Peer) -> anyhow::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..LOOKS {
        tokio::time::sleep(REST).await;
        least = least.min(gateway.memory()?);
    }
    Ok(least)
}

async fn load(gateway: &Peer, calls: u64) -> anyhow::Result<()> {
    let body = |stream: bool| {
        format!(r#"{{"model":"m","stream":{stream},"max_tokens":20,"messages":[{{"role":"user","content":"hello"}}]}}"#)
    };
    let mut done = 0;
    while done < calls {
        for stream in [false, true] {
            let asked = gateway.with_key(&request("/v1/chat/completions", &body(stream)));
            done += run(gateway.port, asked, 16, TURN).await?.answers;
        }
    }
    Ok(())
}
