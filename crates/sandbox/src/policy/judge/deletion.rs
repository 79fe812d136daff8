//! Deleting: `rm` in any spelling.

use super::{Finding, Judge, Level, Word};

impl Judge<'_> {
    /// Decides on an `rm`: options may come in any order, spelling and bundle, up to `--`.
    pub(super) fn rm(&self, words: &[Word]) -> Finding {
        let (mut recursive, mut force, mut unknown, mut root, mut open) = (false, false, false, false, true);
        for word in &words[1..] {
            match word.text.as_deref() {
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
                Some(operand) => root |= is_root(operand),
                None => {
                    unknown |= open && may_be_option(word);
                    root = true;
                }
            }
        }
        if recursive && force {
            return self.found(Level::Block, "delete.recursive_force", "rm with recursive and force");
        }
        if recursive && root {
            return self.found(
                Level::Confirm,
                "delete.root",
                "deletes a whole tree from its root, or one that is not known",
            );
        }
        if unknown {
            return self.undecided("it cannot be told which options rm is given");
        }
        Finding::allow()
    }
}

/// Whether an unknown word may turn out to be an option. A slash after the unknown part keeps it from being one.
pub(super) fn may_be_option(word: &Word) -> bool {
    word.many || word.head.starts_with('-') || (word.head.is_empty() && !word.shown.contains('/'))
}

/// Operands whose recursive removal is mass deletion: a root, a home, everything here, a folder of the system.
fn is_root(operand: &str) -> bool {
    let bare = operand.trim_end_matches(['/', '*', '.']);
    let system = bare.starts_with('/') && bare.matches('/').count() == 1 && bare != "/tmp";
    let home = bare.starts_with('~') && !bare.contains('/');
    bare.is_empty() || system || home
}
