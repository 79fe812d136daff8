//! Events as lines: for people one by one, for programs as JSON.

use super::{Paint, clean, fit, span};
use maestria_kernel::{Event, Run, RunId, TaskId, permission::Ruling, port::Stored, state::RunState};
use serde::Serialize;

/// The longest line shown, in columns.
const WIDTH: usize = 160;

#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    #[serde(flatten)]
    stored: &'a Stored,
}

/// An event as one line of JSON.
pub(crate) fn json_line(run: RunId, stored: &Stored) -> String {
    serde_json::to_string(&Line { run, stored }).unwrap_or_default()
}

/// An event as a line for people; `None` when it is not worth telling without `--verbose`.
pub(crate) fn line(stored: &Stored, run: &Run, verbose: bool, paint: Paint) -> Option<String> {
    let told = tell(&stored.event, run, paint).or_else(|| verbose.then(|| detail(&stored.event, run)))?;
    let elapsed = span(stored.at.since(run.created_at));
    let told: Vec<String> = told.lines().map(|l| fit(l, WIDTH)).collect();
    Some(format!(
        "{} {}",
        paint.dim(&format!("{elapsed:>6}")),
        told.join("\n       ")
    ))
}

fn key(run: &Run, task: TaskId) -> String {
    run.tasks
        .get(&task)
        .map_or_else(|| "?".to_owned(), |t| t.plan.key.to_string())
}

