//! Violations: counted, and after so many the worker is stopped, for a person to decide.

use super::{Draft, Refused};
use crate::{event::Event, id::TaskId, run::Run, state::TaskState, time::At, violation::Violation, workflow::Limits};

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
    let Some(task) = draft.run.tasks.get(&id) else { return };
    let because = too_many(&draft.run.workflow().limits, &task.offences);
    if let Some(because) = because
        && task.state == TaskState::Running
        && task.stopping.is_none()
    {
        draft.emit(Event::TaskStopped { task: id, because });
    }
}

/// Why these are too many, if they are: of one kind, or of all that count.
fn too_many(limits: &Limits, offences: &[Violation]) -> Option<String> {
    let reached = |count: usize, most: u16| most > 0 && count >= usize::from(most);
    for (kind, most) in &limits.violations_of {
        let count = offences.iter().filter(|offence| offence.kind == *kind).count();
        if reached(count, *most) {
            return Some(format!("{count} violations of {kind}; at {most} a worker is stopped"));
        }
    }
    let most = limits.violations;
    let counted = |offence: &&Violation| limits.violations_of.get(&offence.kind) != Some(&0);
    let count = offences.iter().filter(counted).count();
    reached(count, most).then(|| format!("{count} violations; at {most} a worker is stopped"))
}

/// What a task's worker was stopped for, for the person who decides.
pub(super) fn list(draft: &Draft, id: TaskId, because: &str) -> String {
    let offences = draft.run.tasks.get(&id).map_or(&[][..], |task| &task.offences);
    let lines = offences
        .iter()
        .map(|offence| format!("\n- {offence}: {}", offence.because));
    std::iter::once(format!("{because}:")).chain(lines).collect()
}
