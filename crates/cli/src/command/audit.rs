//! `maestria audit`: who did what on whose leave, and whether the trail is whole.

use super::{Context, Done, Failure, lists::print_json};
use crate::exit::Exit;
use clap::Subcommand;
use maestria_server::{
    audit,
    sandbox::audit::{Audit, Entry},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The last entries.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: usize,
    },
    /// Check every seal: finds what was changed, dropped, moved or cut. Exit code 0 when the trail is whole.
    Verify {
        /// As one JSON document on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Every entry with its seal, one JSON a line.
    Export,
}

pub(super) fn execute(context: &Context, verb: Option<&Verb>) -> Done {
    let trail = audit::trail(&context.config()?.store);
    match verb {
        None => tail(&trail, 20),
        Some(Verb::Tail { lines }) => tail(&trail, *lines),
        Some(Verb::Verify { json }) => verify(&trail, *json),
        Some(Verb::Export) => {
            for line in trail.lines()? {
                println!("{line}");
            }
            Ok(Exit::Ok)
        }
    }
}

fn tail(trail: &Audit, count: usize) -> Done {
    let lines = trail.lines()?;
    for line in lines.iter().skip(lines.len().saturating_sub(count)) {
        println!(
            "{}",
            shown(line).unwrap_or_else(|| "an entry that cannot be read".to_owned())
        );
    }
    if lines.is_empty() {
        println!("nothing has happened yet");
    }
    Ok(Exit::Ok)
}

/// One entry for people, without what could drive a terminal.
fn shown(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let entry: Entry = serde_json::from_value(line.get("entry")?.clone()).ok()?;
    let record = entry.record;
    let mut text = format!("{:>6}  {}  {}: {}", entry.seq, record.run, record.who, record.what);
    for (name, value) in [("", &record.decision), ("rule", &record.rule), ("in", &record.layers)] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value}").replace(",  ", ", "));
        }
    }
    if let Some(hash) = &record.argv_sha256 {
        text.push_str(&format!(", command {}", hash.get(..12).unwrap_or(hash)));
    }
    Some(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

fn verify(trail: &Audit, json: bool) -> Done {
    match trail.verify() {
        Ok(whole) if json => {
            print_json(&whole)?;
            Ok(Exit::Ok)
        }
        Ok(whole) => {
            println!("whole: {} entries, last seal {}", whole.entries, whole.last);
            Ok(Exit::Ok)
        }
        Err(broken) if json => {
            print_json(&broken)?;
            Ok(Exit::User)
        }
        Err(broken) => Err(Failure::user(
            broken.to_string(),
            "keep the folder as it is, and compare it with a backup or an export",
        )),
    }
}
