//! The roster: all agents behind the kernel's one [`Agents`] port, whatever their transport.
//!
//! Each configured agent is a [`Worker`]: a coding CLI (`cli`) or an agent on a model (`native`). The roster only finds
//! the one that is meant; it knows no protocol and no model.

use crate::policy::keep;
use futures_util::future::join_all;
use maestria_kernel::{
    agent::Agent,
    id::{AgentName, TaskId},
    outcome::{Outcome, Verdict},
    permission::Lasting,
    port::{Agents, Boxed, Control, Observer, ReviewJob, TaskJob},
    review::Opinion,
};
use std::{fmt, sync::Arc};

#[cfg(test)]
mod tests;

/// One agent: something that can be asked whether it is there, and given work.
pub trait Worker: Send + Sync {
    /// The configured name; unique in a roster.
    fn name(&self) -> &AgentName;

    /// Finds out whether it can be used now: program, version, flags, login or key. Never fails; what is wrong, with a
    /// hint, becomes [`Agent::unusable`].
    fn probe(&self) -> Boxed<'_, Agent>;

    /// Executes a task to its end, repairs known problems on the way, and judges how it ended.
    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome>;

    /// Judges a change without changing anything.
    fn review<'a>(&'a self, job: ReviewJob, observer: &'a dyn Observer) -> Boxed<'a, Opinion>;

    /// Freezes, thaws or stops what runs for a task. Returns when it is so; does nothing when nothing runs.
    fn control(&self, task: TaskId, control: Control) -> Boxed<'_, ()>;
}

/// The kernel's [`Agents`] port over any number of [`Worker`]s, in order of preference.
pub struct Roster {
    workers: Vec<Arc<dyn Worker>>,
    hidden: Vec<AgentName>,
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.workers.iter().map(|w| w.name())).finish()
    }
}

impl Roster {
    /// A roster of these workers, in order of preference. Of two with one name, the first is kept.
    pub fn new(workers: Vec<Arc<dyn Worker>>) -> Self {
        let mut kept: Vec<Arc<dyn Worker>> = Vec::with_capacity(workers.len());
        for worker in workers {
            if kept.iter().all(|k| k.name() != worker.name()) {
                kept.push(worker);
            }
        }
        Self {
            workers: kept,
            hidden: Vec::new(),
        }
    }

    /// The same roster, with agents that take part only in runs that name them.
    #[must_use]
    pub fn hiding(mut self, names: Vec<AgentName>) -> Self {
        self.hidden = names;
        self
    }

    /// The configured names, in order of preference.
    pub fn names(&self) -> Vec<AgentName> {
        self.workers.iter().map(|w| w.name().clone()).collect()
    }

    fn find(&self, name: &AgentName) -> Option<&Arc<dyn Worker>> {
        self.workers.iter().find(|w| w.name() == name)
    }

    fn missing(&self, name: &AgentName) -> String {
        let known: Vec<_> = self.workers.iter().map(|w| w.name().as_str()).collect();
        format!("no agent `{name}` is configured; configured are: {}", known.join(", "))
    }

    /// The workers asked for, in the asked order; all that are not hidden when none is named.
    fn chosen(&self, only: &[AgentName]) -> Vec<&Arc<dyn Worker>> {
        if only.is_empty() {
            return self
                .workers
                .iter()
                .filter(|w| !self.hidden.contains(w.name()))
                .collect();
        }
        only.iter().filter_map(|name| self.find(name)).collect()
    }
}

impl Agents for Roster {
    fn keep<'a>(&'a self, rule: &'a Lasting) -> Boxed<'a, Result<(), String>> {
        let rule = rule.clone();
        Box::pin(async move {
            let kept = tokio::task::spawn_blocking(move || keep(&rule)).await;
            kept.map_err(|error| error.to_string())?
        })
    }

    fn probe<'a>(&'a self, only: &'a [AgentName]) -> Boxed<'a, Vec<Agent>> {
        Box::pin(async move { join_all(self.chosen(only).into_iter().map(|w| w.probe())).await })
    }

    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome> {
        match self.find(&job.agent) {
            Some(worker) => worker.perform(job, observer),
            None => {
                let outcome = Outcome::bare(Verdict::NotStarted, self.missing(&job.agent));
                Box::pin(async move { outcome })
            }
        }
    }

    fn review<'a>(&'a self, job: ReviewJob, observer: &'a dyn Observer) -> Boxed<'a, Opinion> {
        match self.find(&job.reviewer) {
            Some(worker) => worker.review(job, observer),
            None => {
                let opinion = Opinion {
                    verdict: None,
                    text: self.missing(&job.reviewer),
                    findings: Vec::new(),
                };
                Box::pin(async move { opinion })
            }
        }
    }

    fn control(&self, task: TaskId, control: Control) -> Boxed<'_, ()> {
        Box::pin(async move {
            join_all(self.workers.iter().map(|w| w.control(task, control))).await;
        })
    }
}
