//! Submissions beside bare commits to a store on the same disk: both answer when what they were given is durable.
//!
//! The yardstick is the store alone, in this process, without a server: each client commits, waits until that is durable, and
//! commits the next. It is taken twice: with what a submission commits (two events with the whole request, what they owe, the
//! run's row), and with one small event, which is the least that can be committed. Neither side has anything else to do while
//! it is measured: every run of a round is waited for before the next.

use crate::{
    ROUNDS,
    scene::{Author, Scene, TASK},
};
use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Table, median, run};
use maestria_kernel::{
    Command, EffectId, Event, Run, RunId, Seq, decide, effects,
    port::{Batch, Store as _, Stored},
};
use maestria_store::SqliteStore;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Short, because thousands of runs are waited for after each.
const LENGTH: Duration = Duration::from_millis(150);

/// How long the runs of a round may take to end.
const PATIENCE: Duration = Duration::from_secs(600);

/// What one round has shown, a second each.
struct Round {
    submitted: f64,
    same: f64,
    small: f64,
    /// The share of the runs that had not begun when the last was answered.
    behind: f64,
}

pub(crate) async fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    // A folder that is no repository: each run ends where it begins, and what is measured is how it is taken.
    let target = scene.home.path().join("plain");
    std::fs::create_dir(&target)?;
    let body = format!(
        r#"{{"text":"{TASK}","target":"{}","agents":["playbook-author","playbook-reviewer"]}}"#,
        target.display()
    );
    let request = scene.request("POST", "/api/v1/runs", &body);
    let bare = Arc::new(SqliteStore::open(scene.home.path().join("bare.db"))?);
    for clients in [1, 32] {
        let mut rounds = Vec::new();
        // The first round only warms up, and shows what a submission commits.
        run(scene.port, request.clone(), clients, LENGTH).await?;
        let submission = submission(scene).await?;
        clear(scene, &target).await?;
        for _ in 0..ROUNDS {
            let small = commits(clients, || small(&bare)).await?;
            let same = commits(clients, || same(&bare, &submission)).await?;
            let submitted = run(scene.port, request.clone(), clients, LENGTH).await?;
            let behind = waiting(scene)?.1 as f64 / submitted.answers as f64;
            clear(scene, &target).await?;
            rounds.push(Round {
                submitted: submitted.a_second(),
                same,
                small,
                behind,
            });
        }
        show(clients, &rounds, table);
    }
    Ok(())
}

fn show(clients: usize, rounds: &[Round], table: &mut Table) {
    let of = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<f64>>());
    let who = if clients == 1 {
        "1 client".to_owned()
    } else {
        format!("{clients} clients")
    };
    let beside = format!(
        "{:.0}/s beside {:.0} commits/s of the same without a server; {:.0} % of the runs begin behind the last answer",
        of(|r| r.submitted),
        of(|r| r.same),
        100.0 * of(|r| r.behind),
    );
    let ratio = of(|r| r.submitted / r.same);
    let name = format!("submissions, of the store's limit, {who}");
    table.show(&Figure::at_least(name, ratio, "×", 0.7, beside));
    let beside = format!("beside {:.0} commits/s of one small event", of(|r| r.small));
    let ratio = of(|r| r.submitted / r.small);
    table.show(&Figure::at_least(
        format!("of its limit for the least, {who}"),
        ratio,
        "×",
        0.7,
        beside,
    ));
}

/// What a submission commits, as the server has stored one.
async fn submission(scene: &Scene) -> anyhow::Result<Batch> {
    let store = SqliteStore::open(scene.store())?;
    let row = store.runs().await?.into_iter().next().context("a run")?;
    let first = store.events(row.id, Seq(0), 1).await?.pop().context("an event")?;
    let Event::RunSubmitted { request } = first.event else {
        anyhow::bail!("a run begins with {}", first.event.kind());
    };
    let mut run = Run::blank(row.id);
    let mut batch = Batch {
        row: Some(row),
        ..Batch::default()
    };
    for event in decide(&run, &Command::Submit { request }, first.at)? {
        run.apply(&event, first.at);
        let owed = effects(&run, &event).into_iter().zip(0..);
        batch
            .owed
            .extend(owed.map(|(effect, index)| (EffectId { seq: run.seq, index }, effect)));
        batch.events.push(Stored {
            seq: run.seq,
            at: first.at,
            event,
        });
    }
    Ok(batch)
}

/// Commits one small event after the other.
fn small(store: &Arc<SqliteStore>) -> impl Future<Output = anyhow::Result<u32>> + Send + 'static {
    let mut author = Author::new(store.clone());
    async move {
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < LENGTH {
            author.say().await?;
            count += 1;
        }
        Ok(count)
    }
}

/// Commits what a submission does, again and again, each time as another run.
fn same(store: &Arc<SqliteStore>, submission: &Batch) -> impl Future<Output = anyhow::Result<u32>> + Send + 'static {
    let (store, submission) = (store.clone(), submission.clone());
    async move {
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < LENGTH {
            let id = RunId::new(uuid::Uuid::now_v7());
            let mut batch = submission.clone();
            if let Some(row) = &mut batch.row {
                row.id = id;
            }
            store.commit(id, batch).await?;
            count += 1;
        }
        Ok(count)
    }
}

/// How many a second so many do together.
async fn commits<F>(clients: usize, client: impl Fn() -> F) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<u32>> + Send + 'static,
{
    let began = Instant::now();
    let mut committing: JoinSet<_> = (0..clients).map(|_| client()).collect();
    let mut count = 0;
    while let Some(committed) = committing.join_next().await {
        count += committed??;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// Waits until the server drives nothing any more. Runs whose target is gone meanwhile end sooner.
async fn clear(scene: &Scene, target: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir(target)?;
    let until = Instant::now() + PATIENCE;
    while waiting(scene)? != (0, 0) {
        ensure!(Instant::now() < until, "runs do not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::create_dir(target)?;
    Ok(())
}

/// How many runs are at work, and how many wait to begin.
fn waiting(scene: &Scene) -> anyhow::Result<(u64, u64)> {
    let health: serde_json::Value = serde_json::from_slice(&scene.ask("/health")?)?;
    let length = |name: &str| health["runs"][name].as_u64().context("a length");
    Ok((length("at_work")?, length("queued")?))
}
