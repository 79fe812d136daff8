//! Questions to people: asked, answered, expired, withdrawn.

use super::{
    Draft, Refused,
    attempt::requeue,
    gather::{add_fix, complete},
};
use crate::{
    decision::{About, Answer, Choice, Decision, Stuck, options},
    event::Event,
    id::{DecisionId, TaskId},
    money::Cost,
    permission::{Action, Question},
    state::{RunState, RunStep, TaskState},
};
use std::time::Duration;

/// Puts a question to a person.
pub(super) fn request(draft: &mut Draft, about: About, context: &str) {
    let options = options(&about);
    let (question, recommended, on_expiry) = words(draft, &about);
    // What a second try did not mend is not tried for ever, even by someone who takes every recommendation.
    let recommended = match recommended {
        Choice::Retry if was_retried(draft, &about) => on_expiry,
        other => other,
    };
    let expiry = Duration::from_secs(draft.run.workflow().limits.decision_expires_secs);
    let decision = Decision {
        id: draft.decision_id(),
        about,
        question,
        context: context.to_owned(),
        options,
        recommended,
        expires_at: draft.now.after(expiry),
        on_expiry,
        answer: None,
    };
    draft.emit(Event::DecisionRequested {
        decision: Box::new(decision),
    });
}

/// The question, what is recommended, and what happens when nobody answers: never more than was allowed before.
fn words(draft: &Draft, about: &About) -> (String, Choice, Choice) {
    let key = |id: &TaskId| {
        draft
            .run
            .tasks
            .get(id)
            .map_or_else(String::new, |t| format!("{} “{}”", t.plan.key, t.plan.title))
    };
    match about {
        About::Permission { task, question } => (
            format!("May the worker of {} {}?", key(task), wish(question)),
            Choice::Refuse,
            Choice::Refuse,
        ),
        About::Task {
            task,
            stuck: Stuck::Attempts,
        } => (
            format!("No agent could do {}. What now?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Task {
            task,
            stuck: Stuck::Review,
        } => (
            format!("The reviews of {} end without approval. What now?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Task {
            task,
            stuck: Stuck::Conflict,
        } => (
            format!("{} conflicts with other work. What now?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Task {
            task,
            stuck: Stuck::Checks,
        } => (
            format!("{} breaks the checks on the combined tree. What now?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Task {
            task,
            stuck: Stuck::Consent,
        } => (
            format!("{} changes what a person has to agree to. Take it?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Task {
            task,
            stuck: Stuck::Violations,
        } => (
            format!("The worker of {} was stopped for its violations. What now?", key(task)),
            Choice::Retry,
            Choice::Skip,
        ),
        About::Confidence => (
            "The work is done, but the confidence in it is low. Take it?".to_owned(),
            Choice::Accept,
            Choice::Stop,
        ),
        About::Validation => (
            "The checks fail on the finished work. What now?".to_owned(),
            Choice::Retry,
            Choice::Stop,
        ),
        About::Planning => (
            "No plan could be made. What now?".to_owned(),
            Choice::Retry,
            Choice::Stop,
        ),
        About::Budget => (
            "The run's budget is spent. Give it more?".to_owned(),
            Choice::Raise,
            Choice::Stop,
        ),
    }
}

/// Whether a person has said "try again" to this before.
fn was_retried(draft: &Draft, about: &About) -> bool {
    let same = |other: &About| match (about, other) {
        (About::Task { task, .. }, About::Task { task: other, .. }) => task == other,
        (About::Planning, About::Planning) | (About::Validation, About::Validation) => true,
        _ => false,
    };
    let retried = |d: &Decision| d.answer.as_ref().is_some_and(|a| a.choice == Choice::Retry);
    draft.run.decisions.iter().any(|d| same(&d.about) && retried(d))
}

fn wish(question: &Question) -> String {
    match &question.action {
        Action::Read { paths } => format!("read {}", paths.join(", ")),
        Action::Write { paths } => format!("write {}", paths.join(", ")),
        Action::Run { command } => format!("run `{command}`"),
        Action::Fetch { url } => format!("fetch {url}"),
        Action::Other { tool } => format!("use the tool {tool}"),
    }
}

/// A worker asks. The same question of the same task is asked of a person only once.
pub(super) fn ask(draft: &mut Draft, task: TaskId, question: &Question, because: &str) -> Result<(), Refused> {
    draft.task(task)?;
    let same = |d: &&Decision| match &d.about {
        About::Permission { task: t, question: q } => *t == task && **q == *question,
        About::Task { .. } | About::Confidence | About::Validation | About::Planning | About::Budget => false,
    };
    if draft.run.open_decisions().any(|d| same(&d)) {
        return Ok(());
    }
    request(
        draft,
        About::Permission {
            task,
            question: Box::new(question.clone()),
        },
        because,
    );
    Ok(())
}

pub(super) fn answer(
    draft: &mut Draft,
    id: DecisionId,
    choice: Option<Choice>,
    approve: bool,
    by: &str,
    because: &str,
) -> Result<(), Refused> {
    let decision = draft.run.decision(id).ok_or(Refused::NoDecision(id))?.clone();
    if let Some(given) = &decision.answer {
        return Err(Refused::Answered {
            decision: id,
            choice: given.choice.as_str(),
            by: given.by.clone(),
        });
    }
    let choice = choice.unwrap_or(if approve {
        decision.approval()
    } else {
        decision.denial()
    });
    if !decision.options.iter().any(|o| o.choice == choice) {
        let takes = decision.options.iter().map(|o| o.choice.as_str()).collect();
        return Err(Refused::NoChoice {
            decision: id,
            given: choice.as_str(),
            takes,
        });
    }
    let answer = Answer {
        choice,
        by: by.to_owned(),
        because: because.to_owned(),
        at: draft.now,
    };
    heed(draft, &decision, answer);
    Ok(())
}

/// Answers whatever has waited too long.
pub(super) fn expire(draft: &mut Draft) {
    if matches!(draft.run.state, RunState::Paused(_)) {
        return;
    }
    let now = draft.now;
    let due: Vec<Decision> = draft
        .run
        .open_decisions()
        .filter(|d| d.expires_at <= now)
        .cloned()
        .collect();
    for decision in due {
        let because = "nobody answered in time".to_owned();
        let answer = Answer {
            choice: decision.on_expiry,
            by: "expiry".to_owned(),
            because,
            at: now,
        };
        heed(draft, &decision, answer);
    }
}

/// Questions of an attempt that has ended are pointless.
pub(super) fn withdraw_permissions(draft: &mut Draft, task: TaskId, because: &str) {
    let of_task = |d: &&Decision| matches!(&d.about, About::Permission { task: t, .. } if *t == task);
    let open: Vec<DecisionId> = draft.run.open_decisions().filter(of_task).map(|d| d.id).collect();
    for decision in open {
        draft.emit(Event::DecisionWithdrawn {
            decision,
            because: because.to_owned(),
        });
    }
}

/// Records an answer and does what it means. In a paused run it is recorded, and what follows waits for `resume`.
fn heed(draft: &mut Draft, decision: &Decision, answer: Answer) {
    let choice = answer.choice;
    let because = if answer.because.is_empty() {
        format!("{} chose {}", answer.by, choice.as_str())
    } else {
        format!("{} chose {}: {}", answer.by, choice.as_str(), answer.because)
    };
    let words = answer.because.clone();
    draft.emit(Event::DecisionMade {
        decision: decision.id,
        answer,
    });
    if choice == Choice::Stop {
        draft.transition(RunStep::Abort, because);
        return;
    }
    // Whatever else is answered, nothing goes on before there is money for it.
    if !matches!(decision.about, About::Permission { .. }) && !draft.run.awaits_money() {
        draft.transition(RunStep::Answer, because.clone());
    }
    match &decision.about {
        About::Permission { .. } => {}
        About::Task { task, stuck } => {
            let told = match stuck {
                Stuck::Violations => vec![format!(
                    "Do not do again what a former worker was stopped for. {}",
                    decision.context
                )],
                Stuck::Attempts | Stuck::Review | Stuck::Conflict | Stuck::Checks | Stuck::Consent => Vec::new(),
            };
            heed_task(draft, *task, choice, told, &words, &because);
        }
        About::Confidence | About::Validation => match choice {
            Choice::Retry => {
                let told = if words.is_empty() {
                    decision.context.clone()
                } else {
                    words
                };
                add_fix(draft, &told);
            }
            Choice::Accept => complete(draft, &because),
            Choice::Refuse | Choice::Skip | Choice::Raise | Choice::Stop => {}
        },
        About::Planning => draft.emit(Event::PlanRequested { because }),
        About::Budget => {
            let given = draft.run.request.as_ref().and_then(|r| r.budget).unwrap_or(Cost::ZERO);
            let budget = draft
                .run
                .budget
                .unwrap_or(Cost::ZERO)
                .plus(given)
                .max(draft.run.usage.cost.plus(given));
            draft.emit(Event::BudgetRaised { budget });
        }
    }
}

fn heed_task(draft: &mut Draft, task: TaskId, choice: Choice, told: Vec<String>, words: &str, because: &str) {
    let Some(known) = draft.run.tasks.get(&task).filter(|t| t.state == TaskState::Held) else {
        return;
    };
    match choice {
        Choice::Retry => {
            let mut guidance = told;
            if !words.is_empty() {
                guidance.push(format!("A person says: {words}"));
            }
            let agent = known.plan.agent.clone().or_else(|| known.agent.clone());
            if let Some(agent) = agent {
                requeue(draft, task, agent, false, guidance, because);
            }
        }
        Choice::Accept => draft.emit(Event::TaskApproved {
            task,
            because: because.to_owned(),
        }),
        Choice::Skip => draft.emit(Event::TaskSkipped {
            task,
            because: because.to_owned(),
        }),
        Choice::Refuse | Choice::Raise | Choice::Stop => {}
    }
}
