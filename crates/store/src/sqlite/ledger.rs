//! The books of the model gateway, in the same database.
//!
//! One thread writes, and commits whatever has come in meanwhile as one group. It has a connection of its own, so that
//! the log of runs never waits behind a burst of model calls. Readers open a connection for each question.

mod accounts;
mod calls;
mod keys;

use super::location::Location;
use maestria_kernel::{
    At, Cost,
    ledger::{Account, Balance, CallRow, ClientKey, Ledger, Settled, Short, UsageBy, UsageLine, UsageOf, Want},
    port::{Boxed, StoreError},
};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};
use tokio::sync::oneshot;

/// The largest group.
const GROUP: usize = 512;

type Announce = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&Connection, &Location) -> rusqlite::Result<Announce> + Send>;

/// The books in an SQLite database.
#[derive(Debug)]
pub struct SqliteLedger {
    location: Arc<Location>,
    jobs: Sender<Job>,
}

impl SqliteLedger {
    /// Opens the books, bringing an older schema up to date. Blocks; up to 5 seconds when another program holds the
    /// database.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](super::SqliteStore::open).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let location = Arc::new(Location::new(path.as_ref(), super::PATIENCE));
        let connection = location.prepare()?;
        let (jobs, inbound) = mpsc::channel();
        let place = Arc::clone(&location);
        thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || serve(&connection, &place, &inbound))
            .map_err(|e| location.unwritable(format!("no thread for writing: {e}")))?;
        Ok(Self { location, jobs })
    }

    /// Has something written; returns when it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection, location| {
            // Whatever goes wrong with one request must not touch the others of its group.
            connection.prepare_cached("SAVEPOINT job")?.execute([])?;
            let written = write(connection);
            if written.is_err() {
                connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
            connection.prepare_cached("RELEASE job")?.execute([])?;
            let written = written.map_err(|e| location.fault(&e));
            Ok(Box::new(move |committed| {
                // A caller that has gone away does not want to know.
                let _ = answer.send(committed.and(written));
            }))
        });
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads on a connection of its own, which sees the newest commit and waits for nobody.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let location = Arc::clone(&self.location);
        let reading = tokio::task::spawn_blocking(move || {
            let connection = location.reading()?;
            read(&connection).map_err(|e| location.fault(&e))
        });
        reading.await.map_err(|_| StoreError::Closed)?
    }
}

fn serve(connection: &Connection, location: &Location, inbound: &Receiver<Job>) {
    while let Ok(first) = inbound.recv() {
        let mut group = vec![first];
        group.extend(inbound.try_iter().take(GROUP - 1));
        let mut announcements = Vec::with_capacity(group.len());
        let committed = commit(connection, location, group, &mut announcements).map_err(|e| location.fault(&e));
        let undone = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        // Somebody else's lock passes. After any other failure, a failed flush above all, nobody knows what the disk
        // holds: nothing is written any more, and whoever asks is told that the books are closed.
        let over = match &committed {
            Ok(()) => false,
            Err(StoreError::Locked { .. }) => !undone,
            Err(_) => true,
        };
        for announce in announcements {
            announce(committed.clone());
        }
        if over {
            return;
        }
    }
}

fn commit(
    connection: &Connection,
    location: &Location,
    group: Vec<Job>,
    announcements: &mut Vec<Announce>,
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for job in group {
        announcements.push(job(connection, location)?);
    }
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}

impl Ledger for SqliteLedger {
    fn lease(&self, owner: String, wants: Vec<Want>) -> Boxed<'_, Result<Result<Vec<Cost>, Short>, StoreError>> {
        Box::pin(self.write(move |connection| accounts::lease(connection, &owner, &wants)))
    }

    fn settle(
        &self,
        owner: String,
        settled: Vec<Settled>,
        calls: Vec<CallRow>,
    ) -> Boxed<'_, Result<Vec<Account>, StoreError>> {
        Box::pin(self.write(move |connection| {
            calls::insert(connection, &calls)?;
            accounts::settle(connection, &owner, &settled)
        }))
    }

    fn owners(&self) -> Boxed<'_, Result<Vec<String>, StoreError>> {
        Box::pin(self.read(accounts::owners))
    }

    fn absorb(&self, owner: String) -> Boxed<'_, Result<Vec<(Account, Cost)>, StoreError>> {
        Box::pin(self.write(move |connection| accounts::absorb(connection, &owner)))
    }

    fn balances(&self, day: i64) -> Boxed<'_, Result<Vec<Balance>, StoreError>> {
        Box::pin(self.read(move |connection| accounts::balances(connection, day)))
    }

    fn usage(&self, by: UsageBy, of: UsageOf) -> Boxed<'_, Result<Vec<UsageLine>, StoreError>> {
        Box::pin(self.read(move |connection| calls::usage(connection, by, &of)))
    }

    fn calls(&self, since: At, limit: u32) -> Boxed<'_, Result<Vec<CallRow>, StoreError>> {
        Box::pin(self.read(move |connection| calls::list(connection, since, limit)))
    }

    fn calls_after(&self, number: u64, limit: u32) -> Boxed<'_, Result<Vec<(u64, CallRow)>, StoreError>> {
        Box::pin(self.read(move |connection| calls::after(connection, number, limit)))
    }

    fn newest_call(&self) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(self.read(calls::newest))
    }

    fn add_key(&self, key: ClientKey) -> Boxed<'_, Result<bool, StoreError>> {
        Box::pin(self.write(move |connection| keys::add(connection, &key)))
    }

    fn revoke_key(&self, name: String, now: At) -> Boxed<'_, Result<bool, StoreError>> {
        Box::pin(self.write(move |connection| keys::revoke(connection, &name, now)))
    }

    fn keys(&self) -> Boxed<'_, Result<Vec<ClientKey>, StoreError>> {
        Box::pin(self.read(keys::all))
    }

    fn key(&self, hash: String) -> Boxed<'_, Result<Option<ClientKey>, StoreError>> {
        Box::pin(self.read(move |connection| keys::by_hash(connection, &hash)))
    }
}

#[cfg(test)]
mod tests;
