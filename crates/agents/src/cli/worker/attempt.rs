//! One attempt at a task: processes and repairs in turn, then the judgement, the commit and the report.

use super::{CliAgent, now};
use crate::{
    cli::{
        access::Access,
        config::AgentConfig,
        drive::{Audience, Order, Ran, drive},
        home::Home,
        launch::Grants,
        prompt,
        repair::{MOST, Repaired, Workshop},
        slot::Slot,
        talk::{self, Turn},
    },
    outcome::{Ended, Evidence, Expect, Judgement, judge, report, tree},
    policy::{Place, Policy},
    trust::Sight,
    violation,
    worktree::Look,
};
use maestria_kernel::{
    model::Caller,
    money::Usage,
    outcome::{Outcome, Verdict},
    port::{Observer, TaskJob},
    trace,
};
use maestria_sandbox::{Demand, policy::BadPolicy};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Executes a task. When this returns, the report is on the disk and no process is left.
pub(super) async fn perform(agent: &CliAgent, job: TaskJob, observer: &dyn Observer) -> Outcome {
    let folder = folder(&job);
    if job.recovering
        && let Some(outcome) = report::read(&folder)
    {
        // It had ended before Maestria did: nothing is done twice.
        return outcome;
    }
    let outcome = attempt(agent, &job, &folder, observer).await;
    if let Err(error) = report::write(&folder, &outcome) {
        tracing::error!(folder = %folder.display(), %error, "the report of an attempt could not be written");
    }
    outcome
}

/// The attempt's folder in the session workspace. The agent's home lies beside it: sessions outlive attempts.
fn folder(job: &TaskJob) -> PathBuf {
    base(job).join(format!("attempt-{}", job.attempt))
}

fn base(job: &TaskJob) -> PathBuf {
    let task = format!("{}-{}", job.task.key, job.task.id.short());
    Path::new(&job.request.workspace)
        .join("agents")
        .join(safe(&task))
        .join(safe(job.agent.as_str()))
}

