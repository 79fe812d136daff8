//! Where decisions stand among all, kept beside the log so that a page of them costs a page.

use super::record::whole;
use maestria_kernel::{DecisionId, RunId, port::Asked};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use std::{error::Error, str::FromStr};

pub(super) fn keep(connection: &Connection, asked: &[Asked]) -> rusqlite::Result<()> {
    for one in asked {
        connection
            .prepare_cached("INSERT OR REPLACE INTO asked (decision, run, closed, place) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                one.decision.to_string(),
                one.run.to_string(),
                one.closed,
                one.place
            ])?;
    }
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    closed: Option<bool>,
    after: Option<Asked>,
    limit: u32,
) -> rusqlite::Result<Vec<Asked>> {
    let (first, last) = closed.map_or((false, true), |closed| (closed, closed));
    let after = after.map(|after| (after.closed, after.place, after.decision.to_string()));
    let (group, place, decision) = after.unwrap_or((first, i64::MIN, String::new()));
    connection
        .prepare_cached(
            "SELECT closed, place, decision, run FROM asked
             WHERE (closed, place, decision) > (?1, ?2, ?3) AND closed BETWEEN ?4 AND ?5
             ORDER BY closed, place, decision LIMIT ?6",
        )?
        .query_map(
            params![group, place, decision, first, last, whole(u64::from(limit))],
            |row| {
                Ok(Asked {
                    closed: row.get(0)?,
                    place: row.get(1)?,
                    decision: id(row, 2)?,
                    run: id(row, 3)?,
                })
            },
        )?
        .collect()
}

pub(super) fn asker(connection: &Connection, decision: DecisionId) -> rusqlite::Result<Option<RunId>> {
    connection
        .prepare_cached("SELECT run FROM asked WHERE decision = ?1")?
        .query_row([decision.to_string()], |row| id(row, 0))
        .optional()
}

/// A column that is an id.
pub(super) fn id<T>(row: &Row<'_>, place: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let bad = |e| rusqlite::Error::FromSqlConversionFailure(place, Type::Text, Box::new(e));
    row.get_ref(place)?.as_str()?.parse().map_err(bad)
}
