//! How much a worker adds to the disk: its folders are walked now and then, beside everything else.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// How often they are walked.
const PAUSE: Duration = Duration::from_secs(2);
/// A walk takes at most this part of the time: large trees are walked less often.
const SHARE: u32 = 20;

/// The watch over one worker's folders. A limit of 0 watches nothing.
#[derive(Debug)]
pub(super) struct Disk {
    folders: Vec<PathBuf>,
    limit: u64,
    before: Option<u64>,
    next: Instant,
    walk: Option<JoinHandle<(u64, Duration)>>,
}

impl Disk {
    pub(super) fn new(folders: Vec<PathBuf>, limit: u64) -> Self {
        Self {
            folders,
            limit,
            before: None,
            next: Instant::now(),
            walk: None,
        }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes that have been added, when they are more than may be. Begins the next walk when it is time.
    pub(super) async fn look(&mut self) -> Option<u64> {
        if self.limit == 0 {
            return None;
        }
        match self.walk.take_if(|walk| walk.is_finished()) {
            Some(walk) => {
                let (size, took) = walk.await.ok()?;
                self.next = Instant::now() + PAUSE.max(took * SHARE);
                let before = *self.before.get_or_insert(size);
                Some(size.saturating_sub(before)).filter(|added| *added > self.limit)
            }
            None => {
                if self.walk.is_none() && Instant::now() >= self.next {
                    let folders = self.folders.clone();
                    self.walk = Some(tokio::task::spawn_blocking(move || {
                        let begun = std::time::Instant::now();
                        let size = folders.iter().map(|folder| size_of(folder)).sum();
                        (size, begun.elapsed())
                    }));
                }
                None
            }
        }
    }
}

/// What a folder takes on its disk, links not followed. What goes away or cannot be read meanwhile counts nothing.
fn size_of(folder: &Path) -> u64 {
    let mut size = 0;
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            size += meta.blocks() * 512;
            if meta.is_dir() {
                left.push(entry.path());
            }
        }
    }
    size
}
