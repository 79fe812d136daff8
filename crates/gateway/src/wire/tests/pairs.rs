//! The kept files of a pair.

use crate::wire::Dialect;
use std::path::PathBuf;

pub(super) fn all() -> impl Iterator<Item = (Dialect, Dialect)> {
    Dialect::ALL.into_iter().flat_map(|client| Dialect::ALL.into_iter().map(move |provider| (client, provider)))
}

pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(super) fn read(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Compares with a kept file. `MAESTRIA_BLESS=1` writes it instead, for a person to look at the difference.
pub(super) fn compare(name: &str, text: &str) {
    if std::env::var_os("MAESTRIA_BLESS").is_some() {
        std::fs::write(path(name), text).unwrap();
    }
    let kept = read(name);
    assert!(kept == text, "{name} differs from what is written now; MAESTRIA_BLESS=1 keeps the new one:\n{text}");
}
