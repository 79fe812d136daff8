//! The server beside nginx serving a file, and beside the store's own limit: reads, submissions, and a thousand readers
//! of the stream.
//!
//! `bench-server MAESTRIA FOLDER [PART]`, a part being `reads`, `readers` or `submit`. The folder lies on a real disk. Server and nginx have the first core to themselves, one
//! after the other; clients have the others.

mod readers;
mod scene;
mod submit;

use anyhow::Context as _;
use maestria_benches::{Figure, Running, Seen, Table, leave_first_core, median, nginx, run};
use scene::Scene;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Interleaved repetitions, and how long one is.
const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_secs(1);

/// Connections that ask at once.
const CONNECTIONS: usize = 32;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let program = PathBuf::from(args.next().context("the program maestria")?);
    let folder = PathBuf::from(args.next().context("a folder on the disk that is to be measured")?);
    let part = args.next().and_then(|part| part.into_string().ok());
    leave_first_core()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench(&program, &folder, part.as_deref()))
}

async fn bench(program: &Path, folder: &Path, part: Option<&str>) -> anyhow::Result<()> {
    let scene = Scene::start(program, folder)?;
    let mut table = Table::default();
    let wanted = |name: &str| part.is_none_or(|part| part == name);
    if wanted("reads") {
        health(&scene, &mut table).await?;
        for path in ["/api/v1/meta", "/api/v1/runs?limit=20", "/api/v1/runs/last"] {
            reads(&scene, path, &mut table).await?;
        }
    }
    if wanted("readers") {
        readers::measure(&scene, &mut table).await?;
    }
    // Last: it leaves thousands of runs behind.
    if wanted("submit") {
        submit::measure(&scene, &mut table).await?;
    }
    table.end();
    Ok(())
}

/// One client that asks how the server is, while nothing else happens.
async fn health(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(run(scene.port, scene.get("/health"), 1, LENGTH).await?);
    }
    let of = |share: f64| median(&rounds.iter().map(|seen| seen.micros(share) / 1e3).collect::<Vec<f64>>());
    let beside = format!("half of them {:.3} ms", of(0.5));
    table.show(&Figure::at_most(
        "/health, 99 of 100, idle",
        of(0.99),
        "ms",
        5.0,
        beside,
    ));
    Ok(())
}

/// A path beside nginx with a file of the same bytes.
async fn reads(scene: &Scene, path: &'static str, table: &mut Table) -> anyhow::Result<()> {
    let answer = scene.ask(path)?;
    let files = tempfile::tempdir()?;
    fs::write(files.path().join("file"), &answer)?;
    let place = format!(
        "root {}; try_files /file =404; default_type application/json;",
        files.path().display()
    );
    let Some((child, port)) = nginx::start(files.path(), "", &place)? else {
        println!("nginx is not installed (`apt-get install nginx-light`), and without it there is no yardstick");
        return Ok(());
    };
    let _peer = Running(child);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let ours = run(scene.port, scene.get(path), CONNECTIONS, LENGTH).await?;
        let floor = run(port, scene.get("/"), CONNECTIONS, LENGTH).await?;
        // The first round only warms up.
        if round > 0 {
            rounds.push((ours, floor));
        }
    }
    let of = |figure: &dyn Fn(&(Seen, Seen)) -> f64| median(&rounds.iter().map(figure).collect::<Vec<f64>>());
    let ratio = of(&|(ours, floor)| ours.a_second() / floor.a_second());
    let beside = format!(
        "{:.0}/s beside {:.0}/s of a file of {} bytes",
        of(&|(ours, _)| ours.a_second()),
        of(&|(_, floor)| floor.a_second()),
        answer.len()
    );
    table.show(&Figure::at_least(path, ratio, "×", 0.3, beside));
    Ok(())
}
