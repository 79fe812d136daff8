//! Plans without runs: what a request would become. Nothing is stored, no branch is made.

use crate::app::{App, AppError, now};
use maestria_engine::EngineError;
use maestria_kernel::{
    Command, Event, Run, RunId, TaskId, decide,
    decision::Choice,
    id::CommitId,
    permission::Question,
    port::{Boxed, Observer, PlanJob},
    request::{Ground, Request, check_task},
};
use std::sync::Arc;

impl App {
    /// The run that a request would be, up to its plan.
    ///
    /// # Errors
    /// [`AppError::Plan`] when none can be made; [`AppError::Engine`] when the task or the plan is not taken.
    pub async fn plan(&self, request: Request) -> Result<Run, AppError> {
        check_task(&request.text).map_err(EngineError::from)?;
        let ports = self.engine.ports();
        let agents = ports.agents.probe(&request.agents).await;
        let ground = Ground {
            repository: request.target.clone(),
            base: CommitId::from(""),
            branch: None,
            integration: String::new(),
            notes: Vec::new(),
        };
        let run = self.new_run();
        let job = PlanJob {
            run,
            request: Arc::new(request.clone()),
            ground: Arc::new(ground.clone()),
            agents: agents.clone(),
        };
        let plan = ports.planner.plan(job, &Nobody).await.map_err(AppError::Plan)?;
        let commands = [
            Command::Submit {
                request: Box::new(request),
            },
            Command::Prepared {
                ground: Box::new(ground),
                agents,
            },
            Command::Propose { plan: Box::new(plan) },
        ];
        Ok(play(run, &commands)?)
    }
}

/// Decides commands on paper.
fn play(id: RunId, commands: &[Command]) -> Result<Run, EngineError> {
    let mut run = Run::blank(id);
    for command in commands {
        let now = now();
        let events = decide(&run, command, now)?;
        events.iter().for_each(|event| run.apply(event, now));
    }
    Ok(run)
}

/// A plan without a run has no log.
struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _event: Event) {}

    fn ask(&self, _task: TaskId, _question: Question, _because: String) -> Boxed<'_, Choice> {
        Box::pin(async { Choice::Refuse })
    }
}
