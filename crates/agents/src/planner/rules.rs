//! A plan without a model: the text is cut into steps where its author cut it, and steps that name the same file
//! follow each other. Deterministic but for the ids.

use maestria_kernel::{
    Cost, TaskId, Tokens,
    agent::Role,
    id::TaskKey,
    plan::{Estimate, Plan, PlanSource, PlannedTask, TaskKind},
    port::PlanJob,
    review::MOST_REVIEWERS,
};

/// Steps at the most; what is beyond is one last step.
const MOST: usize = 12;

/// Plans a request by rules.
pub(super) fn plan(job: &PlanJob, files: &[String], because: &str) -> Plan {
    let text = job.request.text.trim();
    let steps = cut(text);
    let mut tasks = Vec::new();
    if steps.len() >= 3 {
        let instructions = format!(
            "Read the project with this request in mind and report what matters for it: where things are, what must \
             not break, what is risky.\n\n{text}"
        );
        tasks.push(task(
            1,
            "Look at the ground",
            instructions,
            TaskKind::Investigate,
            8_000,
        ));
    }
    let first = tasks.len();
    for step in &steps {
        let number = tasks.len() + 1;
        let named = named_files(step, files);
        let mut next = task(
            number,
            &title(step),
            step.clone(),
            TaskKind::Edit,
            20_000 + 4_000 * named.len() as u64,
        );
        if first == 1 {
            next.needs.push(TaskKey::from("E1"));
            next.instructions.push_str("\n\nWhat was found out before: #E1");
        }
        for earlier in &tasks[first..] {
            if earlier.files.iter().any(|f| named.contains(f)) || follows(step) {
                next.needs.push(earlier.key.clone());
            }
        }
        next.files = named;
        tasks.push(next);
    }
    let summary = match steps.len() {
        1 => title(text),
        n => format!("{} in {n} steps", title(text)),
    };
    Plan {
        summary,
        source: PlanSource::Rules {
            because: because.to_owned(),
        },
        tasks,
    }
}

/// A plan that judges the newest change instead of making one.
pub(super) fn review(job: &PlanJob) -> Plan {
    let reviewers = job.agents.iter().filter(|a| a.can(Role::Reviewer));
    let mut vendors = Vec::new();
    let mut tasks = Vec::new();
    for agent in reviewers {
        if !vendors.contains(&agent.vendor) && tasks.len() < MOST_REVIEWERS {
            vendors.push(agent.vendor.clone());
            let instructions = format!(
                "Judge the newest change of this repository. See it with `git log -1 -p` (uncommitted changes are \
                 part of that commit). Change nothing. What matters to the person: {}\n\nEnd with a verdict (approve, \
                 request_changes, reject, unsure) and your findings with file and line.",
                job.request.text
            );
            let mut next = task(
                tasks.len() + 1,
                "Review the newest change",
                instructions,
                TaskKind::Review,
                15_000,
            );
            next.agent = Some(agent.name.clone());
            tasks.push(next);
        }
    }
    if tasks.is_empty() {
        tasks.push(task(
            1,
            "Review the newest change",
            job.request.text.clone(),
            TaskKind::Review,
            15_000,
        ));
    }
    let because = "a review of an existing change needs no plan".to_owned();
    Plan {
        summary: "Judge the newest change".to_owned(),
        source: PlanSource::Rules { because },
        tasks,
    }
}

fn task(number: usize, title: &str, instructions: String, kind: TaskKind, tokens: u64) -> PlannedTask {
    PlannedTask {
        id: TaskId::new(uuid::Uuid::now_v7()),
        key: TaskKey::new(format!("E{number}")),
        title: title.to_owned(),
        instructions,
        kind,
        needs: Vec::new(),
        files: Vec::new(),
        agent: None,
        estimate: Estimate {
            tokens: Tokens(tokens),
            cost: Cost::ZERO,
            seconds: u32::try_from(tokens / 150).unwrap_or(600),
        },
    }
}

/// Cuts a text into steps: its list items; else its sentences that begin something new.
fn cut(text: &str) -> Vec<String> {
    let items: Vec<String> = text.lines().filter_map(item).map(str::to_owned).collect();
    let mut steps = if items.len() >= 2 { items } else { sentences(text) };
    if steps.len() > MOST {
        let rest = steps.split_off(MOST - 1).join("\n");
        steps.push(rest);
    }
    if steps.is_empty() { vec![text.to_owned()] } else { steps }
}

