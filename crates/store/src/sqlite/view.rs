//! What is read, and how rows become values of the kernel again.

use super::{
    location::Location,
    record::{natural, whole},
};
use maestria_kernel::{
    At, Cost, Effect, EffectId, RunId, Seq, Tokens, Usage,
    event::{self, Event, Unreadable},
    port::{Posted, RunRow, StoreError, Stored},
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;
use std::{str::FromStr, sync::Arc};

/// A reading connection.
pub(super) struct View {
    connection: Connection,
    location: Arc<Location>,
}

impl View {
    pub(super) const fn new(connection: Connection, location: Arc<Location>) -> Self {
        Self { connection, location }
    }

    pub(super) fn events(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Stored>, StoreError> {
        self.all(
            "SELECT seq, kind, version, at, body FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            params![run.to_string(), whole(after.0), limit],
            |row| {
                let seq = Seq(natural(row.get(0)?));
                let at = At(row.get(3)?);
                let event = event::read(row.get_ref(1)?.as_str()?, row.get(2)?, row.get_ref(4)?.as_str()?);
                Ok(event
                    .map(|event| Stored { seq, at, event })
                    .map_err(|e| self.unreadable(run, seq, &e)))
            },
        )
    }

    pub(super) fn owed(&self, run: RunId) -> Result<Vec<(EffectId, Effect)>, StoreError> {
        self.all(
            "SELECT seq, place, body FROM owed WHERE run = ?1 ORDER BY seq, place",
            [run.to_string()],
            |row| {
                let id = EffectId {
                    seq: Seq(natural(row.get(0)?)),
                    index: row.get(1)?,
                };
                let effect = self.decode(row.get_ref(2)?.as_str()?, || format!("effect {id} of {run}"));
                Ok(effect.map(|effect| (id, effect)))
            },
        )
    }

    pub(super) fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        self.all(
            "SELECT id, state, text, target, workspace, workflow, percent, input, cached, output, cost, decisions, work,
                    scripted, created_at, updated_at
             FROM runs ORDER BY created_at DESC, id DESC",
            [],
            |row| {
                let id = RunId::from_str(row.get_ref(0)?.as_str()?).map_err(|e| self.location.damaged(e));
                match id {
                    Ok(id) => run_row(id, row).map(Ok),
                    Err(e) => Ok(Err(e)),
                }
            },
        )
    }

    pub(super) fn inbox(&self, run: RunId) -> Result<Vec<Posted>, StoreError> {
        self.all(
            "SELECT number, body FROM inbox WHERE run = ?1 AND answered = 0 ORDER BY number",
            [run.to_string()],
            |row| {
                let number = natural(row.get(0)?);
                let command = self.decode(row.get_ref(1)?.as_str()?, || format!("command {number} of {run}"));
                Ok(command.map(|command| Posted { number, command }))
            },
        )
    }

    pub(super) fn answered(&self, run: RunId, number: u64) -> Result<Option<Result<(), String>>, StoreError> {
        let refused: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT refused FROM inbox WHERE run = ?1 AND number = ?2 AND answered = 1")
            .and_then(|mut select| {
                select
                    .query_row(params![run.to_string(), whole(number)], |row| row.get(0))
                    .optional()
            })
            .map_err(|e| self.location.fault(&e))?;
        Ok(refused.map(|refused| refused.map_or(Ok(()), Err)))
    }

    /// All rows of a query; the outer result of `each` is SQLite's, the inner one ours.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        each: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<T, StoreError>>,
    ) -> Result<Vec<T>, StoreError> {
        let fault = |e| self.location.fault(&e);
        let mut select = self.connection.prepare_cached(sql).map_err(fault)?;
        let rows = select.query_map(params, each).map_err(fault)?;
        rows.map(|row| row.map_err(fault)?).collect()
    }

    fn decode<T: DeserializeOwned>(&self, body: &str, what: impl FnOnce() -> String) -> Result<T, StoreError> {
        serde_json::from_str(body).map_err(|e| self.location.damaged(format!("{} cannot be read: {e}", what())))
    }

    fn unreadable(&self, run: RunId, seq: Seq, error: &Unreadable) -> StoreError {
        match error {
            Unreadable::Newer { kind, version } => StoreError::Newer {
                path: format!("event {seq} (`{kind}`) of {run} in {}", self.location.name()),
                found: u32::from(*version),
                known: known_version(kind),
            },
            Unreadable::Shape { .. } => self.location.damaged(format!("event {seq} of {run}: {error}")),
        }
    }
}

/// The newest version known of an event's kind; 0 for an unknown kind.
fn known_version(kind: &str) -> u32 {
    let known = Event::KINDS.iter().find(|(name, _)| *name == kind);
    known.map_or(0, |(_, version)| u32::from(*version))
}

fn run_row(id: RunId, row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id,
        state: row.get(1)?,
        text: row.get(2)?,
        target: row.get(3)?,
        workspace: row.get(4)?,
        workflow: row.get(5)?,
        percent: row.get(6)?,
        usage: Usage {
            input: Tokens(natural(row.get(7)?)),
            cached: Tokens(natural(row.get(8)?)),
            output: Tokens(natural(row.get(9)?)),
            cost: Cost(row.get(10)?),
        },
        decisions: row.get(11)?,
        work: row.get(12)?,
        scripted: row.get(13)?,
        created_at: At(row.get(14)?),
        updated_at: At(row.get(15)?),
    })
}
