//! The native worker: an agent on a model, behind the same port as the coding CLIs.

use super::{
    leash::Leash,
    reviewing,
    tools::{Bench, offered},
    turns::{Partner, Stopped},
};
use crate::{
    outcome::report,
    roster::Worker,
    trust::Sight,
    violation,
    worktree::{Evidence, Look},
};
use maestria_kernel::{
    At, Event, TaskId,
    agent::{Agent, Role, Vendor},
    decision::Choice,
    id::AgentName,
    model::{Caller, ModelRef},
    outcome::{Claim, Outcome, Verdict},
    permission::Question,
    plan::TaskKind,
    port::{Boxed, Control, Models, Observer, RepositoryError, ReviewJob, TaskJob},
    review::Opinion,
};
use maestria_sandbox::Demand;
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Mutex;

use crate::policy::Policy;

/// The longest report that is kept, in bytes.
const REPORT: usize = 16 * 1024;

/// An agent on a model.
pub struct NativeWorker {
    name: AgentName,
    model: ModelRef,
    roles: Vec<Role>,
    scripted: bool,
    models: Arc<dyn Models>,
    sandbox: Demand,
    policy: Option<PathBuf>,
    trust: Option<PathBuf>,
    leashes: Mutex<HashMap<TaskId, Arc<Leash>>>,
}

impl fmt::Debug for NativeWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeWorker")
            .field("name", &self.name)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl NativeWorker {
    /// An agent of these roles on a model; `scripted` when the model is a script.
    pub fn new(name: AgentName, model: ModelRef, roles: Vec<Role>, scripted: bool, models: Arc<dyn Models>) -> Self {
        Self {
            name,
            model,
            roles,
            scripted,
            models,
            sandbox: Demand::default(),
            policy: None,
            trust: None,
            leashes: Mutex::new(HashMap::new()),
        }
    }

    /// With the person's policy file, which need not be there.
    #[must_use]
    pub fn ruled_by(mut self, policy: Option<PathBuf>) -> Self {
        self.policy = policy;
        self
    }

    /// With the person's book of what they trust of repositories, which need not be there.
    #[must_use]
    pub fn trusting(mut self, book: Option<PathBuf>) -> Self {
        self.trust = book;
        self
    }

    /// With another demand for walls around its commands than the strictest.
    #[must_use]
    pub fn sandboxed(mut self, sandbox: Demand) -> Self {
        self.sandbox = sandbox;
        self
    }

    fn agent(&self) -> Agent {
        Agent {
            name: self.name.clone(),
            vendor: Vendor::Native(self.model.provider.clone()),
            roles: self.roles.clone(),
            transport: format!("model {}", self.model),
            version: None,
            unusable: None,
            scripted: self.scripted,
        }
    }

    async fn leash(&self, task: TaskId) -> Arc<Leash> {
        let leash = Arc::new(Leash::new());
        self.leashes.lock().await.insert(task, leash.clone());
        leash
    }

    async fn attempt(&self, job: &TaskJob, observer: &dyn Observer) -> Outcome {
        let folder = attempt_folder(job);
        if job.recovering
            && let Some(outcome) = report::read(&folder)
        {
            return outcome;
        }
        // Who hears that it has started may stop it at once.
        let leash = self.leash(job.task.id).await;
        observer.observe(Event::TaskStarted {
            task: job.task.id,
            attempt: job.attempt,
            agent: self.name.clone(),
            pid: None,
            contained: "in process".to_owned(),
            limits: Vec::new(),
        });
        let outcome = self.work(job, &leash, observer).await;
        self.leashes.lock().await.remove(&job.task.id);
        if let Err(error) = report::write(&folder, &outcome) {
            tracing::warn!(%error, "the attempt's report could not be kept");
        }
        outcome
    }

    async fn work(&self, job: &TaskJob, leash: &Leash, observer: &dyn Observer) -> Outcome {
        let policy: Policy = match Policy::in_force(self.policy.as_deref(), Path::new(&job.request.target)) {
            Ok(policy) => policy,
            Err(why) => {
                let why = format!("a policy file cannot be used: {why}; `maestria policy check FILE` tries it");
                return Outcome::bare(Verdict::NotStarted, why);
            }
        };
        let sight = Sight::of(self.trust.as_deref(), Path::new(&job.request.target), &job.worktree).await;
        let sight = match sight {
            Ok(sight) => sight,
            Err(why) => return Outcome::bare(Verdict::NotStarted, why),
        };
        let read_only = !job.task.kind.edits();
        let mut bench = Bench {
            task: job.task.id,
            root: job.worktree.clone(),
            target: PathBuf::from(&job.request.target),
            home: Path::new(&job.request.workspace).join("home"),
            read_only,
            policy: &policy,
            leash,
            observer,
            commands: Vec::new(),
            denials: Vec::new(),
            sandbox: self.sandbox,
            sight,
        };
        let system = match job.task.kind {
            TaskKind::Edit => include_str!("../../../../prompts/editor.md"),
            TaskKind::Investigate | TaskKind::Review => include_str!("../../../../prompts/analyst.md"),
        };
        let partner = Partner {
            models: &*self.models,
            model: &self.model,
            system,
            caller: Caller {
                run: Some(job.run),
                task: Some(job.task.id),
                agent: Some(self.name.clone()),
                project: job.request.project(),
                budget: job.budget,
            },
        };
        let ended = partner.converse(&mut bench, &offered(read_only), prompt(job)).await;
        let (commands, denials) = (bench.commands, bench.denials);
        let outcome = judge(job, ended, &commands, denials).await;
        for file in outcome
            .files
            .iter()
            .filter(|file| policy.protects(Path::new(&file.path)))
        {
            observer.observe(violation::of_change(&file.path).of(job.task.id));
        }
        outcome
    }
}

