//! What stands at the end, and a run or a decision in full.

use super::{Paint, SCRIPTED, clean, plan, span};
use maestria_kernel::{
    At, Run, RunId, Task,
    decision::{About, Decision},
    outcome::Proof,
    progress::progress,
    run::Work,
    state::RunState,
};
use std::{fmt::Write as _, time::Duration};

/// What changed, what proves it, what it cost, and what to do next.
pub(crate) fn summary(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    let state = run.state.to_string();
    let state = match run.state {
        RunState::Completed => paint.good(&state),
        RunState::Failed | RunState::Aborted => paint.bad(&state),
        _ => paint.warn(&state),
    };
    let _ = writeln!(
        out,
        "\n{} {state}: {}",
        paint.bold(&run.id.short()),
        clean(&run.because)
    );
    if run.scripted {
        let _ = writeln!(out, "{}", paint.warn(SCRIPTED));
    }
    for task in run.ordered() {
        describe(&mut out, run, task, paint);
    }
    if let Some(checks) = run.checks.as_ref().filter(|c| c.command.is_some()) {
        let command = checks.command.as_deref().unwrap_or_default();
        let result = match checks.passed {
            Some(true) => paint.good("passes on the combined tree"),
            Some(false) => paint.bad("fails on the combined tree"),
            None => "could not be run".to_owned(),
        };
        let _ = writeln!(out, "\nchecks      `{}` {result}", clean(command));
    }
    for finding in run.checks.iter().flat_map(|checks| &checks.findings) {
        let _ = writeln!(out, "found       {}", clean(&finding.to_string()));
    }
    if let Some(confidence) = &run.confidence {
        let _ = writeln!(out, "confidence  {}", confidence.explain());
    }
    let elapsed = span(run.updated_at.since(run.created_at));
    let _ = writeln!(
        out,
        "cost        {} for {} tokens in {elapsed}",
        run.usage.cost,
        run.usage.tokens()
    );
    for decision in run.decisions.iter().filter(|d| !d.is_open()) {
        if let Some(answer) = decision.answer.as_ref().filter(|a| a.by != "withdrawn") {
            let question = clean(&decision.question);
            let _ = writeln!(
                out,
                "decided     {question} {} ({})",
                answer.choice.as_str(),
                clean(&answer.by)
            );
        }
    }
    for note in run.ground.iter().flat_map(|g| &g.notes) {
        let _ = writeln!(out, "note        {}", clean(note));
    }
    if let Some(request) = &run.request {
        let _ = writeln!(out, "session     {}", clean(&request.workspace));
    }
    let _ = write!(out, "{}", next(run, paint));
    out
}

fn describe(out: &mut String, run: &Run, task: &Task, paint: Paint) {
    let agent = task.agent.as_ref().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(
        out,
        "\n{} {} — {} by {agent}",
        paint.info(task.plan.key.as_str()),
        clean(&task.plan.title),
        task.state
    );
    let Some(outcome) = &task.outcome else { return };
    for file in &outcome.files {
        let _ = writeln!(
            out,
            "   {} {} {}",
            clean(&file.path),
            paint.good(&format!("+{}", file.added)),
            paint.bad(&format!("-{}", file.removed))
        );
    }
    for claim in &outcome.claims {
        let _ = match &claim.proof {
            Proof::Proved { by } => {
                writeln!(
                    out,
                    "   {} {} {}",
                    paint.good("proved "),
                    clean(&claim.text),
                    paint.dim(&format!("({by})"))
                )
            }
            Proof::Claimed => writeln!(out, "   {} {}", paint.warn("claimed"), clean(&claim.text)),
        };
    }
    if !outcome.verdict.is_success() {
        let _ = writeln!(
            out,
            "   {}",
            paint.warn(&format!("{}: {}", outcome.verdict, clean(&outcome.reason)))
        );
    }
    for review in run.reviews.iter().filter(|r| r.task == Some(task.plan.id)) {
        let Some(opinion) = &review.opinion else { continue };
        let verdict = opinion
            .verdict
            .map_or_else(|| "no verdict".to_owned(), |v| v.to_string());
        let same = if review.independent { "" } else { " (same vendor)" };
        let _ = writeln!(
            out,
            "   review  {verdict} by {}{same}: {}",
            review.reviewer,
            clean(&opinion.text)
        );
    }
}

