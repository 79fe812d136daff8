//! `maestria agents`: who is there, and what a recorded stream really says.

use super::{Context, Done, Failure, lists::print_json};
use crate::{args::Agents, exit::Exit, render};
use std::path::Path;

pub(super) async fn execute(context: &Context, verb: Option<Agents>) -> Done {
    match verb {
        None => list(context, false).await,
        Some(Agents::List(output)) => list(context, output.json).await,
        Some(Agents::Probe(output)) => {
            let agents = context.place()?.probe().await?;
            if output.json {
                return print_json(&agents);
            }
            println!("{}", render::agents(&agents, context.paint));
            Ok(Exit::Ok)
        }
        Some(Agents::Replay {
            agent,
            stream,
            stderr,
            exit,
        }) => {
            let stream = read(&stream)?;
            let stderr = stderr.as_deref().map(read).transpose()?.unwrap_or_default();
            let lines = maestria_server::replay(&agent, &stream, &stderr, exit)
                .map_err(|e| Failure::user(e, "agents: claude, codex, gemini, opencode, acp"))?;
            lines.iter().for_each(|line| println!("{line}"));
            Ok(Exit::Ok)
        }
    }
}

async fn list(context: &Context, json: bool) -> Done {
    let names = context.place()?.agents().await?;
    if json {
        return print_json(&names);
    }
    for (name, how) in &names {
        println!("{:<20} {}", render::clean(name), render::clean(how));
    }
    eprintln!("`maestria agents probe` starts each one and says whether it can work");
    Ok(Exit::Ok)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::user(format!("{}: {e}", path.display()), ""))
}
