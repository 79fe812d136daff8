//! How attempts and merges end, and what that means for the task.

use super::{
    Draft, Refused,
    decisions::{request, withdraw_permissions},
    messages, reviews, violations,
};
use crate::{
    decision::{About, Stuck},
    event::Event,
    finding::Validation,
    id::{AgentName, CommitId, TaskId},
    outcome::{Outcome, Remedy, Verdict},
    plan::shares::candidates,
    review::Trigger,
    state::{RunState, TaskState},
    workflow::Stage,
};

pub(super) fn finish(draft: &mut Draft, id: TaskId, attempt: u16, outcome: &Outcome) -> Result<(), Refused> {
    let task = draft.task(id)?;
    if task.state != TaskState::Running || task.attempt != attempt {
        return Err(Refused::Stale { task: id, attempt });
    }
    let stopped = task.stopping.clone();
    draft.emit(Event::TaskFinished {
        task: id,
        attempt,
        outcome: Box::new(outcome.clone()),
    });
    withdraw_permissions(draft, id, "the attempt that asked has ended");
    if draft.run.state == RunState::Aborting {
        draft.emit(Event::TaskCancelled { task: id });
    } else if let Some(because) = stopped {
        hold(draft, id, Stuck::Violations, &violations::list(draft, id, &because));
    } else if outcome.verdict.is_success() {
        succeed(draft, id);
    } else {
        fail(draft, id, outcome);
    }
    Ok(())
}

fn succeed(draft: &mut Draft, id: TaskId) {
    if messages::is_unheard(draft, id) {
        messages::send_back(draft, id);
    } else if !draft.run.is_edit(id) {
        draft.emit(Event::TaskMerged {
            task: id,
            commit: None,
            checks: Validation::none(),
        });
    } else if draft.run.workflow().has(Stage::Review) {
        reviews::ask(draft, id, Trigger::Milestone);
    } else {
        draft.emit(Event::TaskApproved {
            task: id,
            because: "this workflow has no reviews".to_owned(),
        });
    }
}

fn fail(draft: &mut Draft, id: TaskId, outcome: &Outcome) {
    let Some(agent) = draft.run.tasks.get(&id).and_then(|t| t.agent.clone()) else {
        return;
    };
    let told = vec![format!(
        "A former attempt ended as {}: {}",
        outcome.verdict, outcome.reason
    )];
    match outcome.verdict.remedy() {
        Remedy::None | Remedy::Leave => requeue(draft, id, agent, false, Vec::new(), "it was interrupted"),
        Remedy::Retry => retry(draft, id, agent, told, outcome),
        Remedy::OtherAgent => {
            if matches!(
                outcome.verdict,
                Verdict::NotLoggedIn | Verdict::NotStarted | Verdict::Untrusted
            ) {
                draft.bench(&agent, &format!("{}: {}", outcome.verdict, outcome.reason));
            }
            hand_over(draft, id, &agent, told, outcome);
        }
    }
}

/// The same agent again after a back-off, as long as its tries last; then another one.
fn retry(draft: &mut Draft, id: TaskId, agent: AgentName, told: Vec<String>, outcome: &Outcome) {
    let limits = draft.run.workflow().limits.clone();
    let failures = draft.run.tasks.get(&id).map_or(0, |t| t.failures);
    if failures >= limits.retries {
        return hand_over(draft, id, &agent, told, outcome);
    }
    if failures > 1 || matches!(outcome.verdict, Verdict::Unavailable) {
        let until = outcome
            .retry_at
            .unwrap_or_else(|| draft.now.after(limits.backoff(failures + 1)));
        let because = format!(
            "{}; attempt {} of {} follows",
            outcome.verdict,
            failures + 1,
            limits.retries
        );
        draft.emit(Event::TaskParked {
            task: id,
            until,
            because,
        });
    } else {
        let because = format!("{}; attempt {} of {}", outcome.verdict, failures + 1, limits.retries);
        requeue(draft, id, agent, false, told, &because);
    }
}

