//! Deleting: `rm` in any spelling.

use super::Finding;
use crate::policy::{rules::Level, shell::Word};

/// Operands whose recursive removal is mass deletion.
const ROOTS: [&str; 12] = ["/", "/*", "~", "~/", "~/*", ".", "..", "*", "./*", "./", "../", "/."];

/// Decides on an `rm`: options may come in any order, spelling and bundle, up to `--`.
pub(super) fn rm(words: &[Word]) -> Finding {
    let (mut recursive, mut force, mut unknown, mut root, mut open) = (false, false, false, false, true);
    for word in &words[1..] {
        match word.text.as_deref() {
            None => unknown |= open,
            Some("--") if open => open = false,
            Some(long) if open && long.starts_with("--") => {
                let name = long.trim_start_matches("--").split('=').next().unwrap_or_default();
                recursive |= !name.is_empty() && "recursive".starts_with(name);
                force |= !name.is_empty() && "force".starts_with(name);
            }
            Some(bundle) if open && bundle.len() > 1 && bundle.starts_with('-') => {
                recursive |= bundle.contains(['r', 'R']);
                force |= bundle.contains('f');
            }
            Some(operand) => root |= ROOTS.contains(&operand),
        }
    }
    if recursive && force {
        return Finding::new(Level::Deny, "delete.recursive_force", "rm with recursive and force");
    }
    if recursive && root {
        return Finding::new(Level::Ask, "delete.root", "deletes a whole tree from its root");
    }
    if unknown {
        return Finding::undecided("it cannot be told which options rm is given");
    }
    Finding::new(Level::Allow, "command.allowed", "no rule forbids it")
}
