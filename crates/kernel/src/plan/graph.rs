//! The dependency graph of a plan: checked, ordered, cut into groups that can run in parallel.

use super::PlannedTask;
use crate::id::TaskKey;
use std::collections::{BTreeMap, BTreeSet};

/// The most tasks a plan may have.
pub const MOST_TASKS: usize = 64;

/// A plan that cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to do.
    #[error("the plan has no tasks")]
    Empty,
    /// More than [`MOST_TASKS`].
    #[error("the plan has {0} tasks; at most {MOST_TASKS} are taken")]
    TooMany(usize),
    /// Two tasks of one key.
    #[error("two tasks are called {0}")]
    Duplicate(TaskKey),
    /// A need that names no task.
    #[error("task {task} needs {need}, which is not in the plan")]
    Unknown {
        /// Who needs it.
        task: TaskKey,
        /// What is missing.
        need: TaskKey,
    },
    /// Tasks that wait for each other.
    #[error("the plan has a cycle: {}", show_cycle(.0))]
    Cycle(Vec<TaskKey>),
}

fn show_cycle(cycle: &[TaskKey]) -> String {
    let mut keys: Vec<&str> = cycle.iter().map(TaskKey::as_str).collect();
    keys.extend(cycle.first().map(TaskKey::as_str));
    keys.join(" → ")
}

/// A checked graph. Numbers are places in the list of tasks it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// For each task, the tasks it needs.
    pub needs: Vec<BTreeSet<usize>>,
    /// Groups in execution order; tasks of one group need nothing of each other.
    pub groups: Vec<Vec<usize>>,
}

/// Checks a list of tasks and orders it.
///
/// # Errors
/// [`PlanError`], with the tasks of a cycle named in order.
pub fn check(tasks: &[PlannedTask]) -> Result<Graph, PlanError> {
    if tasks.is_empty() {
        return Err(PlanError::Empty);
    }
    if tasks.len() > MOST_TASKS {
        return Err(PlanError::TooMany(tasks.len()));
    }
    let needs = resolve_needs(tasks)?;
    let groups = layers(&needs).map_err(|left| PlanError::Cycle(name_cycle(tasks, &needs, &left)))?;
    Ok(Graph { needs, groups })
}

fn resolve_needs(tasks: &[PlannedTask]) -> Result<Vec<BTreeSet<usize>>, PlanError> {
    let mut place = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate() {
        if place.insert(&task.key, index).is_some() {
            return Err(PlanError::Duplicate(task.key.clone()));
        }
    }
    let resolve = |task: &PlannedTask, need: TaskKey| {
        place.get(&need).copied().ok_or_else(|| PlanError::Unknown {
            task: task.key.clone(),
            need,
        })
    };
    tasks
        .iter()
        .map(|task| {
            let named = task.needs.iter().cloned();
            // A `#E9` in free text that names no task is prose, not a dependency.
            let referred = references(&task.instructions)
                .into_iter()
                .filter(|key| place.contains_key(key));
            named.chain(referred).map(|need| resolve(task, need)).collect()
        })
        .collect()
}

/// The keys that a text refers to as `#E1`.
pub fn references(text: &str) -> BTreeSet<TaskKey> {
    text.split('#')
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let key = &rest[..end];
            let number = key.strip_prefix('E')?;
            (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then(|| TaskKey::from(key))
        })
        .collect()
}

/// Kahn's algorithm, a layer at a time; on a cycle returns what could not be ordered.
fn layers(needs: &[BTreeSet<usize>]) -> Result<Vec<Vec<usize>>, BTreeSet<usize>> {
    let mut left: BTreeSet<usize> = (0..needs.len()).collect();
    let mut groups = Vec::new();
    while !left.is_empty() {
        let free: Vec<usize> = left.iter().copied().filter(|&i| needs[i].is_disjoint(&left)).collect();
        if free.is_empty() {
            return Err(left);
        }
        for index in &free {
            left.remove(index);
        }
        groups.push(free);
    }
    Ok(groups)
}

/// Follows needs within what is left until a task comes round again.
fn name_cycle(tasks: &[PlannedTask], needs: &[BTreeSet<usize>], left: &BTreeSet<usize>) -> Vec<TaskKey> {
    let mut path: Vec<usize> = Vec::new();
    let mut here = left.first().copied();
    while let Some(index) = here {
        if let Some(start) = path.iter().position(|&seen| seen == index) {
            path.drain(..start);
            break;
        }
        path.push(index);
        here = needs[index].intersection(left).next().copied();
    }
    path.iter().map(|&index| tasks[index].key.clone()).collect()
}
