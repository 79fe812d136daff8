//! What a repository brings to steer agents: its settings for them (hooks, servers, permissions) and its environment files.
//!
//! None of it counts before a person has trusted it, file by file as it was when they looked: a changed file is a new one.
//! Until then workers and checks see nothing of it, because the sandbox hides it; where that cannot be done, nothing starts.
//! What is text for a model (`AGENTS.md` and the like) is not hidden: it is input, and nothing in it is ever believed.

mod book;
mod brought;

pub use book::{BadBook, Book, Trusted};
pub use brought::{Brought, Concern, Content, Tree, brought, text};

use crate::worktree::Git;
use maestria_kernel::port::RepositoryError;
use std::path::{Path, PathBuf};

/// What a worker gets to see of what the repository brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// What is to be hidden from it.
    pub(crate) hidden: Vec<PathBuf>,
    /// There is something, and a person trusts all of it.
    pub(crate) trusted: bool,
}

impl Sight {
    /// Of a worktree of the repository that `target` lies in, by the person's book; without one, nothing is trusted.
    ///
    /// # Errors
    /// When the worktree cannot be looked at, or the book cannot be read: neither may pass for "nothing to hide".
    pub(crate) async fn of(book: Option<&Path>, target: &Path, worktree: &Path) -> Result<Self, String> {
        let brought = brought(worktree, Tree::Workers).await.map_err(told)?;
        if brought.is_empty() {
            return Ok(Self::default());
        }
        let book = match book {
            Some(file) => Book::load(file).map_err(|bad| bad.to_string())?,
            None => Book::default(),
        };
        let strange = brought.iter().filter(|thing| !book.trusts(target, thing));
        let hidden: Vec<PathBuf> = strange.map(|thing| worktree.join(&thing.path)).collect();
        Ok(Self {
            trusted: hidden.is_empty(),
            hidden,
        })
    }

    /// Of a checkout for a reviewer, who judges what is in it and is steered by none of it.
    pub(crate) async fn of_nothing(checkout: &Path) -> Result<Self, String> {
        Self::of(None, checkout, checkout).await
    }

    /// Why a worker cannot start without walls: there is something that only they can hide.
    pub(crate) fn unwalled(&self) -> Option<String> {
        let first = self.hidden.first()?;
        Some(format!(
            "{} of a repository that nobody trusts cannot be hidden without a sandbox; read it and trust it (`maestria trust`), \
             or let agents be walled in (`sandbox = \"required\"`)",
            first.display()
        ))
    }
}

/// What a person is told at the beginning of a run of what its repository brings, if it brings something.
pub(crate) async fn note(book: Option<&Path>, target: &Path, top: &Path, ignored: &[String]) -> Option<String> {
    let brought = match brought(top, Tree::Persons(ignored)).await {
        Ok(brought) if brought.is_empty() => return None,
        Ok(brought) => brought,
        // The workers meet the same, and do not start.
        Err(error) => return Some(told(error)),
    };
    let book = match book.map(Book::load) {
        Some(Err(bad)) => return Some(bad.to_string()),
        Some(Ok(book)) => book,
        None => Book::default(),
    };
    let strange: Vec<String> = brought
        .iter()
        .filter(|thing| !book.trusts(target, thing))
        .map(|thing| thing.path.display().to_string())
        .collect();
    if strange.is_empty() {
        return Some("the repository's own settings for agents count: you trust them as they are".to_owned());
    }
    let shown = strange.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = strange.len().saturating_sub(5);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "the repository brings {shown}{more}: agents and checks see nothing of them until you trust them (`maestria trust`)"
    ))
}

/// The top folder of the repository that a folder lies in: what a person trusts.
///
/// # Errors
/// When it lies in none.
pub async fn repository(folder: &Path) -> Result<PathBuf, RepositoryError> {
    let git = Git::find(folder).await;
    let mut top = git.bytes(&["rev-parse", "--show-toplevel"]).await?;
    top.pop_if(|last| *last == b'\n');
    let top = crate::worktree::path_of(&top).to_owned();
    Ok(top.canonicalize().unwrap_or(top))
}

fn told(error: RepositoryError) -> String {
    if error.hint.is_empty() {
        error.what
    } else {
        format!("{}; {}", error.what, error.hint)
    }
}

#[cfg(test)]
mod tests;
