//! Planning: one model call yields the whole plan (ReWOO); when no model answers, rules over the text do.

mod rules;

use maestria_kernel::{
    Cost, Event, TaskId, Tokens,
    agent::Role,
    id::{AgentName, TaskKey},
    model::{Caller, Message, ModelRef, ModelRequest},
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind, graph},
    port::{Boxed, Models, Observer, PlanJob, Planner},
};
use serde::Deserialize;
use std::{fmt, path::Path, sync::Arc, time::Instant};

/// Files of the repository that the planner is shown.
const FILES: usize = 300;

/// What a model is expected to cost: the price of so many tokens of it.
pub type Pricing = fn(&ModelRef, Tokens) -> Cost;

/// Plans by a model, or by rules.
pub struct Planning {
    models: Arc<dyn Models>,
    candidates: Vec<(AgentName, ModelRef)>,
    pricing: Pricing,
}

impl fmt::Debug for Planning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planning")
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

impl Planning {
    /// A planner on the model of the first of these agents that a run has; when it has none of them, by rules.
    pub fn new(models: Arc<dyn Models>, candidates: Vec<(AgentName, ModelRef)>, pricing: Pricing) -> Self {
        Self {
            models,
            candidates,
            pricing,
        }
    }

    async fn make(&self, job: &PlanJob, observer: &dyn Observer) -> Plan {
        let repository = job.ground.repository.clone();
        let files = tokio::task::spawn_blocking(move || list(Path::new(&repository)))
            .await
            .unwrap_or_default();
        if job.request.workflow.reviews_existing {
            return rules::review(job);
        }
        let has = |name: &AgentName| job.agents.iter().any(|a| &a.name == name && a.can(Role::Planner));
        let Some((name, model)) = self.candidates.iter().find(|(name, _)| has(name)) else {
            return rules::plan(job, &files, "no agent of this run plans on a model");
        };
        match self.ask(name, model, job, &files, observer).await {
            Ok(plan) => plan,
            Err(because) => rules::plan(job, &files, &because),
        }
    }

    /// One call, and one more with the mistake named.
    async fn ask(
        &self,
        name: &AgentName,
        model: &ModelRef,
        job: &PlanJob,
        files: &[String],
        observer: &dyn Observer,
    ) -> Result<Plan, String> {
        let mut messages = vec![Message::user(prompt(job, files))];
        let mut mistake = String::new();
        for _ in 0..2 {
            let request = ModelRequest {
                caller: Caller {
                    run: Some(job.run),
                    task: None,
                    agent: Some(name.clone()),
                    project: job.request.project(),
                    budget: job.request.budget,
                },
                model: model.clone(),
                system: include_str!("../../../prompts/planner.md").to_owned(),
                messages: messages.clone(),
                tools: Vec::new(),
                schema: serde_json::from_str(include_str!("../../../schemas/plan.json")).ok(),
                max_tokens: 8_192,
                temperature_percent: None,
            };
            let begun = Instant::now();
            let reply = self.models.call(request, &|_| {}).await.map_err(|e| e.to_string())?;
            observer.observe(Event::ModelCalled {
                task: None,
                model: model.to_string(),
                usage: reply.usage,
                millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                scripted: reply.scripted,
                request: reply.request.clone(),
            });
            let source = PlanSource::Model {
                model: model.to_string(),
                scripted: reply.scripted,
            };
            let answer = reply.text();
            match self.read(&answer, source, model) {
                Ok(plan) => return Ok(plan),
                Err(error) => mistake = error,
            }
            messages = vec![Message::user(format!(
                "{}\n\nYour former plan cannot be used: {mistake}. It was:\n{answer}\n\nGive a mended plan.",
                prompt(job, files)
            ))];
        }
        Err(format!("the model's plan could not be used: {mistake}"))
    }

    fn read(&self, answer: &str, source: PlanSource, model: &ModelRef) -> Result<Plan, String> {
        let (start, end) = answer
            .find('{')
            .zip(answer.rfind('}'))
            .ok_or("there is no JSON in it")?;
        let text = answer.get(start..=end).ok_or("there is no JSON in it")?;
        let drawn: Drawn = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let scripted = matches!(source, PlanSource::Model { scripted: true, .. });
        let tasks: Vec<PlannedTask> = drawn
            .steps
            .into_iter()
            .map(|step| self.task(step, model, scripted))
            .collect();
        graph::check(&tasks).map_err(|e| e.to_string())?;
        Ok(Plan {
            summary: drawn.summary,
            source,
            tasks,
        })
    }

    fn task(&self, step: Step, model: &ModelRef, scripted: bool) -> PlannedTask {
        let tokens = Tokens(if step.tokens == 0 { 20_000 } else { step.tokens });
        let cost = if scripted {
            Cost::ZERO
        } else {
            (self.pricing)(model, tokens)
        };
        let seconds = if step.seconds == 0 { 120 } else { step.seconds };
        PlannedTask {
            id: TaskId::new(uuid::Uuid::now_v7()),
            key: TaskKey::new(step.key),
            title: step.title,
            instructions: step.instructions,
            kind: step.kind,
            needs: step.needs.into_iter().map(TaskKey::new).collect(),
            files: step.files,
            agent: None,
            estimate: Estimate { tokens, cost, seconds },
        }
    }
}

// What a model adds beyond the schema does no harm.
#[derive(Deserialize)]
struct Drawn {
    summary: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    key: String,
    title: String,
    instructions: String,
    kind: TaskKind,
    needs: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    tokens: u64,
    #[serde(default)]
    seconds: u32,
}

fn prompt(job: &PlanJob, files: &[String]) -> String {
    let able = |role: Role| job.agents.iter().filter(|a| a.can(role)).count();
    let readme = std::fs::read_to_string(Path::new(&job.ground.repository).join("README.md")).unwrap_or_default();
    let readme: String = readme.chars().take(3_000).collect();
    let shown = files.len().min(FILES);
    format!(
        "The request:\n{}\n\nThere are {} editors and {} analysts; {} tasks can run at the same time.\n\n\
         Files of the project ({shown} of {}):\n{}\n\nIts README begins:\n{readme}",
        job.request.text,
        able(Role::Editor),
        able(Role::Analyst),
        job.request.workflow.limits.parallel,
        files.len(),
        files[..shown].join("\n"),
    )
}

/// The project's files, without those that git ignores.
fn list(repository: &Path) -> Vec<String> {
    let walk = ignore::WalkBuilder::new(repository)
        .hidden(false)
        .filter_entry(|e| e.file_name() != ".git")
        .build();
    let mut files: Vec<String> = walk
        .filter_map(Result::ok)
        .filter(|e| e.file_type().is_some_and(|t| t.is_file()))
        .filter_map(|e| e.path().strip_prefix(repository).ok().map(|p| p.display().to_string()))
        .take(50_000)
        .collect();
    files.sort();
    files
}

impl Planner for Planning {
    fn plan<'a>(&'a self, job: PlanJob, observer: &'a dyn Observer) -> Boxed<'a, Result<Plan, String>> {
        Box::pin(async move { Ok(self.make(&job, observer).await) })
    }
}
