//! Submissions beside bare appends to a store on the same disk: both answer when what they were given is durable.

use crate::{
    ROUNDS,
    scene::{Author, Scene, TASK},
};
use maestria_benches::{Figure, Table, median, run};
use maestria_store::SqliteStore;
use std::time::{Duration, Instant};

/// Short, because each submission also begins a run, and only the answer is measured here.
const LENGTH: Duration = Duration::from_millis(500);

pub(crate) async fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    // A folder that is no repository: each run ends where it begins, and what is measured is how it is taken.
    let target = scene.home.path().join("plain");
    std::fs::create_dir(&target)?;
    let body = format!(
        r#"{{"text":"{TASK}","target":"{}","agents":["playbook-author","playbook-reviewer"]}}"#,
        target.display()
    );
    let request = scene.request("POST", "/api/v1/runs", &body);
    let bare = SqliteStore::open(scene.home.path().join("bare.db"))?;
    let mut author = Author::new(bare);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let limit = append(&mut author).await?;
        let submitted = run(scene.port, request.clone(), 1, LENGTH).await?;
        rounds.push((submitted.a_second(), limit));
    }
    let of = |figure: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(figure).collect::<Vec<f64>>());
    let beside = format!(
        "{:.0}/s beside {:.0} appends/s, one client each",
        of(|r| r.0),
        of(|r| r.1)
    );
    table.show(&Figure::at_least(
        "submissions, of the store's limit",
        of(|r| r.0 / r.1),
        "×",
        0.7,
        beside,
    ));
    Ok(())
}

async fn append(author: &mut Author) -> anyhow::Result<f64> {
    let (began, mut count) = (Instant::now(), 0.0);
    while began.elapsed() < LENGTH {
        author.say().await?;
        count += 1.0;
    }
    Ok(count / began.elapsed().as_secs_f64())
}
