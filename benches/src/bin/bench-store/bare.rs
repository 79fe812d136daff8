//! The peer: the least that can append durably for many callers. One thread, one prepared insert, one commit for all
//! that lie ready. No numbers are checked, nothing is encoded, no error is told apart.

use anyhow::anyhow;
use rusqlite::{Connection, params};
use std::{path::Path, sync::mpsc, thread};
use tokio::sync::oneshot;

const GROUP: usize = 256;

/// A row, ready to be written.
pub(crate) struct Row {
    pub(crate) run: String,
    pub(crate) seq: i64,
    pub(crate) body: String,
}

type Request = (Row, oneshot::Sender<()>);

pub(crate) struct BareLoop {
    requests: mpsc::Sender<Request>,
}

impl BareLoop {
    pub(crate) fn start(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
        connection.execute_batch(
            "CREATE TABLE events (
                 run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
                 at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
             ) STRICT, WITHOUT ROWID",
        )?;
        let (requests, inbound) = mpsc::channel();
        thread::spawn(move || {
            if let Err(error) = serve(&connection, &inbound) {
                println!("the bare loop failed: {error}");
            }
        });
        Ok(Self { requests })
    }

    pub(crate) async fn append(&self, row: Row) -> anyhow::Result<()> {
        let (done, stored) = oneshot::channel();
        self.requests
            .send((row, done))
            .map_err(|_| anyhow!("the bare loop has ended"))?;
        Ok(stored.await?)
    }
}

fn serve(connection: &Connection, inbound: &mpsc::Receiver<Request>) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO events (run, seq, kind, version, at, body) VALUES (?1, ?2, 'task.said', 1, 0, ?3)")?;
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut commit = connection.prepare("COMMIT")?;
    while let Ok(first) = inbound.recv() {
        let mut group = vec![first];
        group.extend(inbound.try_iter().take(GROUP - 1));
        begin.execute([])?;
        for (row, _) in &group {
            insert.execute(params![row.run, row.seq, row.body])?;
        }
        commit.execute([])?;
        for (_, done) in group {
            let _ = done.send(());
        }
    }
    Ok(())
}
