//! The engine's ports, faked: a world in which work is done at once, remembered across crashes, and counted, so that a
//! test can tell what was done twice and what was lost.

use maestria_kernel::{
    At, DecisionId, Run, RunId, TaskId,
    agent::{Agent, Role, Vendor},
    command::Command,
    decision::Choice,
    finding::Validation,
    id::{AgentName, CommitId, Seq, TaskKey},
    money::Tokens,
    outcome::{Claim, Outcome, Verdict},
    permission::{Action, Lasting, Question},
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind},
    port::{
        Agents, Asked, Batch, Boxed, Control, MergeResult, Numbered, Observer, Once, PlanJob, Planner, Posted,
        Repository, RepositoryError, ReviewJob, RunRow, Sent, Store, StoreError, Stored, TaskJob,
    },
    request::{Ground, Request},
    review::{Opinion, ReviewVerdict},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What lies on the disk of the world: it survives crashes of the engine.
#[derive(Debug, Default)]
pub struct World {
    /// How often each attempt was really worked on (not answered from its report).
    pub worked: BTreeMap<(TaskId, u16), u32>,
    /// Reports of attempts that have ended.
    pub reports: BTreeMap<(TaskId, u16), Outcome>,
    /// Merge commits by task.
    pub merged: BTreeMap<TaskId, u32>,
    /// Reviews that were really made.
    pub reviewed: u32,
    /// Plans that were really made.
    pub planned: u32,
}

/// The fake planner, agents and repository, on one world.
#[derive(Debug, Clone, Default)]
pub struct Fakes {
    /// The world.
    pub world: Arc<Mutex<World>>,
    /// The first review of each task asks for changes.
    pub strict: bool,
    /// The first attempt at each task asks a person for leave.
    pub asks: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn agent(name: &str, vendor: Vendor) -> Agent {
    Agent {
        name: AgentName::from(name),
        vendor,
        roles: vec![Role::Planner, Role::Analyst, Role::Editor, Role::Reviewer],
        transport: "fake".to_owned(),
        version: None,
        unusable: None,
        scripted: true,
    }
}

impl Planner for Fakes {
    fn plan<'a>(&'a self, job: PlanJob, _observer: &'a dyn Observer) -> Boxed<'a, Result<Plan, String>> {
        Box::pin(async move {
            lock(&self.world).planned += 1;
            let task = |number: u128, kind: TaskKind, needs: &[&str]| PlannedTask {
                id: TaskId::new(uuid::Uuid::from_u128(number)),
                key: TaskKey::new(format!("E{number}")),
                title: format!("Task {number}"),
                instructions: job.request.text.clone(),
                kind,
                needs: needs.iter().map(|n| TaskKey::from(*n)).collect(),
                files: Vec::new(),
                agent: None,
                estimate: Estimate {
                    tokens: Tokens(1_000),
                    ..Estimate::default()
                },
            };
            let tasks = vec![
                task(1, TaskKind::Investigate, &[]),
                task(2, TaskKind::Edit, &["E1"]),
                task(3, TaskKind::Edit, &["E1"]),
                task(4, TaskKind::Edit, &["E2", "E3"]),
            ];
            let source = PlanSource::Rules {
                because: "fake".to_owned(),
            };
            Ok(Plan {
                summary: "four tasks".to_owned(),
                source,
                tasks,
            })
        })
    }
}

impl Agents for Fakes {
    fn keep<'a>(&'a self, _rule: &'a Lasting) -> Boxed<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn probe<'a>(&'a self, _only: &'a [AgentName]) -> Boxed<'a, Vec<Agent>> {
        Box::pin(async { vec![agent("author", Vendor::Claude), agent("judge", Vendor::Codex)] })
    }