/// A name that stays in its folder, whatever a plan calls its tasks.
fn safe(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

async fn attempt(agent: &CliAgent, job: &TaskJob, folder: &Path, observer: &dyn Observer) -> Outcome {
    let seat = agent.slots.open(Some(job.task.id));
    let caller = Caller {
        run: Some(job.run),
        task: Some(job.task.id),
        agent: Some(agent.name.clone()),
        project: job.request.project(),
        budget: job.budget,
    };
    let access = match agent.access(caller).await {
        Ok(access) => access,
        Err(why) => return Outcome::bare(Verdict::NotStarted, format!("the gateway gives it no key: {why}")),
    };
    let config = access.apply(agent.kind, &agent.config);
    let home = match Home::prepare(&base(job).join("home"), agent.kind, &config, &agent.around.env) {
        Ok(home) => home,
        Err(error) => {
            let why = format!("its home cannot be prepared: {error}; free some space or mend the workspace's rights");
            return Outcome::bare(Verdict::NotStarted, why);
        }
    };
    let audience = Audience {
        observer: Some(observer),
        agent: agent.name.clone(),
        task: Some(job.task.id),
        review: false,
    };
    let place = place(agent, job, &home);
    let policy = match Policy::in_force(agent.around.policy.as_deref(), Path::new(&job.request.target)) {
        Ok(policy) => policy,
        Err(why) => return Outcome::bare(Verdict::NotStarted, unusable(&why)),
    };
    let mut course = Course {
        agent,
        config: &config,
        access,
        job,
        folder,
        home: &home,
        audience: &audience,
        place,
        policy,
        slot: &seat,
        grants: Grants::default(),
        used: Usage::default(),
        look: None,
        told: BTreeSet::new(),
    };
    let outcome = course.run().await;
    let look = course.look.take();
    let outcome = course.settled(outcome).await;
    home.hand_back();
    committed(job, look, outcome).await
}

/// A file of rules that cannot be read must not be as good as none.
fn unusable(why: &BadPolicy) -> String {
    format!("a policy file cannot be used: {why}; `maestria policy check FILE` tries it")
}

/// What it sees of what the repository brings. Without walls, it may be started only where there is nothing to hide.
async fn sight(agent: &CliAgent, job: &TaskJob) -> Result<Sight, String> {
    let target = Path::new(&job.request.target);
    let sight = Sight::of(agent.around.trust.as_deref(), target, &job.worktree).await?;
    match (agent.config.sandbox, sight.unwalled()) {
        (Demand::Off, Some(why)) => Err(why),
        _ => Ok(sight),
    }
}

fn place(agent: &CliAgent, job: &TaskJob, home: &Home) -> Place {
    Place {
        worktree: job.worktree.clone(),
        target: PathBuf::from(&job.request.target),
        home: home.path().to_owned(),
        person: agent.around.home(),
        allow_dirs: agent.config.allow_dirs.clone(),
        read_only: !job.task.kind.edits(),
    }
}

/// Keeps what lies in the worktree, whatever the verdict: work is never lost. What was looked at last is what was judged.
async fn committed(job: &TaskJob, look: Option<Look>, mut outcome: Outcome) -> Outcome {
    if !job.task.kind.edits() {
        return outcome;
    }
    let message = format!("{}: {}", job.task.key, job.task.title);
    let trailers = [
        ("Maestria-Task", job.task.id.to_string()),
        ("Maestria-Attempt", job.attempt.to_string()),
    ];
    let look = match look {
        Some(look) => Ok(look),
        None => Look::at(&job.worktree, job.base.as_str()).await,
    };
    let commit = match look {
        Ok(look) => look.commit_since(&message, &trailers).await,
        Err(error) => Err(error),
    };
    match commit {
        Ok(commit) => outcome.commit = commit,
        Err(error) => {
            if outcome.verdict == Verdict::Completed {
                outcome.verdict = Verdict::Failed;
                outcome.reason = format!("the work could not be committed: {error}");
            }
        }
    }
    outcome
}

/// The processes of one attempt.
struct Course<'a> {
    agent: &'a CliAgent,
    /// The agent's own, or with the gateway's address in it.
    config: &'a AgentConfig,
    access: Access,
    job: &'a TaskJob,
    folder: &'a Path,
    home: &'a Home,
    audience: &'a Audience<'a>,
    place: Place,
    policy: Policy,
    slot: &'a Slot,
    grants: Grants,
    used: Usage,
    /// The worktree as the last process left it.
    look: Option<Look>,
    /// Changes of protected files that were told already.
    told: BTreeSet<String>,
}

