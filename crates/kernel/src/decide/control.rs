//! What people do with a run: start, hold, end, repeat, take or leave it.

use super::{Draft, Refused};
use crate::{
    event::Event,
    id::TaskId,
    message::Message,
    request::Request,
    run::Work,
    state::{RunState, RunStep, TaskState},
};

pub(super) fn submit(draft: &mut Draft, request: &Request) -> Result<(), Refused> {
    if draft.run.request.is_some() {
        return Err(Refused::Exists);
    }
    draft.emit(Event::RunSubmitted {
        request: Box::new(request.clone()),
    });
    Ok(())
}

pub(super) fn pause(draft: &mut Draft, by: &str) -> Result<(), Refused> {
    if draft.transition(RunStep::Pause, format!("paused by {by}")) {
        Ok(())
    } else {
        Err(draft.refuse_state("pause", "planning, executing, validating or escalated"))
    }
}

pub(super) fn resume(draft: &mut Draft, by: &str) -> Result<(), Refused> {
    if draft.transition(RunStep::Resume, format!("resumed by {by}")) {
        Ok(())
    } else {
        Err(draft.refuse_state("resume", "paused"))
    }
}

pub(super) fn abort(draft: &mut Draft, by: &str, because: &str) -> Result<(), Refused> {
    let because = if because.is_empty() {
        format!("aborted by {by}")
    } else {
        format!("aborted by {by}: {because}")
    };
    if draft.transition(RunStep::Abort, because) {
        Ok(())
    } else {
        Err(draft.refuse_state("abort", "unfinished"))
    }
}

/// Everything that was left undone gets a new start; what is done stays done.
pub(super) fn retry(draft: &mut Draft, by: &str) -> Result<(), Refused> {
    let again: Vec<TaskId> = [TaskState::Skipped, TaskState::Cancelled, TaskState::Held]
        .into_iter()
        .flat_map(|state| draft.tasks_in(state))
        .collect();
    match draft.run.state {
        RunState::Failed | RunState::Aborted => {}
        RunState::Escalated(_) if !again.is_empty() => {}
        RunState::Completed if !again.is_empty() && draft.run.work == Work::Pending => {}
        RunState::Active(_)
        | RunState::Escalated(_)
        | RunState::Paused(_)
        | RunState::Aborting
        | RunState::Completed => {
            return Err(draft.refuse_state("retry", "failed, aborted or held up by a task"));
        }
    }
    withdraw_all(draft, "the run was started again");
    let because = format!("retried by {by}");
    if !draft.transition(RunStep::Retry, because.clone()) {
        draft.transition(RunStep::Answer, because.clone());
    }
    for task in again {
        draft.emit(Event::TaskReset { task });
    }
    if draft.run.ground.is_none() {
        // Not even prepared: the request is submitted anew in all but name.
        let request = draft.run.request.clone();
        if let Some(request) = request {
            draft.emit(Event::RunSubmitted {
                request: Box::new((*request).clone()),
            });
        }
    } else if draft.run.plan.is_none() {
        draft.emit(Event::PlanRequested { because });
    }
    Ok(())
}

/// A task and all that needs it are done again; the run's branch is rebuilt without them first.
pub(super) fn rerun(draft: &mut Draft, from: TaskId, message: Option<&Message>, by: &str) -> Result<(), Refused> {
    draft.task(from)?;
    message.map_or(Ok(()), Message::check)?;
    if !draft.run.state.is_finished() {
        return Err(draft.refuse_state("rerun", "completed, failed or aborted"));
    }
    if draft.run.work != Work::Pending {
        return Err(Refused::Work(
            "the run's work has been applied or discarded; start a new run instead",
        ));
    }
    let tasks = draft.run.with_dependents(from);
    let because = format!("rerun by {by} from {}", draft.task(from)?.plan.key);
    withdraw_all(draft, &because);
    draft.transition(RunStep::Retry, because.clone());
    for task in tasks {
        if draft.task(task)?.state != TaskState::Waiting {
            draft.emit(Event::TaskReset { task });
        }
    }
    if let Some(message) = message.cloned() {
        draft.emit(Event::TaskTold { task: from, message });
    }
    draft.emit(Event::RunRewound { because });
    Ok(())
}

pub(super) fn apply(draft: &mut Draft, by: &str) -> Result<(), Refused> {
    takeable(draft)?;
    if draft.run.state != RunState::Completed {
        return Err(draft.refuse_state("apply", "completed"));
    }
    if !draft.run.has_changes() {
        return Err(Refused::Work("the run changed nothing; there is nothing to apply"));
    }
    draft.emit(Event::RunApplyRequested { by: by.to_owned() });
    Ok(())
}

pub(super) fn discard(draft: &mut Draft, by: &str) -> Result<(), Refused> {
    takeable(draft)?;
    if !draft.run.state.is_finished() {
        return Err(draft.refuse_state("discard", "completed, failed or aborted"));
    }
    draft.emit(Event::RunDiscardRequested { by: by.to_owned() });
    Ok(())
}

fn takeable(draft: &Draft) -> Result<(), Refused> {
    match draft.run.work {
        Work::Pending => Ok(()),
        Work::Applied { .. } => Err(Refused::Work("the run's work has been applied already")),
        Work::Discarded => Err(Refused::Work("the run's work has been discarded")),
    }
}

/// Closes all open questions.
pub(super) fn withdraw_all(draft: &mut Draft, because: &str) {
    let open: Vec<_> = draft.run.open_decisions().map(|d| d.id).collect();
    for decision in open {
        draft.emit(Event::DecisionWithdrawn {
            decision,
            because: because.to_owned(),
        });
    }
}