/// Another agent takes the task; when there is none, a rate limit is waited for and anything else is a person's matter.
fn hand_over(draft: &mut Draft, id: TaskId, agent: &AgentName, told: Vec<String>, outcome: &Outcome) {
    if let Some(next) = successor(draft, id, agent) {
        let because = format!("{} cannot ({}); {next} takes over", agent, outcome.verdict);
        return requeue(draft, id, next, false, told, &because);
    }
    let failures = draft.run.tasks.get(&id).map_or(0, |t| t.failures);
    let retries = draft.run.workflow().limits.retries;
    if outcome.verdict == Verdict::RateLimited && (outcome.retry_at.is_some() || failures < retries) {
        let wait = draft.run.workflow().limits.backoff(failures + 3);
        let until = outcome.retry_at.unwrap_or_else(|| draft.now.after(wait));
        let because = format!("{agent} is rate limited and nobody else can take it; waiting");
        draft.emit(Event::TaskParked {
            task: id,
            until,
            because,
        });
        return;
    }
    if !reviews::ask_about_blocker(draft, id, outcome.verdict) {
        let because = format!("{}: {}", outcome.verdict, outcome.reason);
        hold(draft, id, Stuck::Attempts, &because);
    }
}

fn successor(draft: &Draft, id: TaskId, agent: &AgentName) -> Option<AgentName> {
    let task = draft.run.tasks.get(&id)?;
    candidates(&draft.run.agents, task.plan.kind.role())
        .into_iter()
        .map(|a| a.name.clone())
        .find(|name| name != agent && !task.tried.contains(name))
}

pub(super) fn requeue(
    draft: &mut Draft,
    id: TaskId,
    agent: AgentName,
    rework: bool,
    mut guidance: Vec<String>,
    because: &str,
) {
    guidance.extend(reviews::untold(draft, id));
    draft.emit(Event::TaskRequeued {
        task: id,
        agent,
        rework,
        guidance,
        because: because.to_owned(),
    });
}

/// Sends a change back to its author, as long as there are rounds left; then a person decides.
pub(super) fn rework(draft: &mut Draft, id: TaskId, stuck: Stuck, guidance: Vec<String>, because: &str) {
    let limit = draft.run.workflow().limits.rework_rounds;
    let task = draft.run.tasks.get(&id);
    let (rounds, author) = task.map_or((limit, None), |t| (t.rework, t.agent.clone()));
    match author {
        Some(author) if rounds < limit => requeue(draft, id, author, true, guidance, because),
        Some(_) | None => hold(draft, id, stuck, because),
    }
}

/// A person has to decide about a task.
pub(super) fn hold(draft: &mut Draft, id: TaskId, stuck: Stuck, because: &str) {
    draft.emit(Event::TaskHeld {
        task: id,
        because: because.to_owned(),
    });
    request(draft, About::Task { task: id, stuck }, because);
}

pub(super) fn merged(
    draft: &mut Draft,
    id: TaskId,
    commit: Option<&CommitId>,
    checks: &Validation,
) -> Result<(), Refused> {
    merging(draft, id)?;
    draft.emit(Event::TaskMerged {
        task: id,
        commit: commit.cloned(),
        checks: checks.clone(),
    });
    Ok(())
}

pub(super) fn bounced(draft: &mut Draft, id: TaskId, conflicts: &[String], checks: &Validation) -> Result<(), Refused> {
    merging(draft, id)?;
    draft.emit(Event::TaskBounced {
        task: id,
        conflicts: conflicts.to_vec(),
        checks: checks.clone(),
    });
    if !conflicts.is_empty() {
        let because = format!("conflict with other work in {}", conflicts.join(", "));
        let guidance = vec![format!(
            "Your change conflicts with other work that is already in. The other work has been merged into your \
             worktree; resolve the conflict markers in: {}",
            conflicts.join(", ")
        )];
        rework(draft, id, Stuck::Conflict, guidance, &because);
    } else if let Some(found) = checks.to_confirm() {
        hold(draft, id, Stuck::Consent, &found);
    } else {
        let (trouble, details) = checks.trouble("the combined tree");
        let guidance = vec![format!("{trouble}. Mend your change. {details}")];
        let because = trouble;
        rework(draft, id, Stuck::Checks, guidance, &because);
    }
    Ok(())
}

pub(super) fn unmerged(draft: &mut Draft, id: TaskId, reason: &str) -> Result<(), Refused> {
    merging(draft, id)?;
    hold(draft, id, Stuck::Conflict, reason);
    Ok(())
}

fn merging(draft: &Draft, id: TaskId) -> Result<(), Refused> {
    let task = draft.task(id)?;
    if task.state == TaskState::Merging {
        Ok(())
    } else {
        Err(Refused::Stale {
            task: id,
            attempt: task.attempt,
        })
    }
}
