//! `events.jsonl` in the session folder: the log once more, one JSON a line, for people and programs without a
//! database. The database is the record; the file is brought up to it whenever a run is driven.

use maestria_kernel::{
    RunId, Seq,
    port::{Store, StoreError, Stored},
};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::Path,
};

/// Events copied at once when the file is behind.
const PAGE: u32 = 4096;

/// An event as every machine face shows it.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) run: RunId,
    #[serde(flatten)]
    pub(crate) stored: &'a Stored,
}

pub(crate) struct Journal {
    run: RunId,
    file: Option<File>,
}

impl Journal {
    /// Opens the file, cuts off a torn last line, and copies what it lacks. A folder that cannot be written costs the
    /// file, not the run.
    pub(crate) async fn open(workspace: &Path, run: RunId, store: &dyn Store) -> Result<Self, StoreError> {
        let (file, mut last) = match open_at_end(&workspace.join("events.jsonl")) {
            Ok((file, last)) => (Some(file), last),
            Err(error) => {
                tracing::warn!(%error, "events.jsonl cannot be written");
                (None, Seq::default())
            }
        };
        let mut journal = Self { run, file };
        while journal.file.is_some() {
            let page = store.events(run, last, PAGE).await?;
            let Some(newest) = page.last() else { break };
            last = newest.seq;
            journal.append(&page);
        }
        Ok(journal)
    }

    pub(crate) fn append(&mut self, events: &[Stored]) {
        let Some(file) = &mut self.file else { return };
        let mut text = Vec::new();
        for stored in events {
            if serde_json::to_writer(&mut text, &Line { run: self.run, stored }).is_ok() {
                text.push(b'\n');
            }
        }
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "events.jsonl cannot be written any more");
            self.file = None;
        }
    }
}

/// Opens the file behind its last whole line and says which event that was.
fn open_at_end(path: &Path) -> io::Result<(File, Seq)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut last = Seq::default();
    let mut end = 0;
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') {
            break;
        }
        let seq = serde_json::from_slice::<serde_json::Value>(&line)
            .ok()
            .and_then(|v| v.get("seq")?.as_u64());
        let Some(seq) = seq.filter(|&seq| seq == last.0 + 1) else {
            break;
        };
        last = Seq(seq);
        end += read as u64;
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok((file, last))
}