fn tell(event: &Event, run: &Run, paint: Paint) -> Option<String> {
    let key = |task: &TaskId| paint.info(&key(run, *task));
    Some(match event {
        Event::RunPrepared { ground, .. } => {
            let mut text = format!(
                "prepared: branch {} from {:.10}",
                ground.integration,
                ground.base.as_str()
            );
            ground
                .notes
                .iter()
                .for_each(|note| text.push_str(&format!("\nnote: {}", clean(note))));
            text
        }
        Event::TierChosen { tier, because } => format!("agents: {tier} ({})", clean(because)),
        Event::AgentBenched { agent, because } => paint.warn(&format!("{agent} is out: {}", clean(because))),
        Event::PlanProposed { plan, .. } => format!("plan: {} ({} tasks)", clean(&plan.summary), plan.tasks.len()),
        Event::RunTransitioned { to, because, .. } => {
            let text = format!("{to}: {}", clean(because));
            match to {
                RunState::Completed => paint.good(&text),
                RunState::Failed | RunState::Aborted => paint.bad(&text),
                RunState::Escalated(_) | RunState::Paused(_) | RunState::Aborting => paint.warn(&text),
                RunState::Active(_) => paint.bold(&text),
            }
        }
        Event::TaskAdded { task } => format!("{} added: {}", task.key, clean(&task.title)),
        Event::TaskDispatched {
            task, attempt, agent, ..
        } => format!("{} → {agent} (attempt {attempt})", key(task)),
        Event::TaskFinished { task, outcome, .. } => {
            let text = format!("{}: {}", outcome.verdict, clean(&outcome.reason));
            let text = if outcome.verdict.is_success() {
                text
            } else {
                paint.warn(&text)
            };
            let files: Vec<String> = outcome
                .files
                .iter()
                .map(|f| format!("{} +{} -{}", clean(&f.path), f.added, f.removed))
                .collect();
            if files.is_empty() {
                format!("{} {text}", key(task))
            } else {
                format!("{} {text} [{}]", key(task), files.join(", "))
            }
        }
        Event::TaskParked { task, because, .. } => format!("{} waits: {}", key(task), clean(because)),
        Event::TaskRequeued {
            task, because, rework, ..
        } => {
            let what = if *rework { "rework" } else { "again" };
            format!("{} {what}: {}", key(task), clean(because))
        }
        Event::TaskTold { task, message } => format!("{} is told: {}", key(task), clean(&message.to_string())),
        Event::TaskHeld { task, because } => paint.warn(&format!("{} is held: {}", key(task), clean(because))),
        Event::TaskMerged {
            task,
            commit: Some(_),
            checks,
        } => {
            let checked = match (checks.passed, &checks.command) {
                (Some(true), Some(command)) => format!(", `{command}` passes on the combined tree"),
                _ => String::new(),
            };
            format!("{} {}{checked}", key(task), paint.good("merged"))
        }
        Event::TaskBounced {
            task,
            conflicts,
            checks,
        } => {
            let why = if conflicts.is_empty() {
                clean(&checks.trouble("the combined tree").0)
            } else {
                format!("conflicts in {}", clean(&conflicts.join(", ")))
            };
            paint.warn(&format!("{} bounced: {why}", key(task)))
        }
        Event::TaskSkipped { task, because } => format!("{} is left out: {}", key(task), clean(because)),
        Event::ReviewRequested { review } => {
            let what = review.task.map_or_else(|| "the whole run".to_owned(), |t| key(&t));
            let same = if review.independent { "" } else { ", of the same vendor" };
            format!("{what} → review by {}{same} ({})", review.reviewer, review.trigger)
        }
        Event::ReviewReceived { review, opinion } => {
            let known = run.review(*review);
            let what = known
                .and_then(|r| r.task)
                .map_or_else(|| "the whole run".to_owned(), |t| key(&t));
            let by = known.map(|r| r.reviewer.to_string()).unwrap_or_default();
            let verdict = opinion
                .verdict
                .map_or_else(|| "no verdict".to_owned(), |v| v.to_string());
            let mut text = format!("{what} {} by {by}: {}", paint.bold(&verdict), clean(&opinion.text));
            opinion
                .findings
                .iter()
                .for_each(|f| text.push_str(&format!("\n  {}", clean(&f.to_string()))));
            text
        }
        Event::ReviewRuled { task, ruled } => {
            let what = task.map_or_else(|| "the whole run".to_owned(), |t| key(&t));
            format!("{what} rule {}: {}", ruled.rule, clean(&ruled.because))
        }
        Event::ValidationFinished { checks } => {
            let mut text = match (checks.passed, &checks.command) {
                (Some(true), Some(command)) => format!("checks: `{command}` {}", paint.good("passes")),
                (Some(false), command) => paint.bad(&format!(
                    "checks: `{}` fails",
                    command.as_deref().unwrap_or("the checks")
                )),
                _ if checks.findings.is_empty() => return None,
                _ => "checks: nothing to run".to_owned(),
            };
            let findings = checks.findings.iter();
            findings.for_each(|f| text.push_str(&format!("\n  {}", clean(&f.to_string()))));
            text
        }
        Event::ConfidenceScored { confidence, .. } => format!("confidence {}", confidence.explain()),
        Event::DecisionRequested { decision } => {
            let text = format!(
                "{} (`maestria decisions show {}`)",
                clean(&decision.question),
                decision.id.short()
            );
            paint.warn(&text)
        }
        Event::DecisionMade { decision, answer } => {
            format!(
                "{} answered: {} by {}",
                decision.short(),
                answer.choice.as_str(),
                clean(&answer.by)
            )
        }
        Event::ApprovalUsed { task, decision, .. } => {
            format!("{} makes use of the leave of {}", key(task), decision.short())
        }
        Event::RuleKept { file, rule, .. } => format!("the rule {} is in {}", clean(rule), clean(file)),
        Event::RuleNotKept { because, .. } => paint.warn(&format!("the rule was not written: {}", clean(because))),
        Event::BudgetRaised { budget } => format!("the budget is now {budget}"),
        Event::RunApplied { how, .. } => clean(how),
        Event::RunNotApplied { because } => paint.warn(&format!("not applied: {}", clean(because))),
        Event::PermissionRuled {
            task,
            question,
            permission,
        } => {
            let ruling = match permission.ruling {
                Ruling::Allow => "allowed",
                Ruling::Deny => "denied",
                Ruling::Rewrite { .. } => "rewritten",
                Ruling::Ask => "asked",
            };
            format!(
                "{} {} {ruling} ({}): {}",
                key(task),
                clean(&question.tool),
                permission.rule,
                clean(&permission.because)
            )
        }
        Event::TaskRecovered { task, repair, .. } => format!("{} recovery: {}", key(task), clean(repair)),
        Event::WorkerWarned { task, warning } => paint.warn(&format!("{} {}", key(task), clean(warning))),
        Event::BudgetAlerted {
            account,
            percent,
            limit,
            ..
        } => paint.warn(&format!(
            "{percent} % of the budget of {} ({limit}) are spent",
            clean(account)
        )),
        Event::TaskStopped { task, because } => paint.bad(&format!("{} is stopped: {}", key(task), clean(because))),
        Event::ViolationRecorded {
            task, violation, count, ..
        } => paint.bad(&format!(
            "{} violation {count}: {}: {}",
            key(task),
            clean(&violation.to_string()),
            clean(&violation.because)
        )),
        _ => return None,
    })
}

/// What only `--verbose` tells.
fn detail(event: &Event, run: &Run) -> String {
    match event {
        Event::ToolStarted { task, tool, summary } => format!("{} {tool} {}", key(run, *task), clean(summary)),
        Event::ToolFinished {
            task,
            tool,
            ok,
            summary,
        } => {
            format!(
                "{} {tool} {}: {}",
                key(run, *task),
                if *ok { "ok" } else { "failed" },
                clean(summary)
            )
        }
        Event::TaskSaid { text, .. } => format!("said: {}", clean(text)),
        Event::ModelCalled {
            model, usage, millis, ..
        } => {
            format!("{model}: {} tokens, {}, {millis} ms", usage.tokens(), usage.cost)
        }
        Event::BudgetRefused { because, .. } => format!("refused: {}", clean(because)),
        Event::TaskStarted {
            task,
            agent,
            pid,
            contained,
            ..
        } => {
            let pid = pid.map(|p| format!(" as process {p}")).unwrap_or_default();
            format!("{} started {agent}{pid}, contained by {contained}", key(run, *task))
        }
        other => other.kind().to_owned(),
    }
}