impl Course<'_> {
    async fn run(&mut self) -> Outcome {
        let mut turn = self.first_turn();
        let mut number = 0;
        loop {
            let ran = self.process(&turn).await;
            self.used += ran.seen.usage;
            let judgement = self.judge(&ran).await;
            let session = judgement.outcome.session.clone().or_else(|| turn.session.clone());
            number += 1;
            let repaired = match &judgement.found {
                Some(found) if number <= MOST && !self.slot.is_stopped() => {
                    let workshop = Workshop {
                        audience: self.audience,
                        task: self.job.task.id,
                        config: &self.agent.config,
                        place: &self.place,
                    };
                    workshop.repair(found, &ran, &mut self.grants, number).await
                }
                _ => Repaired::No,
            };
            match repaired {
                Repaired::No => return self.outcome(judgement.outcome, session),
                Repaired::Anew => turn.session = None,
                Repaired::Resume(words) if session.is_some() => {
                    turn.session = session;
                    turn.follow_up = prompt::repaired(&words);
                }
                Repaired::Resume(_) => turn.session = None,
            }
            self.place.allow_dirs.extend(self.grants.dirs.last().cloned());
        }
    }

    /// Cuts the agent off from the gateway, and counts what it used there.
    async fn settled(self, outcome: Outcome) -> Outcome {
        let (used, refused) = self.access.end(self.audience).await;
        let outcome = match refused {
            Some(because) if !outcome.verdict.is_success() => Outcome {
                verdict: Verdict::LimitReached,
                reason: because,
                ..outcome
            },
            _ => outcome,
        };
        let mut usage = self.used;
        usage += used;
        Outcome { usage, ..outcome }
    }

    fn outcome(&self, outcome: Outcome, session: Option<maestria_kernel::id::SessionId>) -> Outcome {
        // A session that is lost is not worth trying again.
        let session = session.filter(|_| outcome.verdict != Verdict::SessionLost);
        Outcome {
            session,
            usage: self.used,
            ..outcome
        }
    }

    fn first_turn(&self) -> Turn {
        Turn {
            prompt: prompt::task(self.job),
            follow_up: prompt::follow_up(self.job),
            session: self.job.session.clone(),
            cwd: self.job.worktree.clone(),
            model: self.config.model.clone(),
            read_only: !self.job.task.kind.edits(),
            walled: self.agent.config.sandbox != Demand::Off,
            schema: None,
        }
    }

    async fn process(&mut self, turn: &Turn) -> Ran {
        let agent = self.agent;
        self.home.settle(agent.kind);
        // Before every process: the one before may have made settings of its own.
        let sight = match sight(agent, self.job).await {
            Ok(sight) => sight,
            Err(why) => return Ran::not_started(why),
        };
        self.grants.trusted = sight.trusted;
        let marker = self.job.run.to_string();
        let (mut spec, stdin) = agent.spec(self.config, turn, &self.grants, &sight, self.home.path(), marker);
        let (run, task, attempt) = (self.job.run, self.job.task.id, self.job.attempt);
        let traced = |percent| trace::Place::of_attempt(run, task, attempt, percent);
        spec.env.extend(agent.around.trace(traced));
        let work = drive(Order {
            kind: agent.kind,
            dialect: agent.dialect(),
            spec,
            stdin,
            talk: talk::with(agent.kind, agent.transport(), turn.clone()),
            task: self.job.task.id,
            attempt: self.job.attempt,
            audience: self.audience.clone(),
            policy: &self.policy,
            place: self.place.clone(),
            times: agent.times(),
            before: agent.counted(turn.session.as_ref()),
            pricing: agent.around.pricing,
            metered: self.access.is_metered(),
            record: Some(self.folder),
            environment: agent.environment(self.grants.vouched, self.home.path()),
            disk: agent.config.disk_bytes,
            slot: self.slot,
        });
        let ran = self.access.during(work, self.audience).await;
        agent.count(ran.seen.session.as_ref(), ran.seen.usage);
        ran
    }

    /// Tells of files that no worker changes and that git shows changed all the same.
    fn tell_protected(&mut self, facts: Option<&tree::TreeFacts>) {
        let files = facts.map(|facts| &facts.files[..]).unwrap_or_default();
        for file in files.iter().filter(|file| self.policy.protects(Path::new(&file.path))) {
            if self.told.insert(file.path.clone()) {
                self.audience
                    .tell(violation::of_change(&file.path).of(self.job.task.id));
            }
        }
    }

    async fn judge(&mut self, ran: &Ran) -> Judgement {
        let (facts, look) = match tree::look(&self.job.worktree, &self.job.base).await {
            Ok((facts, look)) => (Some(facts), Some(look)),
            Err(error) => {
                tracing::warn!(worktree = %self.job.worktree.display(), %error, "the tree could not be looked at");
                (None, None)
            }
        };
        self.look = look;
        self.tell_protected(facts.as_ref());
        let expect = if self.job.task.kind.edits() {
            Expect::Change
        } else {
            Expect::Answer
        };
        let judgement = judge(&Evidence {
            kind: self.agent.kind,
            seen: &ran.seen,
            stderr: &ran.stderr,
            last_words: &ran.last_words,
            exit: ran.exit,
            ended: &ran.ended,
            tree: facts.as_ref(),
            expect,
            now: now(),
        });
        // Silence while it waits for its provider has another name, and is not its doing.
        if let (Ended::Idle(span), Verdict::TimedOut) = (&ran.ended, judgement.outcome.verdict) {
            let violation = violation::of_silence(*span);
            self.audience.tell(violation.of(self.job.task.id));
        }
        judgement
    }
}
