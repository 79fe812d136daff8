//! Sixteen Codex at once on whatever cores there are: all complete, and maestria itself stays small.

use crate::{
    scene::{Scene, agent_table, all_at_once},
    turns::one_shot,
};
use anyhow::ensure;
use maestria_benches::{Figure, Table};
use maestria_testkit::{
    RealCli,
    model::{Rule, Script, Step},
};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

const CROWD: usize = 16;

/// A plan of tasks that do not need each other.
pub(crate) fn plan() -> Value {
    let step = |number: usize| {
        json!({
            "key": format!("E{number}"),
            "kind": "edit",
            "title": format!("Part {number}"),
            "instructions": task(number),
            "needs": [],
        })
    };
    json!({"summary": "many things at once", "steps": (1..=CROWD).map(step).collect::<Vec<_>>()})
}

/// What the model does in each task of the plan: write a file of its own.
pub(crate) fn rules() -> impl Iterator<Item = Rule> {
    (1..=CROWD).map(|number| {
        let write = Step::Write {
            path: format!("part-{number:02}.txt"),
            content: "made\n".to_owned(),
        };
        Rule::on(task(number), Script::of([write, Step::Text("made it".to_owned())]))
    })
}

fn task(number: usize) -> String {
    format!("Make the file part-{number:02}.txt")
}

pub(crate) fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let home = scene.folder()?;
    let Some(launch) = scene.launch(RealCli::Codex, &home)? else {
        return Ok(());
    };
    let hand = by_hand(scene)?;
    let config = format!(
        "{}[providers.planner]\ndialect = \"openai\"\nbase_url = \"{}/v1\"\nkey = \"none\"\nmodels = [\"gpt-4o-mini\"]\n\
         [limits]\nparallel = {CROWD}\n",
        agent_table("codex", &launch),
        scene.url()
    );
    let told = scene.run(&home, &config, &[])?;
    let merged = told.count("task.merged");
    ensure!(told.is_whole(), "events are missing");
    let took = (told.last("task.finished")? - told.first("task.dispatched")?) as f64 / 1000.0;
    let beside = format!(
        "in {took:.1} s with reviews and merges; {CROWD} by hand {hand:.1} s; {} events without a gap",
        told.events.len()
    );
    table.show(&Figure::at_least(
        "Codex workers at once, merged",
        merged as f64,
        "",
        CROWD as f64,
        beside,
    ));
    table.show(&Figure::at_most(
        "memory of maestria meanwhile",
        megabytes(told.peak),
        "MB",
        60.0,
        "peak",
    ));
    Ok(())
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Seconds.
fn by_hand(scene: &Scene) -> anyhow::Result<f64> {
    let mut commands = Vec::new();
    for number in 1..=CROWD {
        let Some(launch) = scene.launch(RealCli::Codex, &scene.folder()?)? else {
            anyhow::bail!("codex has gone");
        };
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .args(one_shot(RealCli::Codex, &launch, &task(number)))
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(scene.repository()?)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        commands.push(command);
    }
    Ok(all_at_once(commands)?.as_secs_f64())
}
