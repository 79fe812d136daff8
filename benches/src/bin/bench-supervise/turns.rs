//! One turn of a worker through maestria beside the same CLI started by hand, both on the same scripted
//! model, which answers at once: the harshest measure, as nothing hides what we add.

use crate::scene::{Scene, TASK, WRITTEN, agent_table};
use anyhow::ensure;
use maestria_benches::{Figure, Table, finish, median};
use maestria_testkit::{RealCli, real::Launch};
use std::{
    process::{Command, Stdio},
    time::Instant,
};

const PAIRS: usize = 7;

pub(crate) fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    for (cli, name) in [
        (RealCli::Claude, "a turn of Claude Code, by hand = 1"),
        (RealCli::Codex, "a turn of Codex, by hand = 1"),
        (RealCli::Gemini, "a turn of Gemini, by hand = 1"),
    ] {
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            let Some(hand) = by_hand(scene, cli)? else { break };
            pairs.push((through_maestria(scene, cli)?, hand));
        }
        if pairs.is_empty() {
            continue;
        }
        let of = |f: fn(&(Turn, f64)) -> f64| median(&pairs.iter().map(f).collect::<Vec<_>>());
        let beside = format!(
            "{:.0} ms, of which {:.0} are the worktree, the judgement and the commit; by hand {:.0} ms",
            of(|p| p.0.whole),
            of(|p| p.0.whole - p.0.worker),
            of(|p| p.1)
        );
        table.show(&Figure::at_most(name, of(|p| p.0.whole / p.1), "×", 1.05, beside));
    }
    Ok(())
}

/// Milliseconds of the CLI's one-shot mode, from its start to its end.
fn by_hand(scene: &Scene, cli: RealCli) -> anyhow::Result<Option<f64>> {
    let home = scene.folder()?;
    let Some(launch) = scene.launch(cli, &home)? else {
        return Ok(None);
    };
    let cwd = scene.repository()?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .args(one_shot(cli, &launch, TASK))
        .env_clear();
    command.envs(launch.env.iter().map(|(name, value)| (name, value)));
    command
        .current_dir(&cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    let finished = finish(command.spawn()?, begun)?;
    ensure!(finished.status.success(), "{} by hand: {}", cli.name(), finished.status);
    ensure!(cwd.join(WRITTEN).exists(), "{} by hand wrote nothing", cli.name());
    Ok(Some(finished.wall.as_secs_f64() * 1000.0))
}

/// Arguments with which a person lets the CLI do the task, edits allowed.
pub(crate) fn one_shot<'a>(cli: RealCli, launch: &'a Launch, task: &'a str) -> Vec<&'a str> {
    let model = launch.model;
    let words: &[&str] = match cli {
        RealCli::Claude | RealCli::ClaudeAcp | RealCli::Opencode => &[
            "--verbose",
            "--permission-mode",
            "acceptEdits",
            "--output-format",
            "stream-json",
            "--model",
            model,
            "-p",
            task,
        ],
        RealCli::Codex => &[
            "exec",
            "--json",
            "--sandbox",
            "danger-full-access",
            "--model",
            model,
            task,
        ],
        RealCli::Gemini => &[
            "--output-format",
            "stream-json",
            "--approval-mode",
            "auto_edit",
            "--model",
            model,
            "-p",
            task,
        ],
    };
    words.to_vec()
}

/// Milliseconds of a task.
#[derive(Clone, Copy)]
struct Turn {
    /// From the start of the worker's process until it has ended.
    worker: f64,
    /// From the decision to dispatch the task until its outcome is stored.
    whole: f64,
}

fn through_maestria(scene: &Scene, cli: RealCli) -> anyhow::Result<Turn> {
    let home = scene.folder()?;
    let Some(launch) = scene.launch(cli, &home)? else {
        anyhow::bail!("{} has gone", cli.name());
    };
    // By hand it has the whole machine; with half of it, as workers have unless it is said otherwise, its own start takes
    // longer, and that is what the limit is for.
    let config = format!("{}[workers]\ncpu_percent = 100\n", agent_table(cli.name(), &launch));
    let told = scene.run(&home, &config, &[])?;
    ensure!(told.count("task.merged") == 1, "{}: {:#?}", cli.name(), told.events);
    let finished = told.first("task.finished")?;
    let ended = told.last_before("worker.measured", finished)?;
    let worker = ended.saturating_sub(told.first("task.started")?) as f64;
    let whole = finished.saturating_sub(told.first("task.dispatched")?) as f64;
    Ok(Turn { worker, whole })
}
