//! `maestria audit`: who did what on whose leave, and whether the trail is whole.

use super::{Context, Done, Failure, lists::print_json};
use crate::{exit::Exit, out};
use clap::Subcommand;
use maestria_api::audit::{AuditLine, Checked};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The last entries.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: u32,
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

pub(super) async fn execute(context: &Context, verb: Option<&Verb>) -> Done {
    let place = context.place()?;
    match verb {
        None => tail(&place.audited(20).await?),
        Some(Verb::Tail { lines }) => tail(&place.audited(*lines).await?),
        Some(Verb::Verify { json }) => verify(&place.check_trail().await?, *json),
        Some(Verb::Export) => {
            place.export_trail(out::bytes).await?;
            Ok(Exit::Ok)
        }
    }
}

fn tail(lines: &[AuditLine]) -> Done {
    lines.iter().for_each(|line| println!("{}", shown(line)));
    if lines.is_empty() {
        println!("nothing has happened yet");
    }
    Ok(Exit::Ok)
}

/// One entry for people, without what could drive a terminal.
fn shown(line: &AuditLine) -> String {
    let mut text = format!("{:>6}  {}  {}: {}", line.seq, line.run, line.who, line.what);
    for (name, value) in [("", &line.decision), ("rule", &line.rule), ("in", &line.layers)] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value}").replace(",  ", ", "));
        }
    }
    if let Some(hash) = &line.argv_sha256 {
        text.push_str(&format!(", command {}", hash.get(..12).unwrap_or(hash)));
    }
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn verify(checked: &Checked, json: bool) -> Done {
    if json {
        print_json(checked)?;
        return Ok(if checked.whole { Exit::Ok } else { Exit::User });
    }
    match checked {
        Checked {
            whole: true,
            entries: Some(entries),
            last: Some(last),
            ..
        } => {
            println!("whole: {entries} entries, last seal {last}");
            Ok(Exit::Ok)
        }
        broken => Err(Failure::user(
            broken
                .detail
                .clone()
                .unwrap_or_else(|| "the trail is not whole".to_owned()),
            "keep the folder as it is, and compare it with a backup or an export",
        )),
    }
}
