//! `GET /metrics`: what Prometheus reads. Everything is counted from what is stored, so a restart loses nothing, and the
//! number of series is bounded whatever models, runs and agents there are.

use super::{Shared, State, problem::Refusal, reply};
use axum::{http::StatusCode, response::Response};
use maestria_kernel::{
    ledger::{Scope, UsageBy, UsageLine, UsageOf},
    state::{RunState, TaskState},
};
use std::fmt::Write as _;

/// Models with series of their own, the most used first; the others are one.
const MOST_MODELS: usize = 50;

/// One metric with its series.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    series: Vec<(String, f64)>,
}

impl Metric {
    fn new(name: &'static str, kind: &'static str, help: &'static str, series: Vec<(String, f64)>) -> Self {
        Self {
            name,
            kind,
            help,
            series,
        }
    }

    fn one(name: &'static str, kind: &'static str, help: &'static str, value: f64) -> Self {
        Self::new(name, kind, help, vec![(String::new(), value)])
    }

    fn write(&self, text: &mut String) {
        let (name, kind, help) = (self.name, self.kind, self.help);
        let _ = writeln!(text, "# HELP maestria_{name} {help}\n# TYPE maestria_{name} {kind}");
        for (labels, value) in &self.series {
            let _ = match labels.as_str() {
                "" => writeln!(text, "maestria_{name} {value}"),
                labels => writeln!(text, "maestria_{name}{{{labels}}} {value}"),
            };
        }
    }
}

/// A label as the text format wants it.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("{name}=\"{value}\"")
}

/// `GET /metrics`
pub(super) async fn show(shared: State) -> Result<Response, Refusal> {
    let mut metrics = of_runs(&shared).await?;
    metrics.extend(of_models(&shared).await?);
    metrics.extend(of_server(&shared).await?);
    let mut text = String::new();
    metrics.iter().for_each(|metric| metric.write(&mut text));
    Ok(reply::plain(
        StatusCode::OK,
        text,
        "text/plain; version=0.0.4; charset=utf-8",
    ))
}

async fn of_runs(shared: &Shared) -> Result<Vec<Metric>, Refusal> {
    let rows = shared.app.engine.store().runs().await?;
    let words: std::collections::BTreeSet<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    let count = |word: &str| rows.iter().filter(|row| row.state == word).count() as f64;
    let states = words.into_iter().map(|word| (label("state", word), count(word)));
    let open = |state: &str| !matches!(state, "completed" | "failed" | "aborted");
    let (mut running, mut queued, mut reviewing, mut oldest) = (0, 0, 0, 0);
    for row in rows.iter().filter(|row| open(&row.state)) {
        let Some(view) = shared.views.get(row.id).await? else {
            continue;
        };
        let tasks = |wanted: TaskState| view.run.tasks.values().filter(|task| task.state == wanted).count();
        running += tasks(TaskState::Running);
        queued += tasks(TaskState::Ready);
        reviewing += view
            .run
            .reviews
            .iter()
            .filter(|review| review.opinion.is_none())
            .count();
        for decision in view.run.open_decisions() {
            let asked = view.asked.get(&decision.id).copied();
            let age = asked.map_or(0, |asked| crate::now().since(asked).as_secs());
            oldest = oldest.max(age);
        }
    }
    let waiting: u32 = rows.iter().map(|row| row.decisions).sum();
    let workers = vec![
        (label("state", "running"), running as f64),
        (label("state", "reviewing"), reviewing as f64),
    ];
    Ok(vec![
        Metric::new("runs", "gauge", "Runs by state.", states.collect()),
        Metric::new("workers", "gauge", "Workers of open runs by what they do.", workers),
        Metric::one(
            "runs_queued",
            "gauge",
            "Runs that wait for a place of this server.",
            shared.host.lengths().1 as f64,
        ),
        Metric::one("tasks_queued", "gauge", "Tasks that wait for a worker.", queued as f64),
        Metric::one(
            "decisions_waiting",
            "gauge",
            "Decisions that wait for a person.",
            f64::from(waiting),
        ),
        Metric::one(
            "decision_oldest_seconds",
            "gauge",
            "How long the oldest of them has waited.",
            oldest as f64,
        ),
    ])
}

