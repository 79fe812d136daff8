//! The state tables, printed into the documentation. `UPDATE_DOCS=1` rewrites it.

use maestria_kernel::state::{RunState, RunStep, TaskState, TaskStep};
use std::{fmt::Write as _, path::PathBuf};

fn table<S: Copy, T: Copy + std::fmt::Debug>(
    out: &mut String,
    states: &[S],
    steps: &[T],
    show: impl Fn(S) -> String,
    next: impl Fn(S, T) -> Option<S>,
) {
    let _ = write!(out, "| state |");
    for step in steps {
        let _ = write!(out, " {step:?} |");
    }
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(steps.len()));
    for state in states {
        let _ = write!(out, "| **{}** |", show(*state));
        for step in steps {
            let _ = write!(out, " {} |", next(*state, *step).map_or_else(|| "·".to_owned(), &show));
        }
        out.push('\n');
    }
}

fn show_run(state: RunState) -> String {
    match state {
        RunState::Escalated(phase) => format!("escalated ({phase:?})").to_lowercase(),
        RunState::Paused(phase) => format!("paused ({phase:?})").to_lowercase(),
        other => other.to_string(),
    }
}

fn document() -> String {
    let mut out = String::from(
        "# States\n\nPrinted by the kernel's tests from the code; `·` means that the step does not fit the state.\n\n## A run\n\n",
    );
    table(&mut out, &RunState::ALL, &RunStep::ALL, show_run, |s, step| {
        s.next(step).ok()
    });
    out.push_str("\n## A task\n\n");
    table(
        &mut out,
        &TaskState::ALL,
        &TaskStep::ALL,
        |s| s.to_string(),
        |s, step| s.next(step).ok(),
    );
    out
}

#[test]
fn the_documented_tables_are_those_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    let now = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "docs/states.md is old; run the test with UPDATE_DOCS=1");
}

#[test]
fn every_state_has_a_way_out_or_is_an_end() {
    for state in RunState::ALL {
        let ways = RunStep::ALL.iter().filter(|s| state.next(**s).is_ok()).count();
        assert!(ways > 0, "{state:?} is a trap");
    }
    for state in TaskState::ALL {
        let ways = TaskStep::ALL.iter().filter(|s| state.next(**s).is_ok()).count();
        assert!(ways > 0, "{state:?} is a trap");
    }
}

#[test]
fn a_finished_run_moves_only_by_retry() {
    for state in RunState::ALL.into_iter().filter(|s| s.is_finished()) {
        let ways: Vec<_> = RunStep::ALL.iter().filter(|s| state.next(**s).is_ok()).collect();
        assert_eq!(ways, [&RunStep::Retry], "{state:?}");
    }
}
