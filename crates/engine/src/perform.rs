//! Performs effects: each one is repeated safely after a crash, because the ports find done what is done.

use crate::{engine::Ports, summary};
use maestria_kernel::{
    Command, Effect, Run, TaskId,
    finding::{Finding, Severity, Validation},
    outcome::{Outcome, Verdict},
    port::{Control, MergeResult, Observer, PlanJob, RepositoryError, ReviewJob, TaskJob},
    review::Opinion,
    state::RunState,
    workflow::Stage,
};
use std::{path::PathBuf, sync::Arc};

/// The part of an earlier task's report that a later one is told, in bytes.
const EVIDENCE: usize = 8 * 1024;

/// Performs an effect to its end and returns the command that it leads to, if it leads to one.
pub(crate) async fn perform(
    ports: &Ports,
    run: &Run,
    effect: &Effect,
    recovering: bool,
    observer: &dyn Observer,
) -> Option<Command> {
    match effect {
        Effect::Prepare => Some(prepare(ports, run).await),
        Effect::Plan => Some(plan(ports, run, observer).await),
        Effect::Dispatch { task, attempt } => dispatch(ports, run, *task, *attempt, recovering, observer).await,
        Effect::Review { review } => Some(self::review(ports, run, *review, observer).await?),
        Effect::Merge { task } => Some(merge(ports, run, *task).await),
        Effect::Validate => Some(validate(ports, run).await),
        Effect::Rewind => Some(match ports.repository.rewind(run).await {
            Ok(()) => Command::Rewound,
            Err(error) => Command::Abort {
                by: "maestria".to_owned(),
                because: error.to_string(),
            },
        }),
        Effect::Apply => Some(match ports.repository.apply(run).await {
            Ok((commit, how)) => Command::Applied { commit, how },
            Err(error) => Command::Unapplied {
                reason: error.to_string(),
            },
        }),
        Effect::Discard => Some(match ports.repository.discard(run).await {
            Ok(()) => Command::Discarded,
            Err(error) => Command::Unapplied {
                reason: error.to_string(),
            },
        }),
        Effect::Freeze { task } => control(ports, *task, Control::Freeze).await,
        Effect::Thaw { task } => control(ports, *task, Control::Thaw).await,
        Effect::Stop { task } => control(ports, *task, Control::Stop).await,
        Effect::Summarise => {
            if let Err(error) = summary::write(run).await {
                tracing::warn!(run = %run.id, %error, "the summary could not be written");
            }
            None
        }
        Effect::Wake { at } => {
            ports.clock.until(*at).await;
            Some(Command::Wake)
        }
        // Answered by the driver itself, which knows the waiting worker.
        Effect::Tell { .. } => None,
    }
}

async fn control(ports: &Ports, task: TaskId, control: Control) -> Option<Command> {
    ports.agents.control(task, control).await;
    None
}

async fn prepare(ports: &Ports, run: &Run) -> Command {
    let Some(request) = &run.request else {
        return Command::Unprepared {
            reason: "no request".to_owned(),
        };
    };
    let ground = match ports.repository.prepare(run.id, request).await {
        Ok(ground) => ground,
        Err(error) => {
            return Command::Unprepared {
                reason: error.to_string(),
            };
        }
    };
    let agents = ports.agents.probe(&request.agents).await;
    let works = request.workflow.has(Stage::Edit) || request.workflow.reviews_existing;
    if works && agents.iter().all(|a| a.unusable.is_some()) {
        let why = maestria_kernel::agent::Tier::because(&agents);
        let reason = format!("no agent can work: {why}; run `maestria doctor` for what to do");
        return Command::Unprepared { reason };
    }
    Command::Prepared {
        ground: Box::new(ground),
        agents,
    }
}

async fn plan(ports: &Ports, run: &Run, observer: &dyn Observer) -> Command {
    let (Some(request), Some(ground)) = (run.request.clone(), run.ground.clone()) else {
        return Command::Unplanned {
            reason: "the run is not prepared".to_owned(),
        };
    };
    let job = PlanJob {
        run: run.id,
        request,
        ground,
        agents: run.agents.clone(),
    };
    match ports.planner.plan(job, observer).await {
        Ok(plan) => Command::Propose { plan: Box::new(plan) },
        Err(reason) => Command::Unplanned { reason },
    }
}