fn next(run: &Run, paint: Paint) -> String {
    let id = run.id.short();
    match (run.state, &run.work) {
        (_, Work::Applied { .. }) => "\nThe work is applied.".to_owned(),
        (_, Work::Discarded) => "\nThe work is discarded.".to_owned(),
        (RunState::Completed, _) if run.has_changes() => format!(
            "\nYour branch is untouched. {}\n  maestria diff {id}      see the change\n  maestria apply {id}     bring it onto your branch\n  maestria discard {id}   throw it away",
            paint.dim("Next:")
        ),
        (RunState::Completed, _) => "\nNothing was changed.".to_owned(),
        (RunState::Escalated(_), _) => {
            format!("\nIt waits for you: `maestria decisions`, then `maestria resume {id}`.")
        }
        (RunState::Paused(_) | RunState::Active(_), _) => format!("\n`maestria resume {id}` goes on."),
        (RunState::Failed | RunState::Aborted, _) => {
            format!("\n`maestria retry {id}` starts what was left undone again.")
        }
        (RunState::Aborting, _) => format!("\nIts workers are ending; `maestria show {id}` tells."),
    }
}

/// A run in full.
pub(crate) fn show(run: &Run, now: At, paint: Paint) -> String {
    let progress = progress(run, now);
    let mut out = String::new();
    let request = run.request.as_ref();
    let _ = writeln!(out, "{}  {}  {} %", run.id, run.state, progress.percent);
    let _ = writeln!(out, "{}", clean(request.map(|r| r.text.as_str()).unwrap_or_default()));
    let _ = writeln!(
        out,
        "target      {}",
        clean(request.map(|r| r.target.as_str()).unwrap_or_default())
    );
    if let Some(ground) = &run.ground {
        let _ = writeln!(out, "branch      {}", ground.integration);
    }
    let _ = writeln!(
        out,
        "elapsed     {}",
        span(Duration::from_millis(progress.elapsed_millis))
    );
    let _ = writeln!(out, "\n{}", plan(run, paint));
    out.push_str(&summary(run, paint));
    for open in run.open_decisions() {
        let _ = write!(out, "\n\n{}", decision(open, run.id, paint));
    }
    out
}

/// A decision in full.
pub(crate) fn decision(decision: &Decision, run: RunId, paint: Paint) -> String {
    let mut out = format!("{}  of {}\n", paint.bold(&decision.id.to_string()), run.short());
    let _ = writeln!(out, "{}", paint.warn(&clean(&decision.question)));
    let _ = writeln!(out, "{}", clean(&decision.context));
    if let About::Permission { question, .. } = &decision.about
        && let Some(bound) = &question.bound
    {
        let hash = bound.sha256.get(..12).unwrap_or(&bound.sha256);
        let _ = writeln!(out, "in {}, with its environment as it is ({hash})", clean(&bound.cwd));
    }
    for option in &decision.options {
        let mark = if option.choice == decision.recommended {
            " (recommended)"
        } else {
            ""
        };
        let _ = writeln!(out, "  {:<8} {}{mark}", option.choice.as_str(), option.label);
    }
    let id = decision.id.short();
    let first = decision.approval().as_str();
    let last = decision.denial().as_str();
    let _ = write!(
        out,
        "approve ({first}): maestria decisions approve {id}   deny ({last}): maestria decisions deny {id} --because \"…\"\nwithout an answer: {}",
        decision.on_expiry.as_str()
    );
    out
}
