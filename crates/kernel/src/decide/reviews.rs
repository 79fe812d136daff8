//! Asking for reviews and heeding them.

use super::{
    Draft, Refused,
    attempt::{hold, rework},
};
use crate::{
    decision::Stuck,
    event::Event,
    id::{AgentName, ReviewId, TaskId},
    review::{MOST_REVIEWERS, Opinion, Review, Ruling, Trigger, pick, rule},
    state::{RunState, TaskState},
};

/// Asks another agent to judge a task's change. When nobody can, the rules are applied to no opinion at all.
pub(super) fn ask(draft: &mut Draft, task: TaskId, trigger: Trigger) {
    let asked = asked_this_round(draft, task);
    match choose(draft, Some(task), trigger, &asked) {
        Some(review) => draft.emit(Event::ReviewRequested {
            review: Box::new(review),
        }),
        None if trigger == Trigger::Milestone => conclude(draft, task),
        None => {}
    }
}

fn choose(draft: &Draft, task: Option<TaskId>, trigger: Trigger, asked: &[AgentName]) -> Option<Review> {
    let known = task.and_then(|id| draft.run.tasks.get(&id));
    let author = known.and_then(|t| t.agent.clone()).or_else(|| first_author(draft))?;
    let reviewer = pick(&draft.run.agents, &author, asked)?;
    let vendor = draft.run.agents.iter().find(|a| a.name == author).map(|a| &a.vendor);
    Some(Review {
        id: draft.review_id(),
        task,
        trigger,
        round: known.map_or(0, |t| t.rework),
        reviewer: reviewer.name.clone(),
        independent: vendor != Some(&reviewer.vendor),
        asked_at: draft.now,
        opinion: None,
    })
}

fn first_author(draft: &Draft) -> Option<AgentName> {
    draft
        .run
        .ordered()
        .into_iter()
        .find(|t| t.plan.kind.edits())
        .and_then(|t| t.agent.clone())
}

/// The milestone reviews of a task's present round.
fn this_round(draft: &Draft, task: TaskId) -> Vec<&Review> {
    let Some(known) = draft.run.tasks.get(&task) else {
        return Vec::new();
    };
    let since = known.dispatched_at.unwrap_or_default();
    draft
        .run
        .reviews
        .iter()
        .filter(|r| r.task == Some(task) && r.trigger == Trigger::Milestone)
        .filter(|r| r.round == known.rework && r.asked_at >= since)
        .collect()
}

fn asked_this_round(draft: &Draft, task: TaskId) -> Vec<AgentName> {
    this_round(draft, task)
        .into_iter()
        .map(|r| r.reviewer.clone())
        .collect()
}

pub(super) fn reviewed(draft: &mut Draft, id: ReviewId, opinion: &Opinion) -> Result<(), Refused> {
    let review = draft
        .run
        .review(id)
        .filter(|r| r.opinion.is_none())
        .ok_or(Refused::NoReview(id))?;
    let (task, trigger) = (review.task, review.trigger);
    draft.emit(Event::ReviewReceived {
        review: id,
        opinion: opinion.clone(),
    });
    if draft.run.state == RunState::Aborting {
        return Ok(());
    }
    match (task, trigger) {
        (Some(task), Trigger::Milestone) => conclude(draft, task),
        // Advice: it stands in the log and goes into the next attempt's guidance, but moves nothing by itself.
        (Some(_) | None, Trigger::Blocker | Trigger::Request | Trigger::Elapsed) | (None, Trigger::Milestone) => {}
    }
    Ok(())
}

/// Applies the four rules to the opinions of a task's round.
fn conclude(draft: &mut Draft, id: TaskId) {
    let Some(task) = draft.run.tasks.get(&id) else { return };
    if !matches!(task.state, TaskState::Reviewing | TaskState::Running) {
        return;
    }
    let rounds = draft.run.workflow().limits.rework_rounds;
    let round = task.rework;
    let reviews = this_round(draft, id);
    if reviews.iter().any(|r| r.opinion.is_none()) {
        return;
    }
    let opinions: Vec<&Opinion> = reviews.iter().filter_map(|r| r.opinion.as_ref()).collect();
    let asked: Vec<AgentName> = reviews.iter().map(|r| r.reviewer.clone()).collect();
    let author = task.agent.clone().unwrap_or_else(|| AgentName::from(""));
    let others = draft
        .run
        .agents
        .iter()
        .any(|a| a.can(crate::agent::Role::Reviewer) && a.name != author && !asked.contains(&a.name));
    let ruled = rule(&opinions, round, rounds, asked.len() < MOST_REVIEWERS && others);
    let guidance = guidance(&opinions);
    let because = ruled.because.clone();
    let ruling = ruled.ruling;
    draft.emit(Event::ReviewRuled { task: Some(id), ruled });
    match ruling {
        Ruling::Continue => draft.emit(Event::TaskApproved { task: id, because }),
        Ruling::Rework => rework(draft, id, Stuck::Review, guidance, &because),
        Ruling::FurtherReviewer => ask(draft, id, Trigger::Milestone),
        Ruling::Escalate => hold(draft, id, Stuck::Review, &because),
    }
}

/// What reviewers want changed, as the author is told it.
fn guidance(opinions: &[&Opinion]) -> Vec<String> {
    opinions
        .iter()
        .flat_map(|o| {
            let findings = o.findings.iter().map(|f| format!("Review finding: {f}"));
            std::iter::once(format!("A reviewer asks for changes: {}", o.text)).chain(findings)
        })
        .collect()
}

/// A person asks: every change under way or done is judged as a whole.
pub(super) fn request(draft: &mut Draft, _by: &str) -> Result<(), Refused> {
    if draft.run.ground.is_none() {
        return Err(draft.refuse_state("review", "prepared"));
    }
    let review = choose(draft, None, Trigger::Request, &[]).ok_or(Refused::NoReviewer)?;
    draft.emit(Event::ReviewRequested {
        review: Box::new(review),
    });
    Ok(())
}

/// Tasks that have run long without a review get one.
pub(super) fn elapsed(draft: &mut Draft) {
    if !draft.is_active() {
        return;
    }
    for id in draft.tasks_in(TaskState::Running) {
        let due = draft.run.is_edit(id) && draft.run.review_due(id) <= draft.now;
        let since = draft
            .run
            .tasks
            .get(&id)
            .and_then(|t| t.dispatched_at)
            .unwrap_or_default();
        let had = draft
            .run
            .reviews
            .iter()
            .any(|r| r.task == Some(id) && r.asked_at >= since);
        if due && !had && draft.run.workflow().has(crate::workflow::Stage::Review) {
            ask(draft, id, Trigger::Elapsed);
        }
    }
}
