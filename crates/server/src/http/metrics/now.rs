//! What is so at this moment, as families: runs, workers, decisions, budgets, this process.

use super::{
    super::Shared,
    exposition::Family,
    tally::{OTHER, short},
};
use crate::telemetry::{Fares, Telemetry};
use maestria_kernel::{
    At, Cost, RunId,
    ledger::{Balance, Scope},
    port::StoreError,
    state::{RunState, TaskState},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

/// Agents with series of their own.
const MOST_AGENTS: usize = 30;

/// What the runs of this moment add up to.
#[derive(Debug, Default)]
struct Work {
    queued: usize,
    reviewing: usize,
    decisions: usize,
    /// Since when the oldest open decision waits.
    asked: Option<At>,
    /// By agent: workers, their memory, their processor time and their processes.
    agents: BTreeMap<String, [f64; 4]>,
}

pub(super) async fn of_runs(shared: &Shared) -> Result<Vec<Family>, StoreError> {
    let waits = |run: RunId| shared.host.standing(run).queued;
    let (states, open, waiting) = shared
        .rows
        .read(|kept| {
            let mut states: BTreeMap<&'static str, usize> = RunState::ALL.iter().map(|s| (s.as_str(), 0)).collect();
            for (state, count) in &kept.totals().states {
                states.entry(word(state)).and_modify(|all| *all += count);
            }
            let open: Vec<RunId> = kept.open(None).map(|row| row.id).collect();
            let waiting: Vec<(RunId, At)> = kept.open(None).map(|row| (row.id, row.updated_at)).collect();
            (states, open, waiting)
        })
        .await?;
    let since = waiting
        .into_iter()
        .filter(|(run, _)| waits(*run))
        .map(|(_, at)| at)
        .min();
    let work = work(shared, &open).await?;
    let runs = Family::gauge("runs", "Runs by state.", &["state"]);
    let workers = Family::gauge("workers", "Workers of open runs by what they do.", &["state"]);
    let running: f64 = work.agents.values().fold(0.0, |sum, figures| sum + figures[0]);
    let mut families = vec![
        states
            .iter()
            .fold(runs, |family, (state, count)| family.with(&[state], *count as f64)),
        workers
            .with(&["running"], running)
            .with(&["reviewing"], work.reviewing as f64),
        one(
            "runs_queued",
            "Runs that wait for a place of this server.",
            shared.host.lengths().1 as f64,
        ),
        one(
            "run_queue_oldest_seconds",
            "How long the first of them has waited.",
            age(since),
        ),
        one("tasks_queued", "Tasks that wait for a worker.", work.queued as f64),
        one(
            "decisions_waiting",
            "Decisions that wait for a person.",
            work.decisions as f64,
        ),
        one(
            "decision_oldest_seconds",
            "How long the oldest of them has waited.",
            age(work.asked),
        ),
        one(
            "effects_owed",
            "What must still be performed because of what has happened.",
            shared.app.engine.store().debts().await? as f64,
        ),
    ];
    families.extend(of_workers(&work));
    Ok(families)
}

fn of_workers(work: &Work) -> [Family; 4] {
    let families = [
        Family::gauge("agent_workers", "Workers that run, by agent.", &["agent"]),
        Family::gauge(
            "worker_memory_bytes",
            "Memory of workers that run, by agent.",
            &["agent"],
        ),
        Family::gauge(
            "worker_processor_seconds",
            "Processor time that workers that run have used so far, by agent.",
            &["agent"],
        ),
        Family::gauge(
            "worker_processes",
            "Processes of workers that run, by agent.",
            &["agent"],
        ),
    ];
    let mut place = 0;
    families.map(|family| {
        let figures = work.agents.iter();
        let family = figures.fold(family, |family, (agent, of)| family.with(&[agent], of[place]));
        place += 1;
        family
    })
}

async fn work(shared: &Shared, open: &[RunId]) -> Result<Work, StoreError> {
    let mut work = Work::default();
    for run in open {
        let Some(view) = shared.views.get(*run).await? else {
            continue;
        };
        for (id, task) in &view.run.tasks {
            work.queued += usize::from(task.state == TaskState::Ready);
            if task.state != TaskState::Running {
                continue;
            }
            let name = short(task.agent.as_ref().map_or(OTHER, |agent| agent.as_str()));
            let full = work.agents.len() >= MOST_AGENTS && !work.agents.contains_key(&name);
            let name = if full { OTHER.to_owned() } else { name };
            let figures = work.agents.entry(name).or_default();
            figures[0] += 1.0;
            if let Some(seen) = view.workers.get(id) {
                figures[1] += seen.memory_bytes.unwrap_or(0) as f64;
                figures[2] += seen.cpu_millis.unwrap_or(0) as f64 / 1000.0;
                figures[3] += f64::from(seen.processes.unwrap_or(0));
            }
        }
        work.reviewing += view
            .run
            .reviews
            .iter()
            .filter(|review| review.opinion.is_none())
            .count();
        for decision in view.run.open_decisions() {
            work.decisions += 1;
            let asked = view.asked.get(&decision.id).copied();
            work.asked = work.asked.into_iter().chain(asked).min();
        }
    }
    Ok(work)
}

/// The least that is left of the budgets of a kind, and how far the day's is used.
pub(super) async fn of_budgets(shared: &Shared) -> Result<Vec<Family>, StoreError> {
    let limits = &shared.app.config.gateway.budget;
    let balances = shared.books.balances(Scope::Day.day(crate::now())).await?;
    let kinds = [
        ("day", limits.day),
        ("client", limits.client),
        ("project", limits.project),
        ("model", limits.model),
        ("run", limits.run),
        ("task", limits.task),
    ];
    let of = |kind: &str, balance: &&Balance| balance.scope.split(' ').next() == Some(kind);
    let dollars = |cost: Cost| cost.0 as f64 / 1e6;
    let mut left = Family::gauge(
        "budget_left_dollars",
        "What is left of the budgets of a kind; of several, where least is left.",
        &["scope"],
    );
    for (kind, limit) in kinds {
        let Some(limit) = limit else { continue };
        let used = balances.iter().filter(|balance| of(kind, balance));
        let most = used.map(|balance| balance.spent.0 + balance.held.0).max().unwrap_or(0);
        left = left.with(&[kind], dollars(Cost(limit.0.saturating_sub(most).max(0))));
    }
    let day = balances.iter().find(|balance| balance.scope == Scope::Day.to_string());
    let spent = day.map_or(Cost::ZERO, |balance| Cost(balance.spent.0 + balance.held.0));
    let alerted = balances.iter().filter(|balance| balance.alerted).count();
    Ok(vec![
        one(
            "budget_day_spent_dollars",
            "Spent and held of the day's budget.",
            dollars(spent),
        ),
        left,
        one(
            "budgets_alerted",
            "Budgets that are past the share at which people are told.",
            alerted as f64,
        ),
    ])
}

pub(super) async fn of_server(shared: &Shared) -> Result<Vec<Family>, StoreError> {
    let newest = shared.app.engine.store().newest().await?;
    let lag = newest.saturating_sub(shared.tail.at());
    let size = ["", "-wal"].map(|end| {
        let mut path = shared.app.config.store.clone().into_os_string();
        path.push(end);
        std::fs::metadata(path).map_or(0, |found| found.len())
    });
    let (memory, processor) = used();
    let commits = Family::histogram(
        "store_commit_duration_seconds",
        "How long it takes until events are on disk.",
        &[],
    );
    let mut families = vec![
        counter("events_total", "The number of the newest event.", newest as f64),
        one(
            "event_lag",
            "Events that are stored and not yet told to those who follow.",
            lag as f64,
        ),
        one(
            "stream_clients",
            "Readers of the event stream.",
            shared.tail.followers() as f64,
        ),
        one(
            "store_up",
            "Whether the store could be read the last time.",
            f64::from(u8::from(shared.tail.trouble().is_none())),
        ),
        one(
            "store_size_bytes",
            "The database and its log.",
            size.iter().sum::<u64>() as f64,
        ),
        commits.with_times(&[], &shared.app.audited.commits()),
        one("memory_bytes", "Resident memory of this process.", memory),
        counter("processor_seconds_total", "Processor time of this process.", processor),
        one(
            "uptime_seconds",
            "Since this server started.",
            shared.started.elapsed().as_secs_f64(),
        ),
        Family::gauge("build_info", "The program.", &["version"]).with(&[env!("CARGO_PKG_VERSION")], 1.0),
    ];
    families.extend(of_lanes(shared));
    families.extend(of_traces(shared.app.telemetry()));
    Ok(families)
}

/// How the providers' keys fare that this process has called.
fn of_lanes(shared: &Shared) -> Vec<Family> {
    let mut lanes: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for lane in shared.app.lanes() {
        let figures = lanes.entry(lane.provider).or_default();
        figures[usize::from(lane.usable)] += 1.0;
        figures[2] += lane.under_way as f64;
    }
    let mut keys = Family::gauge(
        "provider_keys",
        "Keys of providers, by whether they may be used now.",
        &["provider", "state"],
    );
    let mut under_way = Family::gauge(
        "provider_calls_under_way",
        "Calls of providers under way.",
        &["provider"],
    );
    // Providers are configured; there are not many.
    for (provider, [resting, usable, calls]) in &lanes {
        keys = keys
            .with(&[provider, "usable"], *usable)
            .with(&[provider, "resting"], *resting);
        under_way = under_way.with(&[provider], *calls);
    }
    vec![keys, under_way]
}

fn of_traces(telemetry: Option<&Telemetry>) -> Vec<Family> {
    let none = Fares::default();
    let fares = telemetry.map_or(&none, Telemetry::fares);
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    vec![
        counter(
            "trace_spans_exported_total",
            "Spans that a collector has taken.",
            read(&fares.exported),
        ),
        counter(
            "trace_spans_dropped_total",
            "Spans that are lost.",
            read(&fares.dropped),
        ),
        counter(
            "trace_export_failures_total",
            "Attempts to send spans that failed.",
            read(&fares.failed),
        ),
        one(
            "trace_backlog",
            "Events and calls that wait while the collector is away.",
            read(&fares.behind),
        ),
    ]
}

fn one(name: &'static str, help: &'static str, value: f64) -> Family {
    Family::gauge(name, help, &[]).with(&[], value)
}

fn counter(name: &'static str, help: &'static str, value: f64) -> Family {
    Family::counter(name, help, &[]).with(&[], value)
}

fn age(since: Option<At>) -> f64 {
    since.map_or(0.0, |since| crate::now().since(since).as_secs_f64())
}

/// The word of a state, as a label.
fn word(state: &str) -> &'static str {
    let known: BTreeSet<&'static str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    known.into_iter().find(|known| *known == state).unwrap_or(OTHER)
}

/// Resident memory in bytes and processor time in seconds, as the kernel counts them; 0 where it does not say.
fn used() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: f64 = line
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (kibibytes * 1024.0, own.tv_sec as f64 + own.tv_nsec as f64 / 1e9)
}
