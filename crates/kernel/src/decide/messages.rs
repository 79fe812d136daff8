//! What people tell agents. Nobody is interrupted: a message goes with the task's next attempt, and work that comes in, or
//! waits to be merged, with a message that its agent has not heard goes back to it.

use super::{Draft, Refused, attempt::requeue};
use crate::{
    event::Event,
    id::TaskId,
    message::Message,
    state::{RunState, TaskState},
};

pub(super) fn tell(draft: &mut Draft, id: TaskId, message: &Message) -> Result<(), Refused> {
    message.check()?;
    let task = draft.task(id)?;
    let over = draft.run.state.is_finished() || draft.run.state == RunState::Aborting;
    let settled = matches!(
        task.state,
        TaskState::Merging | TaskState::Done | TaskState::Skipped | TaskState::Cancelled
    );
    if over || settled {
        return Err(Refused::Deaf {
            task: task.plan.key.clone(),
            state: task.state.as_str(),
        });
    }
    draft.emit(Event::TaskTold {
        task: id,
        message: message.clone(),
    });
    Ok(())
}

/// Whether its agent has not heard all that was said.
pub(super) fn is_unheard(draft: &Draft, id: TaskId) -> bool {
    draft.run.tasks.get(&id).is_some_and(|task| !task.messages.is_empty())
}

/// Has the agent do it again with what was said meanwhile.
pub(super) fn send_back(draft: &mut Draft, id: TaskId) {
    let author = draft.run.tasks.get(&id).and_then(|task| task.agent.clone());
    if let Some(author) = author {
        let because = "a person has said more about it meanwhile";
        requeue(draft, id, author, false, Vec::new(), because);
    }
}

/// Nothing is merged over what a person said of it.
pub(crate) fn heed(draft: &mut Draft) {
    for id in draft.tasks_in(TaskState::Approved) {
        if is_unheard(draft, id) {
            send_back(draft, id);
        }
    }
}
