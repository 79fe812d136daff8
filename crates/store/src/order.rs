//! The one rule of the log: a batch follows the newest event, and its events follow each other without gaps.

use maestria_kernel::{Seq, port::StoreError};

/// Checks a batch written `after` an event against the `newest` one there is.
///
/// # Errors
/// [`StoreError::Conflict`] with the number that was due and the one that was found.
pub(crate) fn check(after: Seq, newest: Seq, events: impl IntoIterator<Item = Seq>) -> Result<(), StoreError> {
    if after != newest {
        return Err(StoreError::Conflict {
            expected: after,
            found: newest,
        });
    }
    let mut due = after.next();
    for found in events {
        if found != due {
            return Err(StoreError::Conflict { expected: due, found });
        }
        due = due.next();
    }
    Ok(())
}
