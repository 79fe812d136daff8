//! One frame of the live view.

use super::{Paint, SCRIPTED, clean, cut, fit, span, wrap};
use maestria_kernel::{
    At, Run, Task,
    progress::progress,
    state::{RunState, TaskState},
};
use std::time::Duration;

/// The most lines of a question, of its context, and of how to answer.
const QUESTION: usize = 6;
const CONTEXT: usize = 3;
const HOW: usize = 2;

/// A frame that fits a terminal of this size; finished tasks give way when there is little room.
pub(crate) fn frame(run: &Run, now: At, width: usize, height: usize, log: &[String], paint: Paint) -> Vec<String> {
    let width = width.saturating_sub(1).max(10);
    let mut lines = header(run, now, width, paint);
    let questions = questions(run, width, paint);
    let room = height.saturating_sub(lines.len() + questions.len() + 2);
    let tasks = run.ordered();
    let shown: Vec<&&Task> = if tasks.len() > room {
        tasks
            .iter()
            .filter(|t| !t.state.is_settled())
            .take(room.saturating_sub(1))
            .collect()
    } else {
        tasks.iter().collect()
    };
    let hidden = tasks.len() - shown.len();
    lines.extend(shown.iter().map(|task| task_line(task, now, width, paint)));
    if hidden > 0 {
        lines.push(paint.dim(&fit(&format!("  … and {hidden} more"), width)));
    }
    let left = height.saturating_sub(lines.len() + questions.len() + 2).min(log.len());
    lines.extend(log[log.len() - left..].iter().map(|line| cut(line, width)));
    lines.extend(questions);
    lines
}

fn header(run: &Run, now: At, width: usize, paint: Paint) -> Vec<String> {
    let progress = progress(run, now);
    let elapsed = span(Duration::from_millis(progress.elapsed_millis));
    let left = match progress.left_seconds {
        Some(seconds @ 1..) if !run.state.is_finished() => {
            format!(" · ~{} left", span(Duration::from_secs(u64::from(seconds))))
        }
        _ => String::new(),
    };
    let facts = format!("{elapsed}{left} · {} tokens · {}", run.usage.tokens(), run.usage.cost);
    let state = run.state.to_string();
    let state = match run.state {
        RunState::Completed => paint.good(&state),
        RunState::Failed | RunState::Aborted => paint.bad(&state),
        RunState::Escalated(_) | RunState::Paused(_) | RunState::Aborting => paint.warn(&state),
        RunState::Active(_) => paint.bold(&state),
    };
    let mut lines = vec![
        format!(
            "{} {state} {}",
            run.id.short(),
            paint.dim(&fit(&facts, width.saturating_sub(30).max(20)))
        ),
        format!(
            "{} {:>3} %",
            bar(progress.percent, width.saturating_sub(8).min(40), paint),
            progress.percent
        ),
    ];
    if let Some(tier) = run.tier {
        lines.push(paint.dim(&fit(&format!("agents: {tier}"), width)));
    }
    if run.scripted {
        lines.push(paint.warn(&fit(SCRIPTED, width)));
    }
    lines
}

fn bar(percent: u8, width: usize, paint: Paint) -> String {
    let full = usize::from(percent) * width / 100;
    format!(
        "{}{}",
        paint.good(&"━".repeat(full)),
        paint.dim(&"─".repeat(width - full))
    )
}

fn task_line(task: &Task, now: At, width: usize, paint: Paint) -> String {
    let state = format!("{:<9}", task.state.as_str());
    let state = match task.state {
        TaskState::Done => paint.good(&format!("✓ {state}")),
        TaskState::Running | TaskState::Reviewing | TaskState::Merging => paint.info(&format!("▶ {state}")),
        TaskState::Held => paint.warn(&format!("? {state}")),
        TaskState::Skipped | TaskState::Cancelled => paint.dim(&format!("✗ {state}")),
        TaskState::Waiting | TaskState::Ready | TaskState::Parked | TaskState::Approved => {
            paint.dim(&format!("· {state}"))
        }
    };
    let since = match (task.state, task.dispatched_at) {
        (TaskState::Running | TaskState::Reviewing, Some(at)) => format!(" {}", span(now.since(at))),
        _ => String::new(),
    };
    let agent = task.agent.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut rest = format!("{} {} · {agent}{since}", task.plan.key, clean(&task.plan.title));
    if task.usage.tokens().0 > 0 {
        rest.push_str(&format!(" · {} tokens {}", task.usage.tokens(), task.usage.cost));
    }
    if let Some(action) = task.last_action.as_ref().filter(|_| !task.state.is_settled()) {
        rest.push_str(&format!(" · {}", clean(action)));
    }
    format!("{state} {}", fit(&rest, width.saturating_sub(12)))
}

fn questions(run: &Run, width: usize, paint: Paint) -> Vec<String> {
    let Some(decision) = run.open_decisions().next() else {
        return Vec::new();
    };
    let options: Vec<String> = decision
        .options
        .iter()
        .enumerate()
        .map(|(n, o)| format!("{} {}", n + 1, o.choice.as_str()))
        .collect();
    let more = run.open_decisions().count() - 1;
    let more = if more > 0 {
        format!(" ({more} more wait)")
    } else {
        String::new()
    };
    // What is asked is shown whole: nobody should approve what was cut off.
    let asked = wrap(&format!("{}{more}", clean(&decision.question)), width, QUESTION);
    let context = wrap(&clean(&decision.context), width, CONTEXT);
    let how = format!("type {} and Enter (a approves, d denies)", options.join(" · "));
    let mut lines: Vec<String> = asked.iter().map(|line| paint.warn(line)).collect();
    lines.extend(context.iter().map(|line| paint.dim(line)));
    lines.extend(wrap(&how, width, HOW));
    lines
}
