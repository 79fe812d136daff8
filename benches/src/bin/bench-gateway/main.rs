//! The gateway beside nginx: the same clients, the same upstream, one core for the one that is measured and the other
//! cores for everything else.
//!
//! `bench-gateway MAESTRIA [PART] [COUNT] [--json] [--packages=FOLDER]`. Without a part: all of them, the long ones shortened.
//!
//! * `beside`: nginx is the floor: it only passes on. The gateway authenticates, routes, takes and settles budgets, and
//!   meters every call.
//! * `idle`: its memory before the first call, and how soon the first answer is there.
//! * `others`: TensorZero, SMG and LiteLLM on the same calls; `--packages FOLDER` says where their programs are.
//! * `budgets`: rounds of 64 parallel calls against room for k, on every endpoint, some with a kill in the middle.
//! * `growth`: the memory of the gateway over very many calls.

mod budgets;
mod growth;
mod idle;
mod others;
mod peer;
mod routing;
mod upstream;

use anyhow::Context as _;
use maestria_benches::{Figure, Seen, Table, leave_first_core, median, run};
use peer::Peer;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Interleaved repetitions.
const ROUNDS: usize = 5;

/// One repetition.
const LENGTH: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let program = PathBuf::from(args.next().context("the program maestria")?);
    let rest: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let json = rest.iter().any(|arg| arg == "--json");
    let count = rest.iter().find_map(|arg| arg.parse::<u64>().ok());
    let packages = rest.iter().find_map(|arg| arg.strip_prefix("--packages="));
    let part = rest
        .iter()
        .find(|arg| !arg.starts_with("--") && arg.parse::<u64>().is_err());
    leave_first_core()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (rounds, calls) = (count.unwrap_or(1_000), count.unwrap_or(1_000_000));
    let mut table = Table::default();
    match part.map(String::as_str) {
        Some("beside") => runtime.block_on(bench(&program, json, &mut table))?,
        Some("idle") => runtime.block_on(idle::measure(&program, &mut table))?,
        Some("others") => {
            let packages = packages.context("`--packages=FOLDER` says where their programs are")?;
            runtime.block_on(others::compare(&program, Path::new(packages), &mut table))?;
        }
        Some("budgets") => runtime.block_on(budgets::rounds(&program, rounds, &mut table))?,
        Some("growth") => runtime.block_on(growth::watch(&program, calls, &mut table))?,
        Some(other) => anyhow::bail!("there is no part `{other}`; there are beside, idle, others, budgets and growth"),
        None => {
            runtime.block_on(bench(&program, json, &mut table))?;
            if !json {
                runtime.block_on(idle::measure(&program, &mut table))?;
            }
            if let Some(packages) = packages.filter(|_| !json) {
                runtime.block_on(others::compare(&program, Path::new(packages), &mut table))?;
            }
            if !json {
                runtime.block_on(budgets::rounds(&program, SOME_ROUNDS, &mut table))?;
                runtime.block_on(growth::watch(&program, SOME_CALLS, &mut table))?;
            }
        }
    }
    if !json {
        table.end();
    }
    Ok(())
}

/// What is done of the long parts when all are done.
const SOME_ROUNDS: u64 = 50;
const SOME_CALLS: u64 = 50_000;

