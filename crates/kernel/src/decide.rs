//! Decisions of the run: a command against the run as it is, answered with the events that follow.
//!
//! A handler emits what the command itself means; [`settle`](crate::settle) then adds what follows by itself.

mod attempt;
mod control;
mod decisions;
mod gather;
mod messages;
mod reviews;
mod violations;

pub(crate) use messages::heed;

use crate::{
    agent::Tier,
    command::Command,
    event::Event,
    id::{AgentName, DecisionId, ReviewId, TaskId, TaskKey, mint},
    message::BadMessage,
    run::{Run, Task},
    settle::settle,
    state::{RunState, RunStep, TaskState},
    time::At,
};

/// A command that does not fit the run as it is. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The run exists already.
    #[error("the run exists already")]
    Exists,
    /// The run has not been submitted.
    #[error("there is no such run")]
    Unknown,
    /// The state does not allow it.
    #[error("the run is {state}; {what} is possible only when it is {when}")]
    State {
        /// The run's state.
        state: &'static str,
        /// What was asked.
        what: &'static str,
        /// When it would be possible.
        when: &'static str,
    },
    /// No such task.
    #[error("the run has no task {0}")]
    NoTask(TaskId),
    /// A report about an attempt that is not the newest, or that has been reported already.
    #[error("attempt {attempt} of {task} is not under way")]
    Stale {
        /// The task.
        task: TaskId,
        /// The attempt reported.
        attempt: u16,
    },
    /// No such review, or it has been answered.
    #[error("review {0} is not awaited")]
    NoReview(ReviewId),
    /// No such decision.
    #[error("the run has no decision {0}")]
    NoDecision(DecisionId),
    /// It has been answered.
    #[error("decision {decision} was answered already: {choice} by {by}")]
    Answered {
        /// Which.
        decision: DecisionId,
        /// The answer.
        choice: &'static str,
        /// Who gave it.
        by: String,
    },
    /// That is no way to answer it.
    #[error("`{given}` is no answer to decision {decision}; it takes {}", .takes.join(", "))]
    NoChoice {
        /// Which.
        decision: DecisionId,
        /// What was given.
        given: &'static str,
        /// What it takes.
        takes: Vec<&'static str>,
    },
    /// Leave that was not given, was used before, or has expired.
    #[error("decision {0} gives no leave any more")]
    NoLeave(DecisionId),
    /// A message that is not taken.
    #[error(transparent)]
    Message(#[from] BadMessage),
    /// Nobody works on the task any more.
    #[error("{task} is {state}, so no agent hears of it; when the run has ended, rerun {task} with the message")]
    Deaf {
        /// The task.
        task: TaskKey,
        /// Its state.
        state: &'static str,
    },
    /// Nobody can review.
    #[error("no agent can review this run")]
    NoReviewer,
    /// The plan cannot be executed.
    #[error("{0}")]
    Plan(#[from] crate::plan::graph::PlanError),
    /// An event that is no observation was reported as one.
    #[error("`{0}` is not an observation")]
    NotObservation(&'static str),
    /// The work is not there to be applied or discarded.
    #[error("{0}")]
    Work(&'static str),
}

/// Answers a command. Pure: the same run, command and moment give the same events.
///
/// # Errors
/// [`Refused`] when the command does not fit the run as it is.
pub fn decide(run: &Run, command: &Command, now: At) -> Result<Vec<Event>, Refused> {
    if let Command::Observe { event } = command {
        return match &**event {
            Event::ViolationRecorded { task, violation, .. } => violations::record(run, *task, violation, now),
            event => gather::observe(run, event, now),
        };
    }
    let mut draft = Draft::new(run, now);
    handle(&mut draft, command)?;
    settle(&mut draft);
    Ok(draft.events)
}

fn handle(draft: &mut Draft, command: &Command) -> Result<(), Refused> {
    if let Command::Submit { request } = command {
        return control::submit(draft, request);
    }
    if draft.run.request.is_none() {
        return Err(Refused::Unknown);
    }
    match command {
        Command::Submit { .. } | Command::Observe { .. } => Err(Refused::Exists),
        Command::Pause { by } => control::pause(draft, by),
        Command::Resume { by } => control::resume(draft, by),
        Command::Abort { by, because } => control::abort(draft, by, because),
        Command::Retry { by } => control::retry(draft, by),
        Command::Rerun { from, message, by } => control::rerun(draft, *from, message.as_deref(), by),
        Command::Tell { task, message } => messages::tell(draft, *task, message),
        Command::RequestReview { by } => reviews::request(draft, by),
        Command::Answer {
            decision,
            choice,
            approve,
            by,
            because,
        } => decisions::answer(draft, *decision, *choice, *approve, by, because),
        Command::Apply { by } => control::apply(draft, by),
        Command::Discard { by } => control::discard(draft, by),
        Command::Prepared { ground, agents } => gather::prepared(draft, ground, agents),
        Command::Unprepared { reason } => gather::unprepared(draft, reason),
        Command::Propose { plan } => gather::propose(draft, plan),
        Command::Unplanned { reason } => gather::unplanned(draft, reason),
        Command::Finish { task, attempt, outcome } => attempt::finish(draft, *task, *attempt, outcome),
        Command::Reviewed { review, opinion } => reviews::reviewed(draft, *review, opinion),
        Command::Merged { task, commit, checks } => attempt::merged(draft, *task, commit.as_ref(), checks),
        Command::Bounced {
            task,
            conflicts,
            checks,
        } => attempt::bounced(draft, *task, conflicts, checks),
        Command::Unmerged { task, reason } => attempt::unmerged(draft, *task, reason),
        Command::Validated { checks } => gather::validated(draft, checks),
        Command::Rewound => gather::rewound(draft),
        Command::Applied { commit, how } => gather::applied(draft, commit, how),
        Command::Unapplied { reason } => {
            draft.emit(Event::RunNotApplied {
                because: reason.clone(),
            });
            Ok(())
        }
        Command::Discarded => {
            draft.emit(Event::RunDiscarded);
            Ok(())
        }
        Command::Ask {
            task,
            question,
            because,
        } => decisions::ask(draft, *task, question, because),
        Command::Use { decision } => decisions::make_use(draft, *decision),
        Command::Kept { decision, failed } => decisions::kept(draft, *decision, failed.as_deref()),
        Command::Wake => {
            decisions::expire(draft);
            reviews::elapsed(draft);
            Ok(())
        }
    }
}

/// A run with the events decided so far applied to it.
pub(crate) struct Draft {
    pub(crate) run: Run,
    pub(crate) now: At,
    pub(crate) events: Vec<Event>,
}

impl Draft {
    fn new(run: &Run, now: At) -> Self {
        Self {
            run: run.clone(),
            now,
            events: Vec::new(),
        }
    }

    /// Records an event and takes account of it.
    pub(crate) fn emit(&mut self, event: Event) {
        self.run.apply(&event, self.now);
        self.events.push(event);
    }

    /// The nonce of whatever is minted for the next event.
    pub(crate) fn nonce(&self) -> u64 {
        self.run.seq.0 + 1
    }

    pub(crate) fn review_id(&self) -> ReviewId {
        ReviewId::new(mint(self.run.id, self.now, self.nonce()))
    }

    pub(crate) fn decision_id(&self) -> DecisionId {
        DecisionId::new(mint(self.run.id, self.now, self.nonce()))
    }

    pub(crate) fn task_id(&self) -> TaskId {
        TaskId::new(mint(self.run.id, self.now, self.nonce()))
    }

    /// Moves the run, if the step fits its state.
    pub(crate) fn transition(&mut self, step: RunStep, because: impl Into<String>) -> bool {
        let from = self.run.state;
        match from.next(step) {
            Ok(to) => {
                self.emit(Event::RunTransitioned {
                    from,
                    to,
                    because: because.into(),
                });
                true
            }
            Err(crate::state::Unfit) => false,
        }
    }

    pub(crate) fn task(&self, id: TaskId) -> Result<&Task, Refused> {
        self.run.tasks.get(&id).ok_or(Refused::NoTask(id))
    }

    pub(crate) fn tasks_in(&self, state: TaskState) -> Vec<TaskId> {
        self.run
            .ordered()
            .into_iter()
            .filter(|t| t.state == state)
            .map(|t| t.plan.id)
            .collect()
    }

    /// Takes an agent out of the run and says what tier is left.
    pub(crate) fn bench(&mut self, agent: &AgentName, because: &str) {
        let usable = |run: &Run| run.agents.iter().any(|a| &a.name == agent && a.unusable.is_none());
        if usable(&self.run) {
            self.emit(Event::AgentBenched {
                agent: agent.clone(),
                because: because.to_owned(),
            });
            self.choose_tier();
        }
    }

    /// Says which tier the run has, if that is news.
    pub(crate) fn choose_tier(&mut self) {
        let tier = Tier::of(&self.run.agents);
        if self.run.tier != Some(tier) {
            let because = Tier::because(&self.run.agents);
            self.emit(Event::TierChosen { tier, because });
        }
    }

    pub(crate) fn refuse_state(&self, what: &'static str, when: &'static str) -> Refused {
        Refused::State {
            state: self.run.state.as_str(),
            what,
            when,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        matches!(self.run.state, RunState::Active(_))
    }
}

/// Judges a run whose checks are in, for [`settle`].
pub(crate) fn gather_conclude(draft: &mut Draft) {
    gather::conclude(draft);
}

/// Holds a task that nobody can take, for [`settle`].
pub(crate) fn hold_without_agent(draft: &mut Draft, task: TaskId) {
    attempt::hold(
        draft,
        task,
        crate::decision::Stuck::Attempts,
        "no usable agent can take this task",
    );
}

/// Closes all open questions, for [`settle`].
pub(crate) fn withdraw_open(draft: &mut Draft, because: &str) {
    control::withdraw_all(draft, because);
}
