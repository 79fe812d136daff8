//! Asking for reviews and heeding them.

use super::{
    Draft, Refused,
    attempt::{hold, rework},
};
use crate::{
    decision::Stuck,
    event::Event,
    id::{AgentName, ReviewId, TaskId},
    outcome::Verdict,
    review::{MOST_REVIEWERS, Opinion, Review, ReviewVerdict, Ruling, Trigger, pick, rule},
    state::{RunState, TaskState},
    workflow::Stage,
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

/// Asks a colleague why a task is stuck, before a person is. Whether one was asked: not when the trouble is not in the
/// work, when no rounds are left for what the colleague may suggest, or when there is no other agent.
pub(super) fn ask_about_blocker(draft: &mut Draft, id: TaskId, verdict: Verdict) -> bool {
    let workflow = draft.run.workflow();
    let (rounds, has_reviews) = (workflow.limits.rework_rounds, workflow.has(Stage::Review));
    drop(workflow);
    let Some(task) = draft.run.tasks.get(&id) else {
        return false;
    };
    let of_the_work = matches!(
        verdict,
        Verdict::NoChange | Verdict::Denied | Verdict::LimitReached | Verdict::TimedOut | Verdict::Failed
    );
    if !of_the_work || !has_reviews || !task.plan.kind.edits() || task.rework >= rounds {
        return false;
    }
    let author: Vec<AgentName> = task.agent.iter().cloned().collect();
    let Some(review) = choose(draft, Some(id), Trigger::Blocker, &author) else {
        return false;
    };
    draft.emit(Event::ReviewRequested {
        review: Box::new(review),
    });
    true
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
        (Some(task), Trigger::Blocker) => unblock(draft, task, opinion),
        // Advice: it stands in the log and goes into the next attempt's guidance, but moves nothing by itself.
        (Some(_), Trigger::Request | Trigger::Elapsed) | (None, _) => {}
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

/// The author tries once more with a colleague's advice; without any, a person decides.
fn unblock(draft: &mut Draft, id: TaskId, opinion: &Opinion) {
    let Some(task) = draft.run.tasks.get(&id).filter(|t| t.state == TaskState::Reviewing) else {
        return;
    };
    let trouble = task.outcome.as_ref().map_or_else(
        || "all attempts failed".to_owned(),
        |outcome| format!("{}: {}", outcome.verdict, outcome.reason),
    );
    if opinion.verdict == Some(ReviewVerdict::RequestChanges) {
        let because = format!("{trouble}; a colleague has advice");
        rework(draft, id, Stuck::Attempts, advice(opinion), &because);
    } else {
        let because = match opinion.text.trim() {
            "" => trouble,
            text => format!("{trouble}. A colleague says: {text}"),
        };
        hold(draft, id, Stuck::Attempts, &because);
    }
}

fn advice(opinion: &Opinion) -> Vec<String> {
    let findings = opinion.findings.iter().map(|f| format!("A colleague's finding: {f}"));
    let text = format!("A colleague who looked at your work says: {}", opinion.text);
    std::iter::once(text).chain(findings).collect()
}

/// What was found while the present attempt was under way, for the next one.
pub(super) fn untold(draft: &Draft, id: TaskId) -> Vec<String> {
    let Some(task) = draft.run.tasks.get(&id) else {
        return Vec::new();
    };
    let since = task.dispatched_at.unwrap_or_default();
    let reviews = draft.run.reviews.iter();
    let of_attempt = reviews.filter(|r| r.task == Some(id) && r.trigger == Trigger::Elapsed && r.asked_at >= since);
    let opinions = of_attempt.filter_map(|r| r.opinion.as_ref());
    opinions
        .filter(|o| o.verdict != Some(ReviewVerdict::Approve) && !(o.text.is_empty() && o.findings.is_empty()))
        .flat_map(advice)
        .collect()
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
        if due && !had && draft.run.workflow().has(Stage::Review) {
            ask(draft, id, Trigger::Elapsed);
        }
    }
}