    fn perform<'a>(&'a self, job: TaskJob, observer: &'a dyn Observer) -> Boxed<'a, Outcome> {
        Box::pin(async move {
            let attempt = (job.task.id, job.attempt);
            if let Some(report) = lock(&self.world).reports.get(&attempt) {
                return report.clone();
            }
            observer.observe(maestria_kernel::Event::TaskSaid {
                task: Some(job.task.id),
                text: "at work".to_owned(),
            });
            if self.asks && job.attempt == 1 && job.task.kind.edits() {
                let action = Action::Run {
                    command: "git push".to_owned(),
                };
                let question = Question::new("shell".to_owned(), action);
                if observer.ask(job.task.id, question, "fake".to_owned()).await != Choice::Accept {
                    return Outcome::bare(Verdict::Denied, "refused");
                }
            }
            tokio::task::yield_now().await;
            let mut outcome = Outcome::bare(Verdict::Completed, "fake work");
            outcome.claims = vec![Claim::proved("changed", "fake diff")];
            let mut world = lock(&self.world);
            *world.worked.entry(attempt).or_default() += 1;
            world.reports.insert(attempt, outcome.clone());
            outcome
        })
    }

    fn review<'a>(&'a self, job: ReviewJob, _observer: &'a dyn Observer) -> Boxed<'a, Opinion> {
        Box::pin(async move {
            lock(&self.world).reviewed += 1;
            let first = job.report.is_empty() && !job.purpose.contains("reworked");
            let reworked = job
                .task
                .is_some_and(|t| lock(&self.world).worked.keys().any(|(id, n)| *id == t && *n > 1));
            let verdict = if self.strict && first && !reworked {
                ReviewVerdict::RequestChanges
            } else {
                ReviewVerdict::Approve
            };
            Opinion {
                verdict: Some(verdict),
                text: "fake".to_owned(),
                findings: Vec::new(),
            }
        })
    }

    fn control(&self, _task: TaskId, _control: Control) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

fn checked() -> Validation {
    Validation {
        command: Some("true".to_owned()),
        passed: Some(true),
        ..Validation::none()
    }
}

impl Repository for Fakes {
    fn prepare<'a>(&'a self, _run: RunId, request: &'a Request) -> Boxed<'a, Result<Ground, RepositoryError>> {
        Box::pin(async move {
            Ok(Ground {
                repository: request.target.clone(),
                base: CommitId::from("base"),
                branch: Some("main".to_owned()),
                integration: "maestria/fake".to_owned(),
                notes: Vec::new(),
            })
        })
    }

    fn open<'a>(
        &'a self,
        _run: &'a Run,
        _task: TaskId,
        _onto: bool,
    ) -> Boxed<'a, Result<(PathBuf, CommitId), RepositoryError>> {
        Box::pin(async { Ok((PathBuf::from("/nowhere"), CommitId::from("base"))) })
    }

    fn checkout<'a>(
        &'a self,
        _run: &'a Run,
        _review: maestria_kernel::ReviewId,
        _task: Option<TaskId>,
    ) -> Boxed<'a, Result<(PathBuf, String), RepositoryError>> {
        Box::pin(async { Ok((PathBuf::from("/nowhere"), String::new())) })
    }

    fn release<'a>(&'a self, _run: &'a Run, _review: maestria_kernel::ReviewId) -> Boxed<'a, ()> {
        Box::pin(async {})
    }

    fn merge<'a>(
        &'a self,
        _run: &'a Run,
        task: TaskId,
        _check: bool,
    ) -> Boxed<'a, Result<MergeResult, RepositoryError>> {
        Box::pin(async move {
            // Found by its trailer when it was made before a crash.
            let mut world = lock(&self.world);
            world.merged.entry(task).or_insert(1);
            Ok(MergeResult::Merged {
                commit: Some(CommitId::from("merge")),
                checks: checked(),
            })
        })
    }

    fn validate<'a>(&'a self, _run: &'a Run) -> Boxed<'a, Result<Validation, RepositoryError>> {
        Box::pin(async { Ok(checked()) })
    }

    fn rewind<'a>(&'a self, _run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn apply<'a>(&'a self, _run: &'a Run) -> Boxed<'a, Result<(CommitId, String), RepositoryError>> {
        Box::pin(async { Ok((CommitId::from("merge"), "fake".to_owned())) })
    }

    fn discard<'a>(&'a self, _run: &'a Run) -> Boxed<'a, Result<(), RepositoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn diff<'a>(&'a self, _run: &'a Run, _task: Option<TaskId>) -> Boxed<'a, Result<String, RepositoryError>> {
        Box::pin(async { Ok(String::new()) })
    }
}

