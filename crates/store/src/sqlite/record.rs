//! What is written, and how one request is recorded within the group's transaction.

use super::asked;
use crate::order;
use maestria_kernel::{
    Command, EffectId, RunId, Seq,
    port::{Asked, Batch, Once, RunRow, Sent, StoreError},
};
use rusqlite::{Connection, OptionalExtension, params};

/// Keys that have ended go a few at a time, with each new one.
const SWEPT: u32 = 8;

/// A request, encoded.
#[derive(Debug)]
pub(super) enum Write {
    Commit(Box<Commit>),
    Post {
        run: String,
        body: String,
        once: Option<Once>,
    },
    Answer {
        run: String,
        number: u64,
        refused: Option<String>,
    },
}

/// A batch, encoded.
#[derive(Debug)]
pub(super) struct Commit {
    run: String,
    after: Seq,
    events: Vec<Line>,
    owed: Vec<(EffectId, String)>,
    settled: Vec<EffectId>,
    row: Option<RunRow>,
    once: Option<Once>,
    answered: Option<u64>,
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Line {
    seq: Seq,
    kind: &'static str,
    version: u16,
    at: i64,
    body: String,
}

/// Why a request was not recorded.
pub(super) enum Failure {
    /// It is at fault itself; nothing of it was written, and the others of its group go on.
    Refused(StoreError),
    /// SQLite failed, which leaves the whole transaction in doubt.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Write {
    pub(super) fn commit(run: RunId, batch: Batch) -> serde_json::Result<Self> {
        let line = |stored: maestria_kernel::port::Stored| {
            Ok(Line {
                seq: stored.seq,
                kind: stored.event.kind(),
                version: stored.event.version(),
                at: stored.at.0,
                body: serde_json::to_string(&stored.event)?,
            })
        };
        let owed = batch
            .owed
            .into_iter()
            .map(|(id, effect)| Ok((id, serde_json::to_string(&effect)?)));
        Ok(Self::Commit(Box::new(Commit {
            run: run.to_string(),
            after: batch.after,
            asked: batch
                .events
                .iter()
                .filter_map(|stored| Asked::of(run, stored))
                .collect(),
            events: batch.events.into_iter().map(line).collect::<serde_json::Result<_>>()?,
            owed: owed.collect::<serde_json::Result<_>>()?,
            settled: batch.settled,
            row: batch.row,
            once: batch.once,
            answered: batch.answered,
        })))
    }

    pub(super) fn post(run: RunId, command: &Command, once: Option<Once>) -> serde_json::Result<Self> {
        Ok(Self::Post {
            run: run.to_string(),
            body: serde_json::to_string(command)?,
            once,
        })
    }

    /// About how many bytes it brings, for bounding a group.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Commit(commit) => {
                let events = commit.events.iter().map(|line| line.body.len());
                events.sum::<usize>() + commit.owed.iter().map(|(_, body)| body.len()).sum::<usize>()
            }
            Self::Post { body, .. } => body.len(),
            Self::Answer { refused, .. } => refused.as_ref().map_or(0, String::len),
        }
    }

    /// Records it; the number it yields is that of a posted command, else 0.
    pub(super) fn record(&self, connection: &Connection) -> Result<u64, Failure> {
        match self {
            Self::Commit(commit) => commit.record(connection).map(|()| 0),
            Self::Post { run, body, once } => post(connection, run, body, once.as_ref()).map_err(Failure::Sql),
            Self::Answer { run, number, refused } => {
                answer(connection, run, *number, refused.as_deref())?;
                Ok(0)
            }
        }
    }
}

