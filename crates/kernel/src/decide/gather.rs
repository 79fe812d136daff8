//! Results that concern the run as a whole: the ground, the plan, the checks, the work.

use super::{Draft, Refused, decisions::request};
use crate::{
    agent::Agent,
    confidence::{Reviewed, score},
    decision::About,
    event::Event,
    finding::Validation,
    id::{CommitId, TaskKey},
    plan::{Estimate, Plan, PlannedTask, TaskKind, graph, shares},
    request::Ground,
    review::{ReviewVerdict, Trigger},
    run::Run,
    state::{RunState, RunStep, TaskState},
    time::At,
    workflow::Stage,
};

pub(super) fn prepared(draft: &mut Draft, ground: &Ground, agents: &[Agent]) -> Result<(), Refused> {
    if draft.run.ground.is_some() {
        return Err(Refused::Exists);
    }
    draft.emit(Event::RunPrepared {
        ground: Box::new(ground.clone()),
        agents: agents.to_vec(),
    });
    draft.choose_tier();
    Ok(())
}

pub(super) fn unprepared(draft: &mut Draft, reason: &str) -> Result<(), Refused> {
    if draft.run.state == RunState::Aborting || draft.transition(RunStep::Fail, reason) {
        Ok(())
    } else {
        Err(draft.refuse_state("preparing", "planning"))
    }
}

pub(super) fn propose(draft: &mut Draft, plan: &Plan) -> Result<(), Refused> {
    if draft.run.plan.is_some() || draft.run.state.is_finished() {
        return Err(Refused::Exists);
    }
    graph::check(&plan.tasks)?;
    let mut plan = plan.clone();
    let bands = draft.run.request.as_ref().map(|r| r.shares.clone()).unwrap_or_default();
    shares::assign(&mut plan.tasks, &draft.run.agents, &bands);
    let shares = shares::reached(&plan.tasks, &draft.run.agents, &bands);
    draft.emit(Event::PlanProposed {
        plan: Box::new(plan),
        shares,
    });
    Ok(())
}

pub(super) fn unplanned(draft: &mut Draft, reason: &str) -> Result<(), Refused> {
    if draft.run.plan.is_some() {
        return Err(Refused::Exists);
    }
    request(draft, About::Planning, reason);
    Ok(())
}

/// Observations change no state, so nothing is settled after them; only the budget is watched.
pub(super) fn observe(run: &Run, event: &Event, now: At) -> Result<Vec<Event>, Refused> {
    if !event.is_observation() {
        return Err(Refused::NotObservation(event.kind()));
    }
    let overspent = match (event, run.budget) {
        (Event::ModelCalled { usage, .. }, Some(budget)) => run.usage.cost.plus(usage.cost) > budget,
        // The gateway takes the worst case before a call, so it is short before all is spent.
        (Event::BudgetRefused { of_run, .. }, _) => *of_run,
        _ => false,
    };
    if !overspent || run.awaits_money() || run.state.is_finished() || run.state == RunState::Aborting {
        return Ok(vec![event.clone()]);
    }
    let mut draft = Draft::new(run, now);
    draft.emit(event.clone());
    let spent = draft.run.usage.cost;
    let budget = draft.run.budget.unwrap_or_default();
    let because = match event {
        Event::BudgetRefused { because, .. } => because.clone(),
        _ => format!("{spent} of {budget} spent"),
    };
    request(&mut draft, About::Budget, &because);
    if matches!(draft.run.state, RunState::Active(_)) {
        draft.transition(RunStep::Escalate, format!("the budget is spent: {because}"));
    }
    Ok(draft.events)
}

pub(super) fn rewound(draft: &mut Draft) -> Result<(), Refused> {
    if !draft.run.rewinding {
        return Err(draft.refuse_state("rewinding", "being rewound"));
    }
    draft.emit(Event::RunReady);
    Ok(())
}

pub(super) fn applied(draft: &mut Draft, commit: &CommitId, how: &str) -> Result<(), Refused> {
    draft.emit(Event::RunApplied {
        commit: commit.clone(),
        how: how.to_owned(),
    });
    Ok(())
}

