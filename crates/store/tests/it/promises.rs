//! The same promises on every backend.

use maestria_store::{MemoryStore, SqliteStore};
use maestria_testkit::store_suite;

fn on_disk() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(folder.path().join("store.db")).unwrap(), folder)
}

store_suite!(sqlite, on_disk());
store_suite!(memory, (MemoryStore::new(), ()));
