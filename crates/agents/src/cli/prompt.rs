//! What an agent is told: the templates of `prompts/`, filled in.

use maestria_kernel::{plan::TaskKind, port::TaskJob};

const TASK: &str = include_str!("../../../../prompts/task.md");
/// The most of an earlier task's report that is passed on, in bytes.
const LONGEST_EVIDENCE: usize = 16 << 10;

/// Fills `{{name}}` places of a template. Values are not searched for places again.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            continue;
        };
        match values.iter().find(|(known, _)| *known == name.trim()) {
            Some((_, value)) => out.push_str(value),
            None => {
                out.push_str("{{");
                out.push_str(name);
                out.push_str("}}");
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    out.trim_end().to_owned()
}

/// The whole task, for a new session.
pub fn task(job: &TaskJob) -> String {
    let planned = &job.task;
    let mode = match planned.kind {
        TaskKind::Edit => {
            "Change the files so that the task is done, and check your work with the project's own tests where you can. \
             Leave your changes in the working tree: do not commit, push, or switch branches."
        }
        TaskKind::Investigate => "Change nothing. Read, run what only reads, and report what you found.",
        TaskKind::Review => "Change nothing. Judge what is there, and report your verdict with its reasons.",
    };
    let files = section("Files that are likely to matter", &list(&planned.files));
    let evidence = section("What earlier tasks have reported", &evidence(job));
    let guidance = section("Heed this", &list(&job.guidance));
    let worktree = job.worktree.display().to_string();
    let title = format!("{} {}", planned.key, planned.title);
    fill(
        TASK,
        &[
            ("title", &title),
            ("instructions", &planned.instructions),
            ("request", &job.request.text),
            ("worktree", &worktree),
            ("mode", mode),
            ("files", &files),
            ("evidence", &evidence),
            ("guidance", &guidance),
        ],
    )
}

/// What an agent is told that goes on with its session.
pub fn follow_up(job: &TaskJob) -> String {
    let opening = if job.recovering {
        "You were interrupted from outside. What you have done so far lies in the working tree; look at it, then finish the task."
    } else {
        "The task is not finished yet. Go on with it in the same working tree."
    };
    let mut parts = vec![opening.to_owned()];
    if !job.guidance.is_empty() {
        parts.push(format!("Heed this:\n{}", list(&job.guidance)));
    }
    parts.push(format!(
        "The task again: {} {}\n{}",
        job.task.key, job.task.title, job.task.instructions
    ));
    parts.push("End with a short report of what you did.".to_owned());
    parts.join("\n\n")
}

/// What an agent is told after a repair.
pub fn repaired(what: &str) -> String {
    format!("{what} Go on with the task from where you stood, and end with a short report of what you did.")
}

fn section(title: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("# {title}\n\n{text}\n\n")
    }
}

fn list(items: &[String]) -> String {
    items
        .iter()
        .map(|item| format!("- {item}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn evidence(job: &TaskJob) -> String {
    let told = job.evidence.iter().map(|(key, title, report)| {
        format!(
            "## #{key} {title}\n\n{}",
            crate::cli::text::clip(report, LONGEST_EVIDENCE)
        )
    });
    told.collect::<Vec<_>>().join("\n\n")
}
