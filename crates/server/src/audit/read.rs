//! The trail in the API's shapes: handlers and the command line say the same.

use maestria_api::audit::{AuditLine, Checked};
use maestria_kernel::At;
use maestria_sandbox::audit::{Audit, Broken, Entry};
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    entry: Entry,
    seal: String,
}

/// The entries, oldest first, as they stand: [`check`] says whether they can be believed. One that cannot be read is there,
/// too, and says so.
///
/// # Errors
/// When the trail cannot be read.
pub fn entries(trail: &Audit) -> std::io::Result<Vec<AuditLine>> {
    Ok(trail.lines()?.iter().map(|line| entry(line)).collect())
}

fn entry(line: &str) -> AuditLine {
    let Ok(Line { entry, seal }) = serde_json::from_str(line) else {
        return AuditLine {
            seq: 0,
            at: At(0),
            number: 0,
            run: String::new(),
            task: None,
            who: String::new(),
            what: "an entry that cannot be read".to_owned(),
            decision: None,
            rule: None,
            argv_sha256: None,
            layers: None,
            prev: String::new(),
            seal: String::new(),
        };
    };
    let record = entry.record;
    AuditLine {
        seq: entry.seq,
        at: At(record.at),
        number: record.number,
        run: record.run,
        task: record.task,
        who: record.who,
        what: record.what,
        decision: record.decision,
        rule: record.rule,
        argv_sha256: record.argv_sha256,
        layers: record.layers,
        prev: entry.prev,
        seal,
    }
}

/// Looks at every seal, at the order, and at the end.
pub fn check(trail: &Audit) -> Checked {
    match trail.verify() {
        Ok(whole) => Checked {
            whole: true,
            entries: Some(whole.entries),
            last: Some(whole.last),
            broken: None,
            line: None,
            detail: None,
        },
        Err(broken) => {
            let (word, line) = match &broken {
                Broken::Unreadable { .. } => ("unreadable", None),
                Broken::Changed { line, .. } => ("changed", Some(*line)),
                Broken::OutOfOrder { line, .. } => ("out-of-order", Some(*line)),
                Broken::Cut { .. } => ("cut", None),
                Broken::Head { .. } => ("head", None),
            };
            Checked {
                whole: false,
                entries: None,
                last: None,
                broken: Some(word.to_owned()),
                line,
                detail: Some(broken.to_string()),
            }
        }
    }
}
