//! A worker that says a million things: each is an event, none is lost, and maestria stays small.

use crate::{
    crowd::megabytes,
    scene::{Scene, WRITTEN},
};
use anyhow::ensure;
use maestria_benches::{Figure, Table};
use serde_json::json;

const SAID: usize = 1_000_000;

pub(crate) fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let home = scene.folder()?;
    let acts = json!({"turns": [[{"say_times": [SAID, "a line of talk, as agents do"]}, {"write": {"path": WRITTEN, "content": "made\n"}}, {"say": "done"}]]});
    let config = format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n",
        json!(scene.fake_agent),
        // Said in full: a file beside the worktree is not there for a walled worker.
        json!(acts.to_string())
    );
    let told = scene.run(&home, &config, &[])?;
    let said = told.count("task.said");
    ensure!(told.is_whole(), "events are missing");
    let took = (told.last("task.said")? - told.first("task.started")?) as f64 / 1000.0;
    let beside = format!("{:.0} a second, each durable", said as f64 / took);
    table.show(&Figure::at_least(
        "events of one worker, none lost",
        said as f64,
        "",
        SAID as f64,
        beside,
    ));
    let beside = format!("peak after {} events", told.events.len());
    table.show(&Figure::at_most(
        "memory of maestria after them",
        megabytes(told.peak),
        "MB",
        60.0,
        beside,
    ));
    Ok(())
}
