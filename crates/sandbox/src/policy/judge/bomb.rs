//! Fork bombs: functions that start themselves beside themselves, and endless loops that leave processes behind.

use super::{Finding, Judge, Level, Simple};
use crate::policy::shell::bare;
use std::collections::{HashMap, HashSet};

impl Judge<'_> {
    pub(super) fn bomb(&self, script: &[Simple]) -> Finding {
        let functions: HashSet<&str> = script.iter().filter_map(|simple| simple.within.as_deref()).collect();
        let mut calls: HashMap<&str, Vec<(String, bool)>> = HashMap::new();
        for simple in script {
            // Any word: `exec f`, `eval f` and `bash -c f` call it as well.
            for word in simple.words.iter().filter_map(|word| bare(word)) {
                if let Some(within) = simple.within.as_deref()
                    && functions.contains(word.as_str())
                    && (simple.multiplies || bare(&simple.words[0]).as_deref() == Some(&word))
                {
                    calls.entry(within).or_default().push((word, simple.multiplies));
                }
            }
        }
        let explodes = functions.iter().any(|function| {
            let edges = calls.get(function).into_iter().flatten();
            edges
                .filter(|(_, multiplies)| *multiplies)
                .any(|(callee, _)| reaches(&calls, callee, function))
        });
        if explodes {
            return self.found(
                Level::Block,
                "process.bomb",
                "a function starts itself again and again, beside itself",
            );
        }
        if script.iter().any(|simple| {
            simple.endless && simple.multiplies && !simple.words.is_empty() && is_left_behind(simple, script)
        }) {
            return self.found(
                Level::Confirm,
                "process.endless",
                "an endless loop leaves processes behind",
            );
        }
        Finding::allow()
    }
}

/// A loop that waits, or sleeps, or reads does not multiply.
fn is_left_behind(simple: &Simple, script: &[Simple]) -> bool {
    let calm = ["wait", "sleep", "read", "break", "inotifywait"];
    simple.fed_by.is_none()
        && !script.iter().any(|other| {
            other.endless
                && other
                    .words
                    .first()
                    .and_then(|word| bare(word))
                    .is_some_and(|word| calm.contains(&word.as_str()))
        })
}

fn reaches(calls: &HashMap<&str, Vec<(String, bool)>>, from: &str, to: &str) -> bool {
    let (mut ahead, mut seen) = (vec![from.to_owned()], HashSet::new());
    while let Some(function) = ahead.pop() {
        if function == to {
            return true;
        }
        if seen.insert(function.clone()) {
            ahead.extend(
                calls
                    .get(function.as_str())
                    .into_iter()
                    .flatten()
                    .map(|(callee, _)| callee.clone()),
            );
        }
    }
    false
}