/// A request as it goes over the wire.
fn request(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer KEY\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What is measured of a peer.
#[derive(Debug, Default)]
struct Measured {
    rps: Vec<f64>,
    cpu: Vec<f64>,
    p50: Vec<f64>,
    large: Vec<f64>,
    events: Vec<f64>,
    last_byte: Vec<f64>,
    translated: Vec<f64>,
}

async fn bench(program: &Path, json: bool, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = upstream::start().await?;
    let gateway = Peer::gateway(program, folder.path(), upstream)?;
    let Some(nginx) = Peer::nginx(folder.path(), upstream)? else {
        println!("nginx is not installed (`apt-get install nginx-light`), and without it there is no yardstick");
        return Ok(());
    };
    let body = |size: usize, stream: bool| {
        let text = "word ".repeat(size / 5);
        format!(
            r#"{{"model":"m","stream":{stream},"max_tokens":200,"messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    };
    let (small, large) = (body(1_000, false), body(256 << 10, false));
    let peers = [&gateway, &nginx];
    let mut measured = [Measured::default(), Measured::default()];
    for round in 0..=ROUNDS {
        for (peer, seen) in peers.iter().zip(&mut measured) {
            let asks = |path: &str, body: &str| peer.with_key(&request(path, body));
            let chat = "/v1/chat/completions";
            let before = peer.cpu()?;
            let calls = run(peer.port, asks(chat, &small), 32, LENGTH).await?;
            let cpu = peer.cpu()? - before;
            let alone = run(peer.port, asks(chat, &small), 1, LENGTH / 2).await?;
            let bodies = run(peer.port, asks(chat, &large), 4, LENGTH / 2).await?;
            let streams = run(peer.port, asks(chat, &body(1_000, true)), 8, LENGTH / 2).await?;
            let one = run(peer.port, asks(chat, &body(1_000, true)), 1, LENGTH / 2).await?;
            // The first round only warms up.
            if round == 0 {
                continue;
            }
            seen.rps.push(calls.a_second());
            seen.cpu.push(per_call(cpu, &calls));
            seen.p50.push(alone.p50_micros());
            seen.large.push(bodies.p50_micros());
            #[expect(clippy::cast_precision_loss, reason = "a hundred")]
            seen.events.push(streams.a_second() * upstream::EVENTS as f64);
            seen.last_byte.push(one.p50_micros());
            if std::ptr::eq(*peer, &gateway) {
                let translated = run(peer.port, asks("/v1/messages", &small), 32, LENGTH).await?;
                seen.translated.push(translated.a_second());
            }
        }
    }
    report(&measured, json, gateway.memory()?, table);
    if !json {
        routing::decide(table)?;
    }
    Ok(())
}

fn per_call(cpu: Duration, seen: &Seen) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let answers = seen.answers as f64;
    cpu.as_secs_f64() * 1e6 / answers
}

fn report(measured: &[Measured; 2], json: bool, memory: f64, table: &mut Table) {
    let [ours, nginx] = measured;
    let of = |values: &Vec<f64>| median(values);
    let ratio = |ours: &Vec<f64>, theirs: &Vec<f64>| {
        let pairs: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        median(&pairs)
    };
    if json {
        let peer = |m: &Measured| {
            serde_json::json!({
                "rps_c32": of(&m.rps), "cpu_us": of(&m.cpu), "p50_us_c1": of(&m.p50), "p50_us_256k": of(&m.large),
                "events": of(&m.events), "last_byte_us": of(&m.last_byte),
            })
        };
        let mut maestria = peer(ours);
        maestria["rps_translated"] = of(&ours.translated).into();
        maestria["memory_mb"] = memory.into();
        println!("{}", serde_json::json!({"maestria": maestria, "nginx": peer(nginx)}));
        return;
    }
    let beside = |ours: &Vec<f64>, theirs: &Vec<f64>, unit: &str| {
        format!("{:.0} beside nginx {:.0} {unit}", of(ours), of(theirs))
    };
    table.show(&Figure::at_least(
        "calls, c=32, 1 KB",
        ratio(&ours.rps, &nginx.rps),
        "×",
        0.5,
        beside(&ours.rps, &nginx.rps, "a second"),
    ));
    table.show(&Figure::at_most(
        "CPU a call",
        ratio(&ours.cpu, &nginx.cpu),
        "×",
        2.0,
        beside(&ours.cpu, &nginx.cpu, "µs"),
    ));
    table.show(&Figure::at_most(
        "p50, c=1",
        ratio(&ours.p50, &nginx.p50),
        "×",
        1.5,
        beside(&ours.p50, &nginx.p50, "µs"),
    ));
    table.show(&Figure::at_most(
        "p50, 256 KB, c=4",
        ratio(&ours.large, &nginx.large),
        "×",
        1.3,
        beside(&ours.large, &nginx.large, "µs"),
    ));
    table.show(&Figure::at_least(
        "stream events, c=8",
        ratio(&ours.events, &nginx.events),
        "×",
        0.7,
        beside(&ours.events, &nginx.events, "a second"),
    ));
    table.show(&Figure::at_most(
        "last byte of a stream",
        ratio(&ours.last_byte, &nginx.last_byte),
        "×",
        1.4,
        beside(&ours.last_byte, &nginx.last_byte, "µs"),
    ));
    table.show(&Figure::at_least(
        "Anthropic in, OpenAI out, of pass-through",
        ratio(&ours.translated, &ours.rps),
        "×",
        0.6,
        format!("{:.0} a second", of(&ours.translated)),
    ));
    table.show(&Figure::at_most(
        "memory after all of it",
        memory,
        "MB",
        40.0,
        "the whole program",
    ));
}
