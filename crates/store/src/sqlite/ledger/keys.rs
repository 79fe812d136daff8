//! Clients' keys: names and hashes.

use maestria_kernel::{At, Cost, ledger::ClientKey};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

const COLUMNS: &str = "name, prefix, hash, created_at, revoked_at, budget, run, task, agent, project";

pub(super) fn add(connection: &Connection, key: &ClientKey) -> rusqlite::Result<bool> {
    // The name of a revoked key is free again.
    connection.execute(
        "DELETE FROM client_keys WHERE name = ?1 AND revoked_at IS NOT NULL",
        [&key.name],
    )?;
    let added = connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO client_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        ))?
        .execute(params![
            key.name,
            key.prefix,
            key.hash,
            key.created_at.0,
            key.revoked_at.map(|at| at.0),
            key.budget.map(|budget| budget.0),
            key.run,
            key.task,
            key.agent,
            key.project,
        ])?;
    Ok(added == 1)
}

pub(super) fn revoke(connection: &Connection, name: &str, now: At) -> rusqlite::Result<bool> {
    let revoked = connection.execute(
        "UPDATE client_keys SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL",
        params![name, now.0],
    )?;
    Ok(revoked == 1)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<ClientKey>> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM client_keys ORDER BY created_at DESC, name"
    ))?;
    let keys = select.query_map([], key)?;
    keys.collect()
}

pub(super) fn by_hash(connection: &Connection, hash: &str) -> rusqlite::Result<Option<ClientKey>> {
    connection
        .prepare(&format!("SELECT {COLUMNS} FROM client_keys WHERE hash = ?1"))?
        .query_row([hash], key)
        .optional()
}

fn key(row: &Row<'_>) -> rusqlite::Result<ClientKey> {
    Ok(ClientKey {
        name: row.get(0)?,
        prefix: row.get(1)?,
        hash: row.get(2)?,
        created_at: At(row.get(3)?),
        revoked_at: row.get::<_, Option<i64>>(4)?.map(At),
        budget: row.get::<_, Option<i64>>(5)?.map(Cost),
        run: row.get(6)?,
        task: row.get(7)?,
        agent: row.get(8)?,
        project: row.get(9)?,
    })
}
