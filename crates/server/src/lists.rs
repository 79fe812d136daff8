//! Runs as people look for them: those in some states, the one whose id ends so, those that wait for an answer.

use crate::{
    app::{App, AppError},
    stream::{pages::Pages, rows::is_finished},
};
use maestria_kernel::{Run, RunId, Seq, decision::Decision, port::RunRow, state::RunState};
use std::fmt;

/// The word for a run that waits for a place at a server; no state of the kernel's, which knows nothing of places.
pub(crate) const QUEUED: &str = "queued";

/// The states of runs that are asked for; all when none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States(Vec<String>);

/// There is no such state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no state `{0}`")]
pub struct UnknownState(pub String);

impl UnknownState {
    /// What there is.
    pub const HINT: &str =
        "open, finished, queued, planning, executing, validating, escalated, paused, completed, failed, aborted";
}

impl States {
    /// Reads states, `queued`, and the groups `open` and `finished`, with commas between.
    ///
    /// # Errors
    /// [`UnknownState`].
    pub fn parse(text: &str) -> Result<Self, UnknownState> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let known = |word: &str| {
            matches!(word, "open" | "finished" | QUEUED) || RunState::ALL.iter().any(|state| state.as_str() == word)
        };
        words
            .map(|word| {
                known(word)
                    .then(|| word.to_owned())
                    .ok_or_else(|| UnknownState(word.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether none is named.
    pub const fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a run in this state is asked for.
    pub fn take(&self, state: &str) -> bool {
        self.is_all()
            || self.0.iter().any(|wanted| match wanted.as_str() {
                "open" => !is_finished(state),
                "finished" => is_finished(state),
                word => word == state,
            })
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl App {
    /// Runs in these states, newest first, so many at most.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn runs(&self, states: &States, most: usize) -> Result<Vec<RunRow>, AppError> {
        let mut found = Vec::new();
        let mut pages = Pages::of(self.engine.store());
        while found.len() < most
            && let Some(page) = pages.next().await?
        {
            let wanted = page.into_iter().filter(|row| states.take(&row.state));
            found.extend(wanted.take(most - found.len()));
        }
        Ok(found)
    }

    /// The run that a person means: its id, the end of it, or `last`.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when none or several fit; [`AppError::Store`].
    pub async fn find(&self, given: &str) -> Result<RunId, AppError> {
        let store = self.engine.store();
        if let Ok(whole) = given.parse()
            && !store.events(whole, Seq(0), 1).await?.is_empty()
        {
            return Ok(whole);
        }
        let mut fitting = Vec::new();
        let mut pages = Pages::of(store);
        while let Some(page) = pages.next().await? {
            fitting.extend(page.into_iter().filter(|row| is_meant(row.id, given)));
            if given == "last" {
                break;
            }
        }
        named(&fitting, given)
    }

    /// The newest run that is not finished.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn last_unfinished(&self) -> Result<Option<RunId>, AppError> {
        let open = States(vec!["open".to_owned()]);
        Ok(self.runs(&open, 1).await?.first().map(|row| row.id))
    }

    /// Decisions that wait, with their runs.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn open_decisions(&self) -> Result<Vec<(Run, Decision)>, AppError> {
        let mut open = Vec::new();
        let mut pages = Pages::of(self.engine.store());
        while let Some(page) = pages.next().await? {
            for row in page.iter().filter(|row| row.decisions > 0) {
                let run = self.engine.load(row.id).await?;
                let decisions: Vec<Decision> = run.open_decisions().cloned().collect();
                open.extend(decisions.into_iter().map(|d| (run.clone(), d)));
            }
        }
        Ok(open)
    }
}

/// The run of a list, newest first, that a person means: its id, the end of it, or `last`.
///
/// # Errors
/// [`AppError::NotFound`] when none or several fit.
pub fn named(rows: &[RunRow], given: &str) -> Result<RunId, AppError> {
    if given == "last" {
        let newest = rows.first().map(|row| row.id);
        return newest.ok_or_else(|| AppError::NotFound("there are no runs yet".to_owned()));
    }
    let found: Vec<RunId> = rows
        .iter()
        .map(|row| row.id)
        .filter(|id| is_meant(*id, given))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(AppError::NotFound(format!("there is no run `{given}`"))),
        [..] => Err(AppError::NotFound(format!(
            "`{given}` fits several runs; give more of the id"
        ))),
    }
}

/// Whether somebody who says this may mean this run.
fn is_meant(id: RunId, given: &str) -> bool {
    let tail = given.trim_start_matches("run_");
    let id = id.to_string();
    given == "last" || id == given || (tail.len() >= 4 && id.ends_with(tail))
}

#[cfg(test)]
mod tests {
    use super::{States, UnknownState, is_meant};
    use maestria_kernel::RunId;

    #[test]
    fn states_are_words_and_groups_of_words() {
        let states = States::parse(" open, failed ,").unwrap();
        assert_eq!(states.to_string(), "open,failed");
        assert!(states.take("paused") && states.take("failed") && !states.take("completed"));
        assert!(States::parse("").unwrap().take("aborted"));
        assert!(States::parse("queued").unwrap().take("queued"));
        assert_eq!(States::parse("open,running"), Err(UnknownState("running".to_owned())));
    }

    #[test]
    fn a_run_is_meant_by_enough_of_its_end() {
        let id: RunId = "run_01a201f5727776fc90a31eefe5422885".parse().unwrap();
        for given in ["last", "run_01a201f5727776fc90a31eefe5422885", "2885", "run_5422885"] {
            assert!(is_meant(id, given), "{given}");
        }
        for given in ["885", "01a2", "run_", ""] {
            assert!(!is_meant(id, given), "{given}");
        }
    }
}
