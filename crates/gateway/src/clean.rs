//! Answers without the secrets that this process knows: a provider that repeats one tells it to nobody, and it is kept nowhere.

use bytes::Bytes;
use std::borrow::Cow;

/// The same bytes, with names in the place of known secrets. Of a stream each piece of whole lines is looked at by itself.
pub(crate) fn clean(bytes: Bytes) -> Bytes {
    match maestria_secrets::funnel().clean_known(&bytes) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(cleaned) => cleaned.into(),
    }
}