async fn dispatch(
    ports: &Ports,
    run: &Run,
    id: TaskId,
    attempt: u16,
    recovering: bool,
    observer: &dyn Observer,
) -> Option<Command> {
    let task = run.tasks.get(&id)?;
    let (agent, request) = (task.agent.clone()?, run.request.clone()?);
    if recovering && run.state == RunState::Aborting {
        let outcome = Outcome::bare(
            Verdict::Interrupted,
            "the run was aborted while maestria was not running",
        );
        return Some(Command::Finish {
            task: id,
            attempt,
            outcome: Box::new(outcome),
        });
    }
    if let (true, Some(because)) = (recovering, &task.stopping) {
        let outcome = Outcome::bare(Verdict::Interrupted, because.clone());
        return Some(Command::Finish {
            task: id,
            attempt,
            outcome: Box::new(outcome),
        });
    }
    // From the second attempt on, the author works on top of what others have brought in meanwhile.
    let onto = attempt > 1 && !recovering;
    let outcome = match ports.repository.open(run, id, onto).await {
        Ok((worktree, base)) => {
            let job = TaskJob {
                run: run.id,
                task: task.plan.clone(),
                attempt,
                agent,
                session: task.session.clone(),
                recovering,
                request,
                worktree,
                base,
                evidence: evidence(run, task),
                guidance: task.guidance.clone(),
                budget: run.budget,
            };
            ports.agents.perform(job, observer).await
        }
        Err(error) => Outcome::bare(Verdict::Failed, format!("the worktree could not be opened: {error}")),
    };
    Some(Command::Finish {
        task: id,
        attempt,
        outcome: Box::new(outcome),
    })
}

/// What the tasks that a task needs have reported (the `#E1` of its instructions).
fn evidence(run: &Run, task: &maestria_kernel::Task) -> Vec<(String, String, String)> {
    run.needs(task)
        .into_iter()
        .filter_map(|need| run.tasks.get(&need))
        .filter_map(|t| {
            let report = &t.outcome.as_ref()?.report;
            Some((
                t.plan.key.to_string(),
                t.plan.title.clone(),
                bounded(report, EVIDENCE).to_owned(),
            ))
        })
        .collect()
}

/// The beginning of a text, cut at a character.
fn bounded(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

async fn review(ports: &Ports, run: &Run, id: maestria_kernel::ReviewId, observer: &dyn Observer) -> Option<Command> {
    let review = run.review(id)?;
    let request = run.request.clone()?;
    let unread = |text: String| Opinion {
        verdict: None,
        text,
        findings: Vec::new(),
    };
    let opinion = match ports.repository.checkout(run, id, review.task).await {
        Ok((checkout, diff)) => {
            let task = review.task.and_then(|t| run.tasks.get(&t));
            let job = ReviewJob {
                run: run.id,
                review: id,
                task: review.task,
                reviewer: review.reviewer.clone(),
                purpose: purpose(&request.text, task),
                report: task
                    .and_then(|t| t.outcome.as_ref())
                    .map(|o| o.report.clone())
                    .unwrap_or_default(),
                checkout,
                diff,
                artefacts: PathBuf::from(&request.workspace).join("reviews").join(id.to_string()),
                project: request.project(),
                budget: run.budget,
            };
            let opinion = ports.agents.review(job, observer).await;
            ports.repository.release(run, id).await;
            opinion
        }
        Err(error) => unread(format!("the change could not be checked out for review: {error}")),
    };
    Some(Command::Reviewed { review: id, opinion })
}

fn purpose(text: &str, task: Option<&maestria_kernel::Task>) -> String {
    match task {
        Some(task) => format!(
            "The request:\n{text}\n\nThis task, {} “{}”:\n{}",
            task.plan.key, task.plan.title, task.plan.instructions
        ),
        None => format!("The request:\n{text}"),
    }
}

async fn merge(ports: &Ports, run: &Run, task: TaskId) -> Command {
    let check = run.workflow().has(Stage::Validate) && !run.tasks.get(&task).is_some_and(|t| t.accepted);
    match ports.repository.merge(run, task, check).await {
        Ok(MergeResult::Merged { commit, checks }) => Command::Merged { task, commit, checks },
        Ok(MergeResult::Bounced { conflicts, checks }) => Command::Bounced {
            task,
            conflicts,
            checks,
        },
        Err(error) => Command::Unmerged {
            task,
            reason: error.to_string(),
        },
    }
}

async fn validate(ports: &Ports, run: &Run) -> Command {
    let checks = ports
        .repository
        .validate(run)
        .await
        .unwrap_or_else(|error| not_validated(&error));
    Command::Validated { checks }
}

/// Checks that could not be run have not passed.
fn not_validated(error: &RepositoryError) -> Validation {
    let finding = Finding {
        severity: Severity::Blocking,
        file: None,
        line: None,
        message: error.to_string(),
    };
    Validation {
        passed: Some(false),
        output: error.to_string(),
        findings: vec![finding],
        ..Validation::none()
    }
}

/// Keeps the type of a shared run short at its users.
pub(crate) type Snapshot = Arc<Run>;
