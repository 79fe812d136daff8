//! Who holds leases: one name a process, with a lock that shows that it lives; and what becomes of the leases of the
//! dead.

use crate::app::AppError;
use maestria_kernel::{
    Cost,
    ledger::{Account, Ledger},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// The name under which this process holds leases, and the lock that shows that it lives.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    path: PathBuf,
    _lock: File,
}

impl Owner {
    pub(super) fn lock(folder: &Path) -> Result<Self, AppError> {
        let name = format!("gateway-{}", uuid::Uuid::now_v7().simple());
        let path = folder.join(format!("{name}.lock"));
        let locked = std::fs::create_dir_all(folder).and_then(|()| {
            let file = File::create(&path)?;
            file.try_lock()?;
            Ok(file)
        });
        let lock = locked.map_err(|source| AppError::Folder {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            name,
            path,
            _lock: lock,
        })
    }

    /// Whether another owner's process is still there: the kernel drops its lock with it.
    fn lives(&self, other: &str) -> bool {
        let path = self.path.with_file_name(format!("{other}.lock"));
        File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())
    }

    pub(super) fn release(self) {
        // A file that stays is only untidy: nobody holds its lock.
        let _ = std::fs::remove_file(self.path);
    }
}

/// Counts what the dead held as spent.
pub(super) async fn absorb(ledger: &dyn Ledger, owner: &Owner) -> Result<Vec<(Account, Cost)>, AppError> {
    let mut absorbed = Vec::new();
    for other in ledger.owners().await? {
        if !owner.lives(&other) {
            absorbed.extend(ledger.absorb(other.clone()).await?);
            let _ = std::fs::remove_file(owner.path.with_file_name(format!("{other}.lock")));
        }
    }
    Ok(absorbed)
}
