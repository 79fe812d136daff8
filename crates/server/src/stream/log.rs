//! What happens, as entries of the log: those of the feed that say how work goes on, each readable alone, with what it is about
//! beside it for programs.

use maestria_kernel::{Event, port::Numbered, state::RunState};
use tracing::{info, warn};

/// Writes an event into the log, if it is worth an entry and somebody wants it.
pub(super) fn write(numbered: &Numbered) {
    let (run, number, kind) = (numbered.run, numbered.number, numbered.stored.event.kind());
    match &numbered.stored.event {
        Event::RunSubmitted { request } => {
            let (by, target) = (&request.by, &request.target);
            info!(%run, number, kind, "{by} has submitted {run} on {target}");
        }
        Event::RunTransitioned { to, because, .. } => match to {
            RunState::Failed => warn!(%run, number, kind, state = to.as_str(), "{run} has failed: {because}"),
            to => info!(%run, number, kind, state = to.as_str(), "{run} is now {to}: {because}"),
        },
        Event::TaskDispatched {
            task, attempt, agent, ..
        } => {
            info!(%run, %task, number, kind, attempt, %agent, "{agent} begins attempt {attempt} at {task} of {run}");
        }
        Event::TaskFinished { task, attempt, outcome } => {
            let (verdict, reason) = (outcome.verdict, &outcome.reason);
            if verdict.is_success() {
                info!(%run, %task, number, kind, attempt, %verdict, "attempt {attempt} at {task} of {run} is completed");
            } else {
                warn!(%run, %task, number, kind, attempt, %verdict, "attempt {attempt} at {task} of {run} ended as {verdict}: {reason}");
            }
        }
        Event::ReviewReceived { review, opinion } => {
            let verdict = opinion
                .verdict
                .map_or_else(|| "no verdict".to_owned(), |verdict| verdict.to_string());
            info!(%run, %review, number, kind, verdict, "{review} of {run} came back: {verdict}");
        }
        Event::DecisionRequested { decision } => {
            let (id, question) = (decision.id, &decision.question);
            warn!(%run, decision = %id, number, kind, "{id} of {run} waits for a person: {question}");
        }
        Event::DecisionMade { decision, answer } => {
            let (by, choice) = (&answer.by, answer.choice.as_str());
            info!(%run, %decision, number, kind, choice, "{by} has decided {decision} of {run}: {choice}");
        }
        Event::BudgetRefused { because, .. } => warn!(%run, number, kind, "a call of {run} was refused: {because}"),
        Event::BudgetAlerted {
            account,
            percent,
            limit,
            ..
        } => warn!(%run, number, kind, account, "{percent} % of the budget of {account} ({limit}) are spent"),
        Event::TaskRecovered {
            task, problem, repair, ..
        } => {
            info!(%run, %task, number, kind, problem, "{task} of {run} was repaired: {repair}");
        }
        Event::ViolationRecorded { task, violation, .. } => {
            let rule = &violation.rule;
            warn!(%run, %task, number, kind, rule, "a worker of {task} of {run} broke a rule: {violation}");
        }
        _ => {}
    }
}
