//! What is read, and how rows become values of the kernel again.

use super::{
    asked,
    location::Location,
    record::{self, natural, whole},
};
use maestria_kernel::{
    At, Cost, DecisionId, Effect, EffectId, RunId, Seq, Tokens, Usage,
    event::{self, Event, Unreadable},
    port::{Asked, Numbered, Once, Posted, RunRow, Sent, StoreError, Stored},
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
            |row| self.stored(run, row),
        )
    }

    pub(super) fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Numbered>, StoreError> {
        self.all(
            "SELECT seq, kind, version, at, body,
                    (SELECT f.number - (f.last - e.seq) FROM feed f WHERE f.run = e.run AND f.last >= e.seq
                     ORDER BY f.last LIMIT 1)
             FROM events e WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            params![run.to_string(), whole(after.0), limit],
            |row| self.numbered_row(run, row),
        )
    }

    pub(super) fn feed(&self, after: u64, limit: u32) -> Result<Vec<Numbered>, StoreError> {
        // The cross join keeps SQLite from reading the events first: the feed leads.
        self.all(
            "SELECT e.seq, e.kind, e.version, e.at, e.body, f.number - (f.last - e.seq) AS place, f.run
             FROM feed f CROSS JOIN events e ON e.run = f.run AND e.seq > f.last - f.events AND e.seq <= f.last
             WHERE f.number > ?1 AND f.number - (f.last - e.seq) > ?1
             ORDER BY f.number, e.seq LIMIT ?2",
            params![whole(after), limit],
            |row| match RunId::from_str(row.get_ref(6)?.as_str()?) {
                Ok(run) => self.numbered_row(run, row),
                Err(e) => Ok(Err(self.location.damaged(e))),
            },
        )
    }

    pub(super) fn told(&self, kinds: &[&str], after: u64, until: u64) -> Result<Vec<Numbered>, StoreError> {
        // The kinds are words of the kernel: they need no escape.
        let kinds = format!("[\"{}\"]", kinds.join("\",\""));
        self.all(
            "SELECT e.seq, e.kind, e.version, e.at, e.body, f.number - (f.last - e.seq) AS place, f.run
             FROM feed f CROSS JOIN events e ON e.run = f.run AND e.seq > f.last - f.events AND e.seq <= f.last
             WHERE f.number > ?1 AND f.number <= coalesce((SELECT min(number) FROM feed WHERE number >= ?2), ?2) AND place > ?1 AND place <= ?2
                   AND e.kind IN (SELECT value FROM json_each(?3))
             ORDER BY f.number, e.seq",
            params![whole(after), whole(until), kinds],
            |row| match RunId::from_str(row.get_ref(6)?.as_str()?) {
                Ok(run) => self.numbered_row(run, row),
                Err(e) => Ok(Err(self.location.damaged(e))),
            },
        )
    }

    pub(super) fn newest(&self) -> Result<u64, StoreError> {
        self.count("SELECT coalesce(max(number), 0) FROM feed")
    }

    pub(super) fn debts(&self) -> Result<u64, StoreError> {
        self.count("SELECT count(*) FROM owed")
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([], |row| row.get(0)))
            .map(natural)
            .map_err(|e| self.location.fault(&e))
    }

    /// A row that begins with seq, kind, version, at and body.
    fn stored(&self, run: RunId, row: &Row<'_>) -> rusqlite::Result<Result<Stored, StoreError>> {
        let seq = Seq(natural(row.get(0)?));
        let at = At(row.get(3)?);
        let event = event::read(row.get_ref(1)?.as_str()?, row.get(2)?, row.get_ref(4)?.as_str()?);
        Ok(event
            .map(|event| Stored { seq, at, event })
            .map_err(|e| self.unreadable(run, seq, &e)))
    }

    /// The same with the event's number behind it.
    fn numbered_row(&self, run: RunId, row: &Row<'_>) -> rusqlite::Result<Result<Numbered, StoreError>> {
        let number = natural(row.get(5)?);
        Ok(self.stored(run, row)?.map(|stored| Numbered { number, run, stored }))
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
        self.rows(
            "SELECT id, state, text, target, workspace, workflow, percent, input, cached, output, cost, decisions, work,
                    scripted, created_at, updated_at
             FROM runs ORDER BY created_at DESC, id DESC",
            [],
        )
    }

    pub(super) fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        // No id is as great as this text, and no moment as this one.
        let (birth, id) = than.map_or((i64::MAX, "~".to_owned()), |(birth, id)| (birth.0, id.to_string()));
        self.rows(
            "SELECT id, state, text, target, workspace, workflow, percent, input, cached, output, cost, decisions, work,
                    scripted, created_at, updated_at
             FROM runs WHERE (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3",
            params![birth, id, limit],
        )
    }

    /// The number is read first: what is stored meanwhile is in the rows too early, and told again with its number.
    pub(super) fn changed(&self, after: u64) -> Result<(u64, Vec<RunRow>), StoreError> {
        let newest = self.newest()?;
        let rows = match after {
            _ if newest <= after => Vec::new(),
            // Everything, without a look at each commit there ever was.
            0 => self.runs()?,
            _ => self.rows(
                "SELECT id, state, text, target, workspace, workflow, percent, input, cached, output, cost, decisions, work,
                        scripted, created_at, updated_at
                 FROM runs WHERE id IN (SELECT run FROM feed WHERE number > ?1)",
                [whole(after)],
            )?,
        };
        Ok((newest, rows))
    }

    fn rows(&self, sql: &str, params: impl Params) -> Result<Vec<RunRow>, StoreError> {
        self.all(sql, params, |row| {
            let id = RunId::from_str(row.get_ref(0)?.as_str()?).map_err(|e| self.location.damaged(e));
            match id {
                Ok(id) => run_row(id, row).map(Ok),
                Err(e) => Ok(Err(e)),
            }
        })
    }

    pub(super) fn sent(&self, key: &str, now: At) -> Result<Option<Sent>, StoreError> {
        record::sent(&self.connection, key, now.0).map_err(|e| self.location.fault(&e))
    }

    pub(super) fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Result<Vec<Asked>, StoreError> {
        asked::list(&self.connection, closed, after, limit).map_err(|e| self.location.fault(&e))
    }

    pub(super) fn asker(&self, decision: DecisionId) -> Result<Option<RunId>, StoreError> {
        asked::asker(&self.connection, decision).map_err(|e| self.location.fault(&e))
    }

    pub(super) fn inbox(&self, run: RunId) -> Result<Vec<Posted>, StoreError> {
        self.all(
            "SELECT number, body, key, request, until FROM inbox WHERE run = ?1 AND answered = 0 ORDER BY number",
            [run.to_string()],
            |row| {
                let number = natural(row.get(0)?);
                let command = self.decode(row.get_ref(1)?.as_str()?, || format!("command {number} of {run}"));
                let once = once(row)?;
                Ok(command.map(|command| Posted { number, command, once }))
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

/// The key that a command in the inbox came with, if it came with one.
fn once(row: &Row<'_>) -> rusqlite::Result<Option<Once>> {
    let (key, request): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    let until: Option<i64> = row.get(4)?;
    Ok(key.zip(request).zip(until).map(|((key, request), until)| Once {
        key,
        request,
        until: At(until),
    }))
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