/// The final checks are in; settling judges them now, or when a paused run goes on.
pub(super) fn validated(draft: &mut Draft, checks: &Validation) -> Result<(), Refused> {
    if draft.run.state.is_finished() {
        return Err(draft.refuse_state("validating", "unfinished"));
    }
    draft.emit(Event::ValidationFinished { checks: checks.clone() });
    Ok(())
}

/// Judges a run whose checks are in.
pub(crate) fn conclude(draft: &mut Draft) {
    let Some(checks) = draft.run.checks.clone() else { return };
    if checks.failed() && !draft.run.accepted {
        let (trouble, details) = checks.trouble("the finished work");
        let told = format!("{trouble}. {details}");
        if draft.run.fixes == 0 && shares::preferred(&draft.run.agents, TaskKind::Edit).is_some() {
            add_fix(draft, &told);
        } else {
            request(draft, About::Validation, &told);
            draft.transition(RunStep::Escalate, "the checks fail on the finished work");
        }
        return;
    }
    if !draft.run.has_changes() {
        complete(draft, "all tasks are done; nothing was changed");
        return;
    }
    let confidence = score(checks.passed, &reviewed_tasks(&draft.run), claims(&draft.run));
    let needed = draft.run.workflow().limits.confidence_percent;
    draft.emit(Event::ConfidenceScored {
        confidence,
        needed_percent: needed,
    });
    if confidence.score.0 < u16::from(needed) * 10 && !draft.run.accepted {
        let context = format!("{}; {} % are needed", confidence.explain(), needed);
        request(draft, About::Confidence, &context);
        draft.transition(
            RunStep::Escalate,
            format!("confidence {} is below 0.{needed:02}", confidence.score),
        );
    } else {
        complete(draft, &format!("confidence {}", confidence.score));
    }
}

pub(super) fn complete(draft: &mut Draft, because: &str) {
    draft.transition(RunStep::Complete, because);
}

/// Adds a task that mends what the checks or a person found, and goes back to executing.
pub(super) fn add_fix(draft: &mut Draft, told: &str) {
    let number = draft.run.tasks.len() + 1;
    let done = draft.run.ordered().into_iter().filter(|t| t.state == TaskState::Done);
    let task = PlannedTask {
        id: draft.task_id(),
        key: TaskKey::new(format!("E{number}")),
        title: "Mend what the checks found".to_owned(),
        instructions: told.to_owned(),
        kind: TaskKind::Edit,
        needs: done.map(|t| t.plan.key.clone()).collect(),
        files: Vec::new(),
        agent: shares::preferred(&draft.run.agents, TaskKind::Edit).map(|a| a.name.clone()),
        estimate: Estimate::default(),
    };
    draft.emit(Event::TaskAdded { task: Box::new(task) });
    draft.transition(RunStep::Reopen, "a repair task was added");
}

/// How the reviews of the merged tasks ended.
fn reviewed_tasks(run: &Run) -> Vec<Reviewed> {
    if !run.workflow().has(Stage::Review) {
        return Vec::new();
    }
    run.ordered()
        .into_iter()
        .filter(|t| t.merged.is_some())
        .map(|task| {
            let last = run
                .reviews
                .iter()
                .rev()
                .find(|r| r.task == Some(task.plan.id) && r.trigger == Trigger::Milestone && r.opinion.is_some());
            let verdict = last.and_then(|r| r.opinion.as_ref()).and_then(|o| o.verdict);
            match (verdict, last.is_some_and(|r| r.independent)) {
                (Some(ReviewVerdict::Approve), true) => Reviewed::Independent,
                (Some(ReviewVerdict::Approve), false) => Reviewed::SameVendor,
                (Some(ReviewVerdict::Reject), _) if !task.accepted => Reviewed::Rejected,
                (Some(ReviewVerdict::Reject | ReviewVerdict::RequestChanges | ReviewVerdict::Unsure) | None, _) => {
                    Reviewed::Accepted
                }
            }
        })
        .collect()
}

/// Proved claims and all claims of the work that counts.
fn claims(run: &Run) -> (usize, usize) {
    let all: Vec<bool> = run
        .tasks
        .values()
        .filter(|t| t.state == TaskState::Done)
        .filter_map(|t| t.outcome.as_ref())
        .flat_map(|o| o.claims.iter().map(crate::outcome::Claim::is_proved))
        .collect();
    (all.iter().filter(|proved| **proved).count(), all.len())
}
