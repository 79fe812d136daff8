//! What follows by itself: after every command, the run is moved on until nothing more follows.
//!
//! Tasks are unblocked, dispatched and merged, the run goes from phase to phase, and when nothing can move without a
//! person it escalates. Every step settles something, so this ends.

use crate::{
    decide::{Draft, gather_conclude},
    event::Event,
    finding::Validation,
    id::{AgentName, TaskId},
    plan::shares::candidates,
    state::{Phase, RunState, RunStep, TaskState},
    workflow::Stage,
};

pub(crate) fn settle(draft: &mut Draft) {
    loop {
        let before = draft.events.len();
        match draft.run.state {
            RunState::Active(_) if draft.run.awaits_money() => {
                draft.transition(RunStep::Escalate, "the budget is spent");
            }
            RunState::Active(Phase::Planning) => leave_planning(draft),
            RunState::Active(Phase::Executing) => execute(draft),
            RunState::Active(Phase::Validating) => validate(draft),
            RunState::Aborting => wind_down(draft),
            RunState::Escalated(_)
            | RunState::Paused(_)
            | RunState::Completed
            | RunState::Failed
            | RunState::Aborted => {}
        }
        if draft.events.len() == before {
            return;
        }
    }
}

fn leave_planning(draft: &mut Draft) {
    if draft.run.plan.is_none() {
        if draft.run.open_decisions().next().is_some() {
            draft.transition(RunStep::Escalate, "no plan could be made");
        }
        return;
    }
    let workflow = draft.run.workflow();
    let goes_on = workflow.has(Stage::Edit) || workflow.reviews_existing;
    drop(workflow);
    if goes_on {
        draft.transition(RunStep::Plan, "the plan stands");
    } else {
        draft.transition(RunStep::Complete, "the plan stands; this workflow ends here");
    }
}

fn execute(draft: &mut Draft) {
    if draft.run.rewinding {
        return;
    }
    unblock(draft);
    unpark(draft);
    crate::decide::heed(draft);
    merge_next(draft);
    dispatch(draft);
    let mut states = draft.run.tasks.values().map(|t| t.state);
    if states.clone().all(TaskState::is_settled) {
        if states.any(|s| s == TaskState::Done) {
            draft.transition(RunStep::Gather, "all tasks are settled");
        } else {
            draft.transition(RunStep::Fail, "no task could be done");
        }
    } else if !states.any(TaskState::is_active) {
        draft.transition(RunStep::Escalate, "nothing can go on without a person");
    }
}

/// Frees tasks whose needs are done, and leaves out those whose needs were left out.
fn unblock(draft: &mut Draft) {
    for id in draft.tasks_in(TaskState::Waiting) {
        let Some(task) = draft.run.tasks.get(&id) else { continue };
        let needs = draft.run.needs(task);
        let state = |need: &TaskId| draft.run.tasks.get(need).map(|t| (t.state, t.plan.key.clone()));
        let missing = needs
            .iter()
            .filter_map(state)
            .find(|(s, _)| matches!(s, TaskState::Skipped | TaskState::Cancelled));
        if let Some((_, key)) = missing {
            draft.emit(Event::TaskSkipped {
                task: id,
                because: format!("it needs {key}, which was left out"),
            });
        } else if needs.iter().filter_map(state).all(|(s, _)| s == TaskState::Done) {
            draft.emit(Event::TaskUnblocked { task: id });
        }
    }
}

fn unpark(draft: &mut Draft) {
    for id in draft.tasks_in(TaskState::Parked) {
        let Some(task) = draft.run.tasks.get(&id) else { continue };
        let due = task.parked_until.is_none_or(|until| until <= draft.now);
        if let (true, Some(agent)) = (due, task.agent.clone()) {
            let because = "the wait is over".to_owned();
            draft.emit(Event::TaskRequeued {
                task: id,
                agent,
                rework: false,
                guidance: Vec::new(),
                because,
            });
        }
    }
}

/// The merge queue is serial: one change at a time meets the combined tree.
fn merge_next(draft: &mut Draft) {
    if draft.tasks_in(TaskState::Merging).is_empty()
        && let Some(task) = draft.tasks_in(TaskState::Approved).first().copied()
    {
        draft.emit(Event::TaskMergeStarted { task });
    }
}

fn dispatch(draft: &mut Draft) {
    let limit = usize::from(draft.run.workflow().limits.parallel);
    for id in draft.tasks_in(TaskState::Ready) {
        if draft.tasks_in(TaskState::Running).len() >= limit {
            return;
        }
        match executor(draft, id) {
            Some(agent) => start(draft, id, agent),
            None => crate::decide::hold_without_agent(draft, id),
        }
    }
}

/// The agent a task was given, or, when that one cannot be used any more, the next that can.
fn executor(draft: &Draft, id: TaskId) -> Option<AgentName> {
    let task = draft.run.tasks.get(&id)?;
    let able = candidates(&draft.run.agents, task.plan.kind.role());
    let given = able.iter().find(|a| Some(&a.name) == task.agent.as_ref());
    let other = able.iter().find(|a| !task.tried.contains(&a.name));
    given.or(other).or(able.first()).map(|a| a.name.clone())
}

fn start(draft: &mut Draft, id: TaskId, agent: AgentName) {
    let Some(task) = draft.run.tasks.get(&id) else { return };
    let session = if task.agent.as_ref() == Some(&agent) {
        task.session.clone()
    } else {
        None
    };
    let said = task.messages.iter().map(ToString::to_string);
    let guidance = task.guidance.iter().cloned().chain(said).collect();
    let attempt = task.attempt + 1;
    draft.emit(Event::TaskDispatched {
        task: id,
        attempt,
        agent,
        session,
        guidance,
    });
}

fn validate(draft: &mut Draft) {
    if draft.run.tasks.values().any(|t| !t.state.is_settled()) {
        draft.transition(RunStep::Reopen, "there is work left");
    } else if draft.run.checks.is_some() {
        gather_conclude(draft);
    } else if !draft.run.needs_checks() {
        draft.emit(Event::ValidationFinished {
            checks: Validation::none(),
        });
    }
}

/// An aborted run ends when its last worker has.
fn wind_down(draft: &mut Draft) {
    let ending = |s: TaskState| matches!(s, TaskState::Running | TaskState::Merging);
    let cancel: Vec<TaskId> = draft
        .run
        .ordered()
        .into_iter()
        .filter(|t| !t.state.is_settled() && !ending(t.state))
        .map(|t| t.plan.id)
        .collect();
    for task in cancel {
        draft.emit(Event::TaskCancelled { task });
    }
    if !draft.run.tasks.values().any(|t| ending(t.state)) {
        let because = draft.run.because.clone();
        crate::decide::withdraw_open(draft, "the run was aborted");
        draft.transition(RunStep::Ended, because);
    }
}