/// Commits what lies in the worktree; what it is, with the newest commit as its head.
async fn commit(job: &TaskJob, message: &str, trailers: &[(&str, String)]) -> Result<Evidence, RepositoryError> {
    let look = Look::at(&job.worktree, job.base.as_str()).await?;
    let mut seen = look.evidence();
    if let Some(commit) = look.commit(message, trailers).await? {
        seen.head = commit;
    }
    Ok(seen)
}

/// Judges an attempt from the tree and the exit codes; the model's words are only claimed.
async fn judge(
    job: &TaskJob,
    ended: Result<String, Stopped>,
    commands: &[(String, Option<i32>)],
    denials: Vec<String>,
) -> Outcome {
    let title = job.task.title.lines().next().unwrap_or_default();
    let trailers = [
        ("Maestria-Task", job.task.id.to_string()),
        ("Maestria-Attempt", job.attempt.to_string()),
    ];
    let committed = commit(job, &format!("{}: {title}", job.task.key), &trailers).await;
    let (seen, error) = match committed {
        Ok(seen) => (Some(seen), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let changed = seen.as_ref().is_some_and(|s| !s.files.is_empty());
    let mut outcome = match (ended, error) {
        (_, Some(error)) => Outcome::bare(Verdict::Failed, error),
        (Err(stopped), None) => {
            let mut outcome = Outcome::bare(stopped.verdict, stopped.reason);
            outcome.retry_at = stopped.wait_secs.map(|secs| now().after(Duration::from_secs(secs)));
            outcome
        }
        (Ok(said), None) => {
            let (verdict, reason) = if !job.task.kind.edits() || changed {
                (
                    Verdict::Completed,
                    "answered, and the tree shows what it should".to_owned(),
                )
            } else if let Some(denial) = denials.first() {
                (Verdict::Denied, denial.clone())
            } else {
                (
                    Verdict::NoChange,
                    "it says it is done, but no file has changed".to_owned(),
                )
            };
            let mut outcome = Outcome::bare(verdict, reason);
            outcome.report = said[..said.floor_char_boundary(REPORT)].to_owned();
            outcome
        }
    };
    if let Some(seen) = seen {
        if changed {
            let names: Vec<&str> = seen.files.iter().map(|f| f.path.as_str()).collect();
            let text = format!("changed {}", names.join(", "));
            outcome
                .claims
                .push(Claim::proved(text, format!("git diff {}", short(seen.head.as_str()))));
            outcome.commit = Some(seen.head);
        }
        outcome.files = seen.files;
    }
    outcome.claims.extend(command_claims(commands));
    if let Some(line) = outcome.report.lines().find(|l| !l.trim().is_empty()) {
        outcome
            .claims
            .push(Claim::claimed(line.trim().chars().take(200).collect::<String>()));
    }
    outcome.denials = denials;
    outcome
}

/// The last result of each command that was run.
fn command_claims(commands: &[(String, Option<i32>)]) -> Vec<Claim> {
    let mut last: Vec<&(String, Option<i32>)> = Vec::new();
    for run in commands {
        last.retain(|(command, _)| command != &run.0);
        last.push(run);
    }
    let claim = |(command, code): &&(String, Option<i32>)| match code {
        Some(0) => Claim::proved(format!("`{command}` succeeds"), "exit code 0"),
        Some(code) => Claim::proved(format!("`{command}` fails"), format!("exit code {code}")),
        None => Claim::proved(format!("`{command}` did not end by itself"), "it was stopped"),
    };
    last.iter().map(claim).collect()
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn now() -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    At(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn attempt_folder(job: &TaskJob) -> PathBuf {
    Path::new(&job.request.workspace)
        .join("attempts")
        .join(format!("{}-{}", job.task.key, job.attempt))
}

/// What the model is told: the request, the task, the evidence it refers to, and what to heed.
fn prompt(job: &TaskJob) -> String {
    let mut text = format!(
        "The request, as a person made it:\n{}\n\nYour task is {} “{}”:\n{}\n",
        job.request.text, job.task.key, job.task.title, job.task.instructions
    );
    if !job.task.files.is_empty() {
        text.push_str(&format!(
            "\nFiles it is expected to touch: {}\n",
            job.task.files.join(", ")
        ));
    }
    for (key, title, report) in &job.evidence {
        text.push_str(&format!("\nEvidence #{key} ({title}):\n{report}\n"));
    }
    for line in &job.guidance {
        text.push_str(&format!("\nHeed this: {line}\n"));
    }
    if job.recovering || job.attempt > 1 {
        text.push_str("\nThe worktree holds what a former attempt has done; look at it first.\n");
    }
    text
}

impl Worker for NativeWorker {
    fn name(&self) -> &AgentName {
        &self.name
    }

    fn probe(&self) -> Boxed<'_, Agent> {
        Box::pin(async { self.agent() })
    }

    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome> {
        Box::pin(async move { self.attempt(&job, observer).await })
    }

    fn review<'a>(&'a self, job: ReviewJob, observer: &'a dyn Observer) -> Boxed<'a, Opinion> {
        Box::pin(async move {
            let task = job.task.unwrap_or_else(|| TaskId::new(uuid::Uuid::nil()));
            let leash = self.leash(task).await;
            let observer = &OnlyCosts(observer);
            let mut bench = Bench {
                task,
                root: job.checkout.clone(),
                target: job.checkout.clone(),
                home: job.artefacts.join("home"),
                read_only: true,
                policy: Policy::built_in(),
                leash: &leash,
                observer,
                commands: Vec::new(),
                denials: Vec::new(),
                sandbox: self.sandbox,
                // It may start no commands.
                sight: Sight::default(),
            };
            let system = include_str!("../../../../prompts/reviewer.md");
            let partner = Partner {
                models: &*self.models,
                model: &self.model,
                system,
                caller: Caller {
                    run: Some(job.run),
                    task: job.task,
                    agent: Some(self.name.clone()),
                    project: job.project.clone(),
                    budget: job.budget,
                },
            };
            let opinion = reviewing::judge(&partner, &mut bench, &job).await;
            self.leashes.lock().await.remove(&task);
            opinion
        })
    }

    fn control(&self, task: TaskId, control: Control) -> Boxed<'_, ()> {
        Box::pin(async move {
            let leash = self.leashes.lock().await.get(&task).cloned();
            if let Some(leash) = leash {
                leash.control(control).await;
            }
        })
    }
}

/// Of a review only what it costs is told: its words are not the author's.
struct OnlyCosts<'a>(&'a dyn Observer);

impl Observer for OnlyCosts<'_> {
    fn observe(&self, event: Event) {
        if matches!(event, Event::ModelCalled { .. } | Event::BudgetRefused { .. }) {
            self.0.observe(event);
        }
    }

    fn ask(&self, task: TaskId, question: Question, because: String) -> Boxed<'_, Choice> {
        self.0.ask(task, question, because)
    }
}
