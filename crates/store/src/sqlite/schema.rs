//! The schema and its history. Migrations only go forward; what a release has shipped is never edited.

use rusqlite::{Connection, TransactionBehavior};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_log.sql"),
    include_str!("../../migrations/sqlite/0002_ledger.sql"),
    include_str!("../../migrations/sqlite/0003_feed.sql"),
    include_str!("../../migrations/sqlite/0004_tables.sql"),
    include_str!("../../migrations/sqlite/0005_sent.sql"),
    include_str!("../../migrations/sqlite/0006_asked.sql"),
    include_str!("../../migrations/sqlite/0007_calls.sql"),
    include_str!("../../migrations/sqlite/0008_keyed.sql"),
    include_str!("../../migrations/sqlite/0009_births.sql"),
];

/// The newest schema this program knows.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Marks a database as Maestria's: `MAES`.
const APPLICATION: u32 = u32::from_be_bytes(*b"MAES");

/// Whose a database is.
pub(super) struct Identity {
    application: u32,
    /// Its schema, 0 when it has none yet.
    pub(super) version: u32,
    empty: bool,
}

impl Identity {
    /// Ours, or nobody's yet.
    pub(super) const fn is_ours(&self) -> bool {
        self.application == APPLICATION || (self.application == 0 && self.version == 0 && self.empty)
    }
}

pub(super) fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    // One statement, so that it cannot see another process's migration half done.
    connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| {
            Ok(Identity {
                application: row.get(0)?,
                version: row.get(1)?,
                empty: row.get(2)?,
            })
        },
    )
}

/// Brings the schema up to date, all steps or none.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if identity(connection)?.version >= KNOWN {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again now that nobody else can write: another process may just have done it.
    let version = identity(&transaction)?.version;
    for (step, number) in MIGRATIONS.iter().zip(1_u32..) {
        if number > version {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", number)?;
        }
    }
    transaction.commit()
}
