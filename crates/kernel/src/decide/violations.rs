//! Violations: counted, and after so many the worker is stopped, for a person to decide.

use super::{Draft, Refused};
use crate::{event::Event, id::TaskId, run::Run, state::TaskState, time::At, violation::Violation};

/// Records a violation with whose it is and how many it makes; the last that is tolerated stops the worker.
pub(super) fn record(run: &Run, id: TaskId, violation: &Violation, now: At) -> Result<Vec<Event>, Refused> {
    let mut draft = Draft::new(run, now);
    let task = draft.task(id)?;
    let event = Event::ViolationRecorded {
        task: id,
        agent: task.agent.clone(),
        attempt: task.attempt,
        count: task.violations.saturating_add(1),
        violation: Box::new(violation.clone()),
    };
    draft.emit(event);
    stop(&mut draft, id);
    Ok(draft.events)
}

fn stop(draft: &mut Draft, id: TaskId) {
    let most = usize::from(draft.run.workflow().limits.violations);
    let Some(task) = draft.run.tasks.get(&id) else { return };
    let tolerable = most == 0 || task.offences.len() < most;
    if tolerable || task.state != TaskState::Running || task.stopping.is_some() {
        return;
    }
    let because = format!("{} violations; at {most} a worker is stopped", task.offences.len());
    draft.emit(Event::TaskStopped { task: id, because });
}

/// What a task's worker was stopped for, for the person who decides.
pub(super) fn list(draft: &Draft, id: TaskId, because: &str) -> String {
    let offences = draft.run.tasks.get(&id).map_or(&[][..], |task| &task.offences);
    let lines = offences
        .iter()
        .map(|offence| format!("\n- {offence}: {}", offence.because));
    std::iter::once(format!("{because}:")).chain(lines).collect()
}