/// The text of a list item: `- x`, `* x`, `1. x`, `2) x`.
fn item(line: &str) -> Option<&str> {
    let line = line.trim();
    let bullet = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    let numbered = || {
        let digits = line.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
        line[digits..]
            .strip_prefix(". ")
            .or_else(|| line[digits..].strip_prefix(") "))
    };
    bullet.or_else(numbered).map(str::trim).filter(|t| !t.is_empty())
}

/// Words that a new step begins with.
const VERBS: &[&str] = &[
    "add",
    "change",
    "create",
    "delete",
    "document",
    "fix",
    "implement",
    "make",
    "move",
    "refactor",
    "remove",
    "rename",
    "replace",
    "rewrite",
    "split",
    "test",
    "update",
    "use",
    "write",
];

fn begins_step(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    VERBS.contains(&first.trim_matches(|c: char| !c.is_alphanumeric()))
}

fn sentences(text: &str) -> Vec<String> {
    let marked = text
        .replace("; ", ".\u{0}")
        .replace(", then ", ".\u{0}then ")
        .replace(". ", ".\u{0}");
    let mut steps: Vec<String> = Vec::new();
    for piece in marked.split('\u{0}').map(str::trim).filter(|p| !p.is_empty()) {
        let bare = ["then ", "Then ", "also ", "Also ", "and ", "finally ", "Finally "]
            .iter()
            .find_map(|w| piece.strip_prefix(w))
            .unwrap_or(piece);
        match steps.last_mut() {
            // What begins nothing new belongs to the step before it.
            Some(last) if !begins_step(bare) => {
                last.push(' ');
                last.push_str(piece);
            }
            _ => steps.push(piece.to_owned()),
        }
    }
    steps
}

/// A step that says it comes after the others.
fn follows(step: &str) -> bool {
    let lower = step.to_lowercase();
    ["then ", "finally ", "after that", "afterwards"]
        .iter()
        .any(|w| lower.starts_with(w))
}

/// The project's files that a text names, by path or by name.
fn named_files(text: &str, files: &[String]) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "`\"'(),;:".contains(c))
        .map(|w| w.trim_end_matches('.').trim_start_matches("./"))
        .filter(|w| w.contains('.') || w.contains('/'))
        .collect();
    let is_named = |file: &&String| {
        let name = file.rsplit('/').next().unwrap_or(file);
        words.iter().any(|w| *w == file.as_str() || *w == name)
    };
    files.iter().filter(is_named).take(20).cloned().collect()
}

/// The first line, cut for a title.
fn title(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let short: String = line.chars().take(72).collect();
    if short.len() < line.len() {
        format!("{}…", short.trim_end())
    } else {
        short
    }
}

#[cfg(test)]
mod tests {
    use super::{cut, named_files, title};

    #[test]
    fn texts_are_cut_where_their_authors_cut_them() {
        let cases: [(&str, &[&str]); 6] = [
            (
                "Add a --json flag to the status command",
                &["Add a --json flag to the status command"],
            ),
            ("Please:\n- add a flag\n- fix the docs", &["add a flag", "fix the docs"]),
            ("1. Rename a\n2) Remove b", &["Rename a", "Remove b"]),
            (
                "Add a flag. It should print JSON. Update the README.",
                &["Add a flag. It should print JSON.", "Update the README."],
            ),
            (
                "Fix the parser; write tests for it",
                &["Fix the parser.", "write tests for it"],
            ),
            ("Why is it slow?", &["Why is it slow?"]),
        ];
        for (text, steps) in cases {
            assert_eq!(cut(text), steps, "{text}");
        }
        assert_eq!(cut(&"- add x\n".repeat(40)).len(), 12);
    }

    #[test]
    fn files_are_recognised_by_path_and_name() {
        let files = ["src/main.rs", "README.md", "docs/a.md"].map(str::to_owned);
        assert_eq!(
            named_files("Change `main.rs` and ./docs/a.md.", &files),
            ["src/main.rs", "docs/a.md"]
        );
        assert!(named_files("main", &files).is_empty());
    }

    #[test]
    fn titles_are_short() {
        assert!(title(&"x".repeat(500)).chars().count() <= 73);
        assert_eq!(title("Do it.\nMore"), "Do it");
    }
}