async fn of_models(shared: &Shared) -> Result<Vec<Metric>, Refusal> {
    let mut lines = shared.books.usage(UsageBy::Model, UsageOf::default()).await?;
    lines.sort_by_key(|line| std::cmp::Reverse(line.calls));
    let rest = lines.split_off(lines.len().min(MOST_MODELS));
    if !rest.is_empty() {
        let sum = |of: fn(&UsageLine) -> u64| rest.iter().map(of).sum();
        lines.push(UsageLine {
            group: "other".to_owned(),
            calls: sum(|l| l.calls),
            failed: sum(|l| l.failed),
            input: sum(|l| l.input),
            cached: sum(|l| l.cached),
            output: sum(|l| l.output),
            cost: rest.iter().map(|l| l.cost).sum(),
            ..UsageLine::default()
        });
    }
    let by_model = |of: fn(&UsageLine) -> f64| -> Vec<(String, f64)> {
        lines
            .iter()
            .map(|line| (label("model", &line.group), of(line)))
            .collect()
    };
    let tokens = lines.iter().flat_map(|line| {
        let model = label("model", &line.group);
        [("input", line.input), ("cached", line.cached), ("output", line.output)]
            .map(|(direction, count)| (format!("{model},{}", label("direction", direction)), count as f64))
    });
    let latency = lines.iter().flat_map(|line| {
        let model = label("model", &line.group);
        [
            ("0.5", line.p50_millis),
            ("0.95", line.p95_millis),
            ("0.99", line.p99_millis),
        ]
        .map(|(quantile, millis)| {
            (
                format!("{model},{}", label("quantile", quantile)),
                millis as f64 / 1000.0,
            )
        })
    });
    Ok(vec![
        Metric::new(
            "model_calls_total",
            "counter",
            "Calls of models.",
            by_model(|l| l.calls as f64),
        ),
        Metric::new(
            "model_calls_failed_total",
            "counter",
            "Of them, those that failed.",
            by_model(|l| l.failed as f64),
        ),
        Metric::new(
            "model_tokens_total",
            "counter",
            "Tokens sent and received.",
            tokens.collect(),
        ),
        Metric::new(
            "model_cost_dollars_total",
            "counter",
            "What calls have cost.",
            by_model(|l| l.cost.0 as f64 / 1e6),
        ),
        Metric::new(
            "model_call_seconds",
            "gauge",
            "How long calls take, by quantile.",
            latency.collect(),
        ),
    ])
}

async fn of_server(shared: &Shared) -> Result<Vec<Metric>, Refusal> {
    let balances = shared.books.balances(Scope::Day.day(crate::now())).await?;
    let day = balances.iter().find(|balance| balance.scope == Scope::Day.to_string());
    let spent = day.map_or(0, |balance| balance.spent.0 + balance.held.0) as f64 / 1e6;
    let limit = shared.app.config.gateway.budget.day.map(|day| day.0 as f64 / 1e6);
    let (memory, processor) = used();
    let newest = shared.app.engine.store().newest().await?;
    let mut metrics = vec![
        Metric::one(
            "budget_day_spent_dollars",
            "gauge",
            "Spent and held of the day's budget.",
            spent,
        ),
        Metric::one(
            "events_total",
            "counter",
            "The number of the newest event.",
            newest as f64,
        ),
        Metric::one(
            "event_lag",
            "gauge",
            "Events that are stored and not yet told to those who follow.",
            newest.saturating_sub(shared.tail.at()) as f64,
        ),
        Metric::one(
            "stream_clients",
            "gauge",
            "Readers of the event stream.",
            shared.tail.followers() as f64,
        ),
        Metric::one("memory_bytes", "gauge", "Resident memory of this process.", memory),
        Metric::one(
            "processor_seconds_total",
            "counter",
            "Processor time of this process.",
            processor,
        ),
        Metric::one(
            "uptime_seconds",
            "gauge",
            "Since this server started.",
            shared.started.elapsed().as_secs_f64(),
        ),
        Metric::one(
            "store_up",
            "gauge",
            "Whether the store could be read the last time.",
            f64::from(u8::from(shared.tail.trouble().is_none())),
        ),
        Metric::new(
            "build_info",
            "gauge",
            "The program.",
            vec![(label("version", env!("CARGO_PKG_VERSION")), 1.0)],
        ),
    ];
    metrics.extend(limit.map(|limit| {
        let left = (limit - spent).max(0.0);
        Metric::one(
            "budget_day_left_dollars",
            "gauge",
            "What is left of the day's budget.",
            left,
        )
    }));
    Ok(metrics)
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
