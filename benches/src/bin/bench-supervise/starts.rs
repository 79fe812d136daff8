//! How soon it is there: the help, the demo, the first worker.

use crate::scene::{Scene, WRITTEN};
use anyhow::ensure;
use maestria_benches::{Figure, Program, Table, median};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const REPETITIONS: usize = 15;
const DEMOS: usize = 3;

pub(crate) fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    help(scene, table)?;
    demo(scene, table)?;
    first_worker(scene, table)
}

fn help(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let home = scene.folder()?;
    let (ours, nothing) = (Program::new(&scene.maestria, &home), Program::new("/bin/true", &home));
    let (mut help, mut start) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        help.push(ours.time(&["--help"], &home)?.wall.as_secs_f64() * 1000.0);
        start.push(nothing.time(&[], &home)?.wall.as_secs_f64() * 1000.0);
    }
    let beside = format!("/bin/true {:.1} ms", median(&start));
    table.show(&Figure::at_most("maestria --help", median(&help), "ms", 20.0, beside));
    Ok(())
}

fn demo(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let mut walls = Vec::new();
    for _ in 0..DEMOS {
        let home = scene.folder()?;
        let finished = Program::new(&scene.maestria, &home).time(&["demo"], &home)?;
        ensure!(finished.status.success(), "the demo failed: {}", finished.status);
        walls.push(finished.wall.as_secs_f64());
    }
    table.show(&Figure::at_most(
        "maestria demo",
        median(&walls),
        "s",
        20.0,
        "the whole job, scripted",
    ));
    Ok(())
}

/// With an agent that is there at once, so that what is left is ours.
fn first_worker(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let plan = json!({"turns": [[{"write": {"path": WRITTEN, "content": "made\n"}}, {"say": "made it"}]]}).to_string();
    let config = format!(
        "[agents.claude]\ncommand = {}\nenv = {{ FAKE_AGENT_AS = \"claude\", FAKE_AGENT_PLAN = {} }}\n",
        json!(scene.fake_agent),
        json!(plan)
    );
    let mut delays = Vec::new();
    for _ in 0..REPETITIONS {
        let begun = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let told = scene.run(&scene.folder()?, &config, &[])?;
        delays.push(told.first("task.started")?.saturating_sub(begun) as f64);
    }
    table.show(&Figure::at_most(
        "start to the first worker",
        median(&delays),
        "ms",
        300.0,
        "making the repository, looking at the agent and opening the worktree included",
    ));
    Ok(())
}