/// Where the machine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before the commit is durable: nothing of it is kept.
    Before,
    /// After it is durable, before anyone hears of it.
    After,
}

/// A store that dies at a chosen commit, and stays dead.
pub struct Mortal {
    inner: Arc<dyn Store>,
    commits: AtomicU64,
    dies_at: u64,
    crash: Crash,
}

impl std::fmt::Debug for Mortal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mortal")
            .field("dies_at", &self.dies_at)
            .finish_non_exhaustive()
    }
}

impl Mortal {
    /// Dies at commit number `dies_at`, from 0.
    pub fn new(inner: Arc<dyn Store>, dies_at: u64, crash: Crash) -> Self {
        Self {
            inner,
            commits: AtomicU64::new(0),
            dies_at,
            crash,
        }
    }

    /// How many commits were asked for.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Store for Mortal {
    fn commit(&self, run: RunId, batch: Batch) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let number = self.commits.fetch_add(1, Ordering::SeqCst);
            if number < self.dies_at {
                return self.inner.commit(run, batch).await;
            }
            if number == self.dies_at && self.crash == Crash::After {
                self.inner.commit(run, batch).await?;
            }
            Err(StoreError::Closed)
        })
    }

    fn events(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Stored>, StoreError>> {
        self.inner.events(run, after, limit)
    }

    fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.inner.numbered(run, after, limit)
    }

    fn feed(&self, after: u64, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.inner.feed(after, limit)
    }

    fn told(
        &self,
        kinds: &'static [&'static str],
        after: u64,
        until: u64,
    ) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.inner.told(kinds, after, until)
    }

    fn newest(&self) -> Boxed<'_, Result<u64, StoreError>> {
        self.inner.newest()
    }

    fn owed(
        &self,
        run: RunId,
    ) -> Boxed<'_, Result<Vec<(maestria_kernel::EffectId, maestria_kernel::Effect)>, StoreError>> {
        self.inner.owed(run)
    }

    fn debts(&self) -> Boxed<'_, Result<u64, StoreError>> {
        self.inner.debts()
    }

    fn runs(&self) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        self.inner.runs()
    }

    fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        self.inner.older(than, limit)
    }

    fn changed(&self, after: u64) -> Boxed<'_, Result<(u64, Vec<RunRow>), StoreError>> {
        self.inner.changed(after)
    }

    fn sent(&self, key: String, now: At) -> Boxed<'_, Result<Option<Sent>, StoreError>> {
        self.inner.sent(key, now)
    }

    fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<Asked>, StoreError>> {
        self.inner.asked(closed, after, limit)
    }

    fn asker(&self, decision: DecisionId) -> Boxed<'_, Result<Option<RunId>, StoreError>> {
        self.inner.asker(decision)
    }

    fn post(&self, run: RunId, command: Command, once: Option<Once>) -> Boxed<'_, Result<u64, StoreError>> {
        self.inner.post(run, command, once)
    }

    fn inbox(&self, run: RunId) -> Boxed<'_, Result<Vec<Posted>, StoreError>> {
        self.inner.inbox(run)
    }

    fn answer(&self, run: RunId, number: u64, refused: Option<String>) -> Boxed<'_, Result<(), StoreError>> {
        self.inner.answer(run, number, refused)
    }

    fn answered(&self, run: RunId, number: u64) -> Boxed<'_, Result<Option<Result<(), String>>, StoreError>> {
        self.inner.answered(run, number)
    }
}
