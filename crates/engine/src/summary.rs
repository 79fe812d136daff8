//! What stays in the session folder when a run has ended: a summary for people and the run's final value for programs.

use maestria_kernel::{Run, Task, outcome::Proof, plan::TaskKind, state::RunState};
use std::{fmt::Write as _, io, path::Path};

/// Writes `documentation/summary.md`, `documentation/run.json`, `architecture/plan.md`, and each task's report.
pub(crate) async fn write(run: &Run) -> io::Result<()> {
    let Some(request) = run.request.clone() else {
        return Ok(());
    };
    let run = run.clone();
    tokio::task::spawn_blocking(move || write_all(&run, Path::new(&request.workspace)))
        .await
        .map_err(io::Error::other)?
}

fn write_all(run: &Run, workspace: &Path) -> io::Result<()> {
    put(&workspace.join("documentation/summary.md"), &markdown(run))?;
    put(
        &workspace.join("documentation/run.json"),
        &serde_json::to_string_pretty(run).map_err(io::Error::other)?,
    )?;
    put(&workspace.join("architecture/plan.md"), &plan(run))?;
    for task in run.ordered() {
        let folder = match task.plan.kind {
            TaskKind::Investigate => "architecture",
            TaskKind::Edit => "implementation",
            TaskKind::Review => "tests",
        };
        if let Some(outcome) = &task.outcome {
            let text = format!(
                "# {} {}\n\n{}\n\n{}\n",
                task.plan.key, task.plan.title, outcome.reason, outcome.report
            );
            put(&workspace.join(folder).join(format!("{}.md", task.plan.key)), &text)?;
        }
    }
    if let Some(checks) = &run.checks {
        put(
            &workspace.join("tests/checks.json"),
            &serde_json::to_string_pretty(&**checks).map_err(io::Error::other)?,
        )?;
    }
    for decision in &run.decisions {
        let text = serde_json::to_string_pretty(decision).map_err(io::Error::other)?;
        put(
            &workspace.join("decisions").join(format!("{}.json", decision.id)),
            &text,
        )?;
    }
    Ok(())
}

/// Replaces a file as a whole: a crash leaves the old one or the new one.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

fn plan(run: &Run) -> String {
    let mut text = format!(
        "# Plan\n\n{}\n\n",
        run.plan.as_ref().map(|(s, _)| s.as_str()).unwrap_or_default()
    );
    for task in run.ordered() {
        let needs: Vec<String> = task.plan.needs.iter().map(ToString::to_string).collect();
        let needs = if needs.is_empty() {
            String::new()
        } else {
            format!(" (needs {})", needs.join(", "))
        };
        let _ = writeln!(
            text,
            "- **{}** {}{needs}: {}",
            task.plan.key, task.plan.title, task.plan.instructions
        );
    }
    text
}

fn markdown(run: &Run) -> String {
    let mut text = format!("# {}\n\n", run.id);
    let request = run.request.as_ref().map(|r| r.text.as_str()).unwrap_or_default();
    let _ = writeln!(text, "Task: {request}\n\nState: **{}** — {}\n", run.state, run.because);
    if run.scripted {
        text.push_str("Some answers came from a script (provider `playbook`), not from a model.\n\n");
    }
    text.push_str("## Tasks\n\n");
    for task in run.ordered() {
        describe(&mut text, task);
    }
    if let Some(checks) = &run.checks {
        let result = match checks.passed {
            Some(true) => "passed",
            Some(false) => "failed",
            None => "nothing to run",
        };
        let _ = writeln!(
            text,
            "\n## Checks\n\n`{}`: {result}",
            checks.command.as_deref().unwrap_or("none")
        );
        for finding in &checks.findings {
            let _ = writeln!(text, "- {finding}");
        }
    }
    if let Some(confidence) = &run.confidence {
        let _ = writeln!(text, "\n## Confidence\n\n{}", confidence.explain());
    }
    let _ = writeln!(
        text,
        "\n## Cost\n\n{} for {} tokens",
        run.usage.cost,
        run.usage.tokens()
    );
    if run.state == RunState::Completed && run.has_changes() {
        let _ = writeln!(
            text,
            "\nThe work is on the branch of the run: `maestria apply {}`",
            run.id
        );
    }
    text
}

fn describe(text: &mut String, task: &Task) {
    let agent = task.agent.as_ref().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(
        text,
        "- **{}** {} — {} by {agent}",
        task.plan.key, task.plan.title, task.state
    );
    for claim in task.outcome.iter().flat_map(|o| &o.claims) {
        let _ = match &claim.proof {
            Proof::Proved { by } => writeln!(text, "  - proved ({by}): {}", claim.text),
            Proof::Claimed => writeln!(text, "  - claimed: {}", claim.text),
        };
    }
}