impl Commit {
    fn record(&self, connection: &Connection) -> Result<(), Failure> {
        self.check_order(connection)?;
        self.check_key(connection)?;
        let run = &self.run;
        let mut insert = connection
            .prepare_cached("INSERT INTO events (run, seq, kind, version, at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for line in &self.events {
            insert.execute(params![
                run,
                whole(line.seq.0),
                line.kind,
                line.version,
                line.at,
                line.body
            ])?;
        }
        if let Some(last) = self.events.last() {
            connection
                .prepare_cached(
                    "INSERT INTO feed (number, run, last, events)
                     SELECT coalesce(max(number), 0) + ?3, ?1, ?2, ?3 FROM feed",
                )?
                .execute(params![run, whole(last.seq.0), whole(self.events.len() as u64)])?;
        }
        for (id, body) in &self.owed {
            connection
                .prepare_cached("INSERT OR REPLACE INTO owed (run, seq, place, body) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![run, whole(id.seq.0), id.index, body])?;
        }
        for id in &self.settled {
            connection
                .prepare_cached("DELETE FROM owed WHERE run = ?1 AND seq = ?2 AND place = ?3")?
                .execute(params![run, whole(id.seq.0), id.index])?;
        }
        if let Some(row) = &self.row {
            keep_row(connection, run, row)?;
        }
        asked::keep(connection, &self.asked)?;
        if let Some(once) = &self.once {
            keep_key(connection, run, once, self.at())?;
        }
        if let Some(number) = self.answered {
            answer(connection, run, number, None)?;
        }
        Ok(())
    }

    /// The batch must follow the newest event, and its events each other.
    fn check_order(&self, connection: &Connection) -> Result<(), Failure> {
        let newest: i64 = connection
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE run = ?1")?
            .query_row([&self.run], |row| row.get(0))?;
        let newest = Seq(natural(newest));
        order::check(self.after, newest, self.events.iter().map(|line| line.seq)).map_err(Failure::Refused)
    }

    /// The key must stand for nothing yet.
    fn check_key(&self, connection: &Connection) -> Result<(), Failure> {
        let Some(once) = &self.once else { return Ok(()) };
        match sent(connection, &once.key, self.at())? {
            Some(sent) => Err(Failure::Refused(StoreError::Repeated(sent))),
            None => Ok(()),
        }
    }

    /// When the newest of its events happened.
    fn at(&self) -> i64 {
        self.events.last().map_or(0, |line| line.at)
    }
}

fn keep_row(connection: &Connection, run: &str, row: &RunRow) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO runs (id, state, text, target, workspace, workflow, percent, input, cached, output,
                                          cost, decisions, work, scripted, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            run,
            row.state,
            row.text,
            row.target,
            row.workspace,
            row.workflow,
            row.percent,
            whole(row.usage.input.0),
            whole(row.usage.cached.0),
            whole(row.usage.output.0),
            row.usage.cost.0,
            row.decisions,
            row.work,
            row.scripted,
            row.created_at.0,
            row.updated_at.0,
        ])
}

fn keep_key(connection: &Connection, run: &str, once: &Once, now: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM sent WHERE key IN (SELECT key FROM sent WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        )?
        .execute(params![now, SWEPT])?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO sent (key, request, run, until) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![once.key, once.request, run, once.until.0])
}

/// What a key stands for at a moment.
pub(super) fn sent(connection: &Connection, key: &str, now: i64) -> rusqlite::Result<Option<Sent>> {
    connection
        .prepare_cached("SELECT request, run FROM sent WHERE key = ?1 AND until > ?2")?
        .query_row(params![key, now], |row| {
            Ok(Sent {
                request: row.get(0)?,
                run: asked::id(row, 1)?,
            })
        })
        .optional()
}

fn post(connection: &Connection, run: &str, body: &str, once: Option<&Once>) -> rusqlite::Result<u64> {
    let (key, request) = (once.map(|once| &once.key), once.map(|once| &once.request));
    let until = once.map(|once| once.until.0);
    connection
        .prepare_cached(
            "INSERT INTO inbox (run, number, body, key, request, until)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5 FROM inbox WHERE run = ?1 RETURNING number",
        )?
        .query_row(params![run, body, key, request, until], |row| row.get(0))
        .map(natural)
}

/// The first answer stands: after a crash the driver may answer again.
fn answer(connection: &Connection, run: &str, number: u64, refused: Option<&str>) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE inbox SET answered = 1, refused = ?3 WHERE run = ?1 AND number = ?2 AND answered = 0")?
        .execute(params![run, whole(number), refused])
}

/// SQLite's integers are signed; what we count never comes near their end.
pub(super) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn natural(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
