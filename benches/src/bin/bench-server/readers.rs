//! A thousand readers of the stream while a hundred events a second happen: what is lost, what comes twice, how late they
//! are, what a reader costs; and how the server is to others meanwhile.

use crate::{
    ROUNDS,
    scene::{Author, Scene, now},
};
use anyhow::{Context as _, ensure};
use maestria_benches::{Figure, Table, find, median, run};
use maestria_store::SqliteStore;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

const READERS: usize = 1000;

/// Events of a round, and how often one comes.
const EVENTS: usize = 500;
const PACE: Duration = Duration::from_millis(10);

/// How long the last event may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one reader has seen.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    /// How late each was, in milliseconds.
    late: Vec<f64>,
}

/// What one round has shown.
struct Round {
    lost: f64,
    repeated: f64,
    late: f64,
    kilobytes: f64,
    health: f64,
    health_half: f64,
}

pub(crate) async fn measure(scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let mut author = Author::new(Arc::new(SqliteStore::open(scene.store())?));
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round(scene, &mut author).await?);
    }
    let of = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<f64>>());
    let all = |figure: fn(&Round) -> f64| rounds.iter().map(figure).sum::<f64>();
    let told = format!("{READERS} readers, {} events in {ROUNDS} rounds", EVENTS * ROUNDS);
    table.show(&Figure::at_most("events lost", all(|r| r.lost), "", 0.0, &told));
    table.show(&Figure::at_most("events repeated", all(|r| r.repeated), "", 0.0, &told));
    let late = "from before the commit to the reader, all readers, 100 events/s";
    table.show(&Figure::at_most(
        "delivery, 99 of 100",
        of(|r| r.late),
        "ms",
        100.0,
        late,
    ));
    // Later rounds take memory again that earlier ones gave back: the most is what a reader costs.
    let held = "growth of the server over the readers, before the first event; the most of all rounds";
    table.show(&Figure::at_most(
        "memory of a reader",
        rounds.iter().map(|r| r.kilobytes).fold(0.0, f64::max),
        "kB",
        20.0,
        held,
    ));
    let health = format!(
        "half of them {:.1} ms; one connection among the readers",
        of(|r| r.health_half)
    );
    table.show(&Figure::at_most(
        "/health, 99 of 100, beside the readers",
        of(|r| r.health),
        "ms",
        50.0,
        health,
    ));
    Ok(())
}

async fn round(scene: &Scene, author: &mut Author) -> anyhow::Result<Round> {
    let before = scene.memory()?;
    let mut readers = JoinSet::new();
    let mut sockets = Vec::new();
    for _ in 0..READERS {
        sockets.push(begin(scene).await?);
    }
    let kilobytes = (scene.memory()? - before).max(0.0) / READERS as f64;
    let until = Instant::now() + PACE * u32::try_from(EVENTS)? + PATIENCE;
    for (socket, rest) in sockets {
        readers.spawn(read(socket, rest, until));
    }
    let asking = run(scene.port, scene.get("/health"), 1, PACE * u32::try_from(EVENTS)?);
    let (said, asked) = tokio::join!(say(author), asking);
    said?;
    let asked = asked?;
    let (mut lost, mut repeated, mut late) = (0, 0, Vec::new());
    while let Some(seen) = readers.join_next().await {
        let mut seen = seen??;
        let told = seen.numbers.len();
        seen.numbers.sort_unstable();
        seen.numbers.dedup();
        repeated += told - seen.numbers.len();
        lost += EVENTS - seen.numbers.len();
        late.append(&mut seen.late);
    }
    late.sort_by(f64::total_cmp);
    Ok(Round {
        lost: lost as f64,
        repeated: repeated as f64,
        late: late.get(late.len() * 99 / 100).copied().unwrap_or(f64::NAN),
        kilobytes,
        health: asked.micros(0.99) / 1e3,
        health_half: asked.micros(0.5) / 1e3,
    })
}

async fn say(author: &mut Author) -> anyhow::Result<()> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..EVENTS {
        pace.tick().await;
        author.say().await?;
    }
    Ok(())
}

/// Opens a stream and waits until it is ready; with what has come already.
async fn begin(scene: &Scene) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let mut socket = TcpStream::connect(("127.0.0.1", scene.port)).await?;
    socket.write_all(&scene.get("/api/v1/events?kinds=task.said")).await?;
    let mut buffer = Vec::new();
    while find(&buffer, b"event: ready").is_none() {
        ensure!(socket.read_buf(&mut buffer).await? > 0, "a stream was closed");
    }
    Ok((socket, Vec::new()))
}

/// Reads until all events have come.
async fn read(mut socket: TcpStream, mut buffer: Vec<u8>, until: Instant) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    while seen.numbers.len() < EVENTS {
        let Ok(read) = timeout_at(until, socket.read_buf(&mut buffer)).await else {
            break;
        };
        ensure!(read? > 0, "a stream was closed");
        let at = now();
        let Some(whole) = buffer.windows(2).rposition(|end| end == b"\n\n") else {
            continue;
        };
        let rest = buffer.split_off(whole + 2);
        for line in String::from_utf8_lossy(&buffer).lines() {
            if let Some(event) = line.strip_prefix("data: ") {
                // The whole line is looked at by a few only: it is the server that is measured.
                let number = field(event, "\"number\":").context("a number")?;
                let when = field(event, "\"at\":").context("a moment")?;
                if event.contains("\"kind\":\"task.said\"") {
                    seen.numbers.push(number);
                    seen.late.push(at as f64 - when as f64);
                }
            }
        }
        buffer = rest;
    }
    Ok(seen)
}

/// A number in a line of JSON.
fn field(line: &str, name: &str) -> Option<u64> {
    let rest = line.split_once(name)?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}
