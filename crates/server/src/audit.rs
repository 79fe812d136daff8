//! The audit trail of all runs: it follows the store's feed, so that what a crash or another process has left out is caught up
//! with at the next commit.

mod read;

pub use read::{Wanted, check, newest};

use crate::histogram::Histogram;
use maestria_kernel::{
    At, DecisionId, Effect, EffectId, Event, RunId, Seq,
    command::Command,
    permission::{Action, Ruling},
    port::{Asked, Batch, Boxed, Numbered, Once, Posted, RunRow, Sent, Store, StoreError},
};
use maestria_sandbox::audit::{Audit, Record, fingerprint};
use std::{
    path::Path,
    sync::{Arc, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, Notify};

/// How long the trail rests when it is followed beside the commits: two flushes of the disk then do for all that has come
/// meanwhile, instead of taking turns with each commit.
const REST: Duration = Duration::from_millis(100);

/// Events looked at in one go.
const PAGE: u32 = 1024;

/// The trail beside a store.
pub fn trail(store: &Path) -> Audit {
    Audit::at(store.parent().unwrap_or(Path::new(".")).join("audit"))
}

/// A store whose commits leave their trail.
pub(crate) struct Audited {
    store: Arc<dyn Store>,
    /// One follower at a time.
    trail: Mutex<Audit>,
    /// Rung at each commit that leaves a trail, once somebody follows beside the commits.
    bell: OnceLock<Notify>,
    /// How long commits have taken.
    commits: std::sync::Mutex<Histogram>,
}

impl std::fmt::Debug for Audited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audited").finish_non_exhaustive()
    }
}

impl Audited {
    pub(crate) fn new(store: Arc<dyn Store>, trail: Audit) -> Self {
        Self {
            store,
            trail: Mutex::new(trail),
            bell: OnceLock::new(),
            commits: std::sync::Mutex::new(Histogram::new(Histogram::DISK)),
        }
    }

    fn note(&self, took: Duration) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }

    /// How long commits have taken so far, in this process.
    pub(crate) fn commits(&self) -> Histogram {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows beside the commits from now on, for ever: a process that stays need not wait for the trail at each of them.
    /// What a crash cuts off is caught up with by the next process.
    pub(crate) async fn follow_beside(&self) {
        let bell = self.bell.get_or_init(Notify::new);
        loop {
            self.follow().await;
            tokio::time::sleep(REST).await;
            bell.notified().await;
        }
    }

    /// Brings the trail up to the store. A trail that cannot be written is told, and costs no run.
    pub(crate) async fn follow(&self) {
        let trail = self.trail.lock().await;
        if let Err(why) = self.catch_up(&trail).await {
            tracing::error!(%why, "the audit trail could not be written");
        }
    }

    async fn catch_up(&self, trail: &Audit) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        let mut last = trail.number().map_err(told)?;
        loop {
            let page = self.store.feed(last, PAGE).await.map_err(|error| error.to_string())?;
            let Some(newest) = page.last() else { return Ok(()) };
            last = newest.number;
            let records: Vec<Record> = page.iter().filter_map(record).collect();
            let trail = trail.clone();
            let written = tokio::task::spawn_blocking(move || trail.append(&records, last)).await;
            written.map_err(|error| error.to_string())?.map_err(told)?;
            // What has come meanwhile is for the next time: otherwise busy commits keep this from ever ending.
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}

impl Store for Audited {
    fn commit(&self, run: RunId, batch: Batch) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let worth_it = batch.events.iter().any(|stored| is_worth_an_entry(&stored.event));
            let begun = Instant::now();
            self.store.commit(run, batch).await?;
            self.note(begun.elapsed());
            match self.bell.get() {
                Some(bell) if worth_it => bell.notify_one(),
                None if worth_it => self.follow().await,
                _ => {}
            }
            Ok(())
        })
    }

    fn events(
        &self,
        run: RunId,
        after: Seq,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<maestria_kernel::port::Stored>, StoreError>> {
        self.store.events(run, after, limit)
    }

    fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.store.numbered(run, after, limit)
    }

    fn feed(&self, after: u64, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.store.feed(after, limit)
    }

    fn told(
        &self,
        kinds: &'static [&'static str],
        after: u64,
        until: u64,
    ) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        self.store.told(kinds, after, until)
    }

    fn newest(&self) -> Boxed<'_, Result<u64, StoreError>> {
        self.store.newest()
    }

    fn owed(&self, run: RunId) -> Boxed<'_, Result<Vec<(EffectId, Effect)>, StoreError>> {
        self.store.owed(run)
    }

    fn debts(&self) -> Boxed<'_, Result<u64, StoreError>> {
        self.store.debts()
    }

    fn runs(&self) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        self.store.runs()
    }

    fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        self.store.older(than, limit)
    }

    fn changed(&self, after: u64) -> Boxed<'_, Result<(u64, Vec<RunRow>), StoreError>> {
        self.store.changed(after)
    }

    fn sent(&self, key: String, now: At) -> Boxed<'_, Result<Option<Sent>, StoreError>> {
        self.store.sent(key, now)
    }

    fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<Asked>, StoreError>> {
        self.store.asked(closed, after, limit)
    }

    fn asker(&self, decision: DecisionId) -> Boxed<'_, Result<Option<RunId>, StoreError>> {
        self.store.asker(decision)
    }

    fn post(&self, run: RunId, command: Command, once: Option<Once>) -> Boxed<'_, Result<u64, StoreError>> {
        self.store.post(run, command, once)
    }

    fn inbox(&self, run: RunId) -> Boxed<'_, Result<Vec<Posted>, StoreError>> {
        self.store.inbox(run)
    }

    fn answer(&self, run: RunId, number: u64, refused: Option<String>) -> Boxed<'_, Result<(), StoreError>> {
        self.store.answer(run, number, refused)
    }

    fn answered(&self, run: RunId, number: u64) -> Boxed<'_, Result<Option<Result<(), String>>, StoreError>> {
        self.store.answered(run, number)
    }
}

