//! Who hears of a worker, and who can be asked.

use maestria_kernel::{
    Event, TaskId,
    decision::Choice,
    id::AgentName,
    permission::Question,
    port::{Boxed, Observer},
};

/// An observer, and what it is to hear.
#[derive(Clone)]
pub struct Audience<'a> {
    /// Hears and decides; `None` while nothing is to be told (a probe).
    pub observer: Option<&'a dyn Observer>,
    /// Who works.
    pub agent: AgentName,
    /// The task to ask about.
    pub task: Option<TaskId>,
    /// It is a review: only what it costs is told, under the task it belongs to, and nobody is asked.
    pub review: bool,
}

impl std::fmt::Debug for Audience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audience")
            .field("agent", &self.agent)
            .field("review", &self.review)
            .finish_non_exhaustive()
    }
}

impl<'a> Audience<'a> {
    /// Tells an event.
    pub fn tell(&self, event: Event) {
        let Some(observer) = self.observer else { return };
        match event {
            Event::ModelCalled {
                model,
                usage,
                millis,
                scripted,
                request,
                ..
            } if self.review => {
                let task = self.task;
                observer.observe(Event::ModelCalled {
                    task,
                    model,
                    usage,
                    millis,
                    scripted,
                    request,
                });
            }
            Event::BudgetRefused { because, of_run, .. } if self.review => {
                let task = self.task;
                observer.observe(Event::BudgetRefused { task, because, of_run });
            }
            _ if self.review => {}
            event => observer.observe(event),
        }
    }

    /// Asks a person; `None` when nobody can be asked.
    pub fn ask(&self, question: &Question, because: &str) -> Option<Boxed<'a, Choice>> {
        match (self.observer, self.task) {
            (Some(observer), Some(task)) if !self.review => {
                Some(observer.ask(task, question.clone(), because.to_owned()))
            }
            _ => None,
        }
    }
}
