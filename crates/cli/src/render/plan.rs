//! A plan: its groups, agents, estimates and shares.

use super::{Paint, SCRIPTED, clean, span};
use maestria_kernel::{
    Run, Task,
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind, graph},
};
use std::{fmt::Write as _, time::Duration};

/// The plan of a run that has one.
pub(crate) fn plan(run: &Run, paint: Paint) -> String {
    let Some((summary, source)) = &run.plan else {
        return "no plan yet".to_owned();
    };
    let tasks: Vec<PlannedTask> = run.ordered().iter().map(|t| with_agent(t)).collect();
    let whole = Plan {
        summary: summary.clone(),
        source: source.clone(),
        tasks,
    };
    let mut out = format!("{}\n", paint.bold(&clean(summary)));
    let _ = writeln!(out, "{}", paint.dim(&origin(source)));
    if run.scripted {
        let _ = writeln!(out, "{}", paint.warn(SCRIPTED));
    }
    if let Some(tier) = run.tier {
        let _ = writeln!(
            out,
            "agents: {tier} ({})",
            clean(&maestria_kernel::agent::Tier::because(&run.agents))
        );
    }
    let groups = graph::check(&whole.tasks).map(|g| g.groups).unwrap_or_default();
    for (number, group) in groups.iter().enumerate() {
        let together = if group.len() > 1 { " (at the same time)" } else { "" };
        let _ = writeln!(out, "\n{}", paint.dim(&format!("group {}{together}", number + 1)));
        for &index in group {
            describe(&mut out, &whole.tasks[index], paint);
        }
    }
    let _ = writeln!(out, "\nestimate: {}", estimate(&whole.estimate()));
    if !run.shares.is_empty() {
        let share = |s: &maestria_kernel::plan::shares::Share| match s.band {
            Some((least, most)) => format!("{} {} % (of {least}–{most})", s.agent, s.percent),
            None => format!("{} {} %", s.agent, s.percent),
        };
        let _ = write!(
            out,
            "shares:   {}",
            run.shares.iter().map(share).collect::<Vec<_>>().join(", ")
        );
    }
    out
}

fn with_agent(task: &Task) -> PlannedTask {
    let mut planned = (*task.plan).clone();
    planned.agent.clone_from(&task.agent);
    planned
}

fn origin(source: &PlanSource) -> String {
    match source {
        PlanSource::Model { model, scripted } => {
            let script = if *scripted { ", scripted" } else { "" };
            format!("planned by {model}{script}")
        }
        PlanSource::Agent { agent } => format!("planned by {agent}"),
        PlanSource::Rules { because } => format!("planned by rules: {}", clean(because)),
    }
}

fn describe(out: &mut String, task: &PlannedTask, paint: Paint) {
    let kind = match task.kind {
        TaskKind::Investigate => "investigate",
        TaskKind::Edit => "edit",
        TaskKind::Review => "review",
    };
    let agent = task
        .agent
        .as_ref()
        .map_or_else(|| "nobody".to_owned(), ToString::to_string);
    let _ = writeln!(out, "  {} {}", paint.info(task.key.as_str()), clean(&task.title));
    let mut facts = vec![kind.to_owned(), agent, estimate(&task.estimate)];
    if !task.needs.is_empty() {
        let needs: Vec<_> = task.needs.iter().map(ToString::to_string).collect();
        facts.push(format!("needs {}", needs.join(", ")));
    }
    if !task.files.is_empty() {
        facts.push(clean(&task.files.join(", ")));
    }
    let _ = writeln!(out, "     {}", paint.dim(&facts.join(" · ")));
}

fn estimate(estimate: &Estimate) -> String {
    let time = span(Duration::from_secs(u64::from(estimate.seconds)));
    format!("~{} tokens, {}, {time}", estimate.tokens, estimate.cost)
}