fn is_worth_an_entry(event: &Event) -> bool {
    matches!(
        event,
        Event::RunSubmitted { .. }
            | Event::RunTransitioned { .. }
            | Event::DecisionRequested { .. }
            | Event::DecisionMade { .. }
            | Event::ApprovalUsed { .. }
            | Event::RuleKept { .. }
            | Event::BudgetRaised { .. }
            | Event::RunApplyRequested { .. }
            | Event::RunApplied { .. }
            | Event::RunDiscardRequested { .. }
            | Event::RunDiscarded
            | Event::TaskStarted { .. }
            | Event::PermissionRuled { .. }
            | Event::TaskStopped { .. }
            | Event::TaskTold { .. }
            | Event::ViolationRecorded { .. }
    )
}

fn record(numbered: &Numbered) -> Option<Record> {
    let event = &numbered.stored.event;
    if !is_worth_an_entry(event) {
        return None;
    }
    let mut record = Record {
        at: numbered.stored.at.0,
        number: numbered.number,
        run: numbered.run.to_string(),
        who: "maestria".to_owned(),
        what: event.kind().to_owned(),
        ..Record::default()
    };
    describe(event, &mut record);
    Some(record)
}

fn describe(event: &Event, record: &mut Record) {
    match event {
        Event::RunSubmitted { request } => {
            record.who.clone_from(&request.by);
            record.what = format!("run.submitted for {}", request.target);
        }
        Event::RunTransitioned { from, to, .. } => record.what = format!("run.transitioned from {from} to {to}"),
        Event::DecisionRequested { decision } => record.what = format!("decision.requested {}", decision.id),
        Event::DecisionMade { decision, answer } => {
            record.who.clone_from(&answer.by);
            record.what = format!("decision.made {decision}");
            record.decision = Some(format!("{:?}", answer.choice).to_lowercase());
        }
        Event::ApprovalUsed { task, decision, bound } => {
            record.task = Some(task.to_string());
            let hash = bound.as_ref().map(|bound| format!(", bound to {}", bound.sha256));
            record.what = format!("approval.used of {decision}{}", hash.unwrap_or_default());
        }
        Event::RuleKept { decision, file, rule } => {
            record.what = format!("rule.kept in {file}, agreed to in {decision}");
            record.rule = Some(rule.clone());
        }
        Event::RunApplyRequested { by } | Event::RunDiscardRequested { by } => record.who.clone_from(by),
        Event::RunApplied { commit, .. } => record.what = format!("run.applied as {commit}"),
        Event::TaskStarted {
            task, agent, contained, ..
        } => {
            record.task = Some(task.to_string());
            record.who = agent.to_string();
            record.layers = Some(contained.clone());
        }
        Event::PermissionRuled {
            task,
            question,
            permission,
        } => {
            record.task = Some(task.to_string());
            record.who = "policy".to_owned();
            record.what = format!("permission.ruled on {}", question.tool);
            record.rule = Some(permission.rule.clone());
            let ruling = match permission.ruling {
                Ruling::Allow => "allow",
                Ruling::Deny => "deny",
                Ruling::Rewrite { .. } => "rewrite",
                Ruling::Ask => "ask",
            };
            record.decision = Some(ruling.to_owned());
            if let Action::Run { command } = &question.action {
                record.argv_sha256 = Some(fingerprint(command));
            }
        }
        Event::TaskTold { task, message } => {
            record.task = Some(task.to_string());
            record.who.clone_from(&message.by);
        }
        Event::TaskStopped { task, because } => {
            record.task = Some(task.to_string());
            record.what = format!("task.stopped: {because}");
        }
        Event::ViolationRecorded {
            task, agent, violation, ..
        } => {
            record.task = Some(task.to_string());
            if let Some(agent) = agent {
                record.who = agent.to_string();
            }
            record.what = format!("violation.recorded: {violation}");
            record.rule = Some(violation.rule.clone());
            record.argv_sha256.clone_from(&violation.sha256);
        }
        _ => {}
    }
}
