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

/// Which entries are wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Only of who did or decided it.
    pub who: Option<String>,
    /// Only what begins so.
    pub what: Option<String>,
    /// Only of this run, by its full id.
    pub run: Option<String>,
}

impl Wanted {
    fn takes(&self, line: &AuditLine) -> bool {
        self.who.as_ref().is_none_or(|who| &line.who == who)
            && self.what.as_ref().is_none_or(|what| line.what.starts_with(what))
            && self.run.as_ref().is_none_or(|run| &line.run == run)
    }

    /// What stands in the text of each line that is wanted: most others need not be read.
    fn marks(&self) -> Vec<String> {
        let whole = |text: &Option<String>| text.as_ref().map(|text| serde_json::json!(text).to_string());
        let begin = whole(&self.what).map(|quoted| quoted.trim_end_matches('"').to_owned());
        [whole(&self.who), begin, whole(&self.run)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// A page of the entries that end before a place of the trail, newest first, as they stand: [`check`] says whether they can be
/// believed. One that cannot be read is there, too, and says so. With it the place before which the next page ends, if there
/// is one.
///
/// # Errors
/// When the trail cannot be read.
pub fn newest(
    trail: &Audit,
    wanted: &Wanted,
    before: u64,
    most: usize,
) -> std::io::Result<(Vec<AuditLine>, Option<u64>)> {
    let marks = wanted.marks();
    let (mut items, mut last) = (Vec::new(), before);
    for line in trail.backwards(before)? {
        let (place, line) = line?;
        if !marks.iter().all(|mark| line.contains(mark)) {
            continue;
        }
        let line = entry(&line);
        if wanted.takes(&line) {
            if items.len() == most {
                return Ok((items, Some(last)));
            }
            items.push(line);
            last = place;
        }
    }
    Ok((items, None))
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
