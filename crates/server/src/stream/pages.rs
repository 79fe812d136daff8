//! All runs of a store, newest first, a page at a time: however many there are, one page is in memory.

use maestria_kernel::{
    At, RunId,
    port::{RunRow, Store, StoreError},
};
use std::sync::Arc;

/// Rows on a page.
const ROWS: u32 = 256;

/// The pages of a store's runs.
pub(crate) struct Pages {
    store: Arc<dyn Store>,
    last: Option<(At, RunId)>,
}

impl Pages {
    pub(crate) const fn of(store: Arc<dyn Store>) -> Self {
        Self { store, last: None }
    }

    /// The next page; none at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RunRow>>, StoreError> {
        let page = self.store.older(self.last, ROWS).await?;
        let Some(oldest) = page.last() else { return Ok(None) };
        self.last = Some((oldest.created_at, oldest.id));
        Ok(Some(page))
    }
}
