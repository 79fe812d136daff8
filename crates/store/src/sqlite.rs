//! State in one SQLite file, safe for several processes at once.
//!
//! One thread writes and commits the requests of all callers in groups, since a commit costs a disk flush and a group
//! costs one too. Two threads read. Everything is bounded: page caches, requests in flight, the size of a group.

mod asked;
mod ledger;
mod location;
mod reader;
mod record;
mod schema;
mod upkeep;
mod view;
mod writer;

pub use ledger::SqliteLedger;
use location::Location;
use maestria_kernel::{
    At, Command, DecisionId, Effect, EffectId, RunId, Seq,
    port::{Asked, Batch, Boxed, Numbered, Once, Posted, RunRow, Sent, Store, StoreError, Stored},
};
use reader::Readers;
use record::Write;
use std::{path::Path, sync::Arc, time::Duration};
use writer::Writer;

/// How long another program may hold the database before a caller hears of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most that one request may bring. SQLite itself takes less than a gigabyte, and fails all others with it.
const MOST_BYTES: usize = 64 << 20;

/// The log in an SQLite database.
///
/// After a failure of the disk the store takes no more writes: what the disk holds is not known any more until the
/// database is opened anew. [`StoreError::Locked`] and refusals of a single request pass.
#[derive(Debug)]
pub struct SqliteStore {
    location: Arc<Location>,
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the database, making it (0600) and its folder (0700) if they are not there and bringing an older schema
    /// up to date. Blocks; up to 5 seconds when another program holds the database.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Locked`], [`StoreError::Unwritable`], [`StoreError::Foreign`] for a database
    /// of another program, or [`StoreError::Damaged`]. Whatever the error, the file is left as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_within(path, PATIENCE)
    }

    /// Like [`SqliteStore::open`], but waits `patience` for other programs, now and at each later write.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_within(path: impl AsRef<Path>, patience: Duration) -> Result<Self, StoreError> {
        let location = Arc::new(Location::new(path.as_ref(), patience));
        let connection = location.prepare()?;
        let readers = Readers::start(&location)?;
        let writer = Writer::start(connection, &location)?;
        Ok(Self {
            location,
            writer,
            readers,
        })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        self.location.path()
    }

    /// How many groups of writes were committed so far; each cost one flush of the disk.
    pub fn groups(&self) -> u64 {
        self.writer.groups()
    }

    /// Stores what was asked for before, then lets go of the file. Later calls get [`StoreError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn write(&self, write: Write) -> Result<u64, StoreError> {
        if write.bytes() > MOST_BYTES {
            let mib = |bytes: usize| bytes.div_ceil(1 << 20);
            let detail = format!("{} MiB at once; {} are the most", mib(write.bytes()), mib(MOST_BYTES));
            return Err(self.location.unwritable(detail));
        }
        self.writer.write(write).await
    }

    fn damaged(&self, detail: impl ToString) -> StoreError {
        self.location.damaged(detail)
    }
}

impl Store for SqliteStore {
    fn commit(&self, run: RunId, batch: Batch) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            // Encoded here, on the caller's thread, because the writer's time is what all callers share.
            let write = Write::commit(run, batch).map_err(|e| self.damaged(e))?;
            self.write(write).await.map(drop)
        })
    }

    fn events(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.events(run, after, limit)))
    }

    fn numbered(&self, run: RunId, after: Seq, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.numbered(run, after, limit)))
    }

    fn feed(&self, after: u64, limit: u32) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.feed(after, limit)))
    }

    fn told(
        &self,
        kinds: &'static [&'static str],
        after: u64,
        until: u64,
    ) -> Boxed<'_, Result<Vec<Numbered>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.told(kinds, after, until)))
    }

    fn newest(&self) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(self.readers.read(|view| view.newest()))
    }

    fn owed(&self, run: RunId) -> Boxed<'_, Result<Vec<(EffectId, Effect)>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.owed(run)))
    }

    fn debts(&self) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(self.readers.read(|view| view.debts()))
    }

    fn runs(&self) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        Box::pin(self.readers.read(|view| view.runs()))
    }

    fn older(&self, than: Option<(At, RunId)>, limit: u32) -> Boxed<'_, Result<Vec<RunRow>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.older(than, limit)))
    }

    fn changed(&self, after: u64) -> Boxed<'_, Result<(u64, Vec<RunRow>), StoreError>> {
        Box::pin(self.readers.read(move |view| view.changed(after)))
    }

    fn sent(&self, key: String, now: At) -> Boxed<'_, Result<Option<Sent>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.sent(&key, now)))
    }

    fn asked(
        &self,
        closed: Option<bool>,
        after: Option<Asked>,
        limit: u32,
    ) -> Boxed<'_, Result<Vec<Asked>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.asked(closed, after, limit)))
    }

    fn asker(&self, decision: DecisionId) -> Boxed<'_, Result<Option<RunId>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.asker(decision)))
    }

    fn post(&self, run: RunId, command: Command, once: Option<Once>) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let write = Write::post(run, &command, once).map_err(|e| self.damaged(e))?;
            self.write(write).await
        })
    }

    fn inbox(&self, run: RunId) -> Boxed<'_, Result<Vec<Posted>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.inbox(run)))
    }

    fn answer(&self, run: RunId, number: u64, refused: Option<String>) -> Boxed<'_, Result<(), StoreError>> {
        let write = Write::Answer {
            run: run.to_string(),
            number,
            refused,
        };
        Box::pin(async move { self.write(write).await.map(drop) })
    }

    fn answered(&self, run: RunId, number: u64) -> Boxed<'_, Result<Option<Result<(), String>>, StoreError>> {
        Box::pin(self.readers.read(move |view| view.answered(run, number)))
    }
}
