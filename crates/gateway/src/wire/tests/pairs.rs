//! The kept files of a pair.

use crate::wire::Dialect;
use serde_json::Value;
use std::path::PathBuf;

pub(super) fn all() -> impl Iterator<Item = (Dialect, Dialect)> {
    let clients = Dialect::ALL.into_iter();
    clients.flat_map(|client| Dialect::ALL.into_iter().map(move |provider| (client, provider)))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

pub(super) fn read(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Compares with a kept file; the order of fields does not matter. `MAESTRIA_BLESS=1` writes the file instead, for a
/// person to look at the difference.
pub(super) fn compare(name: &str, text: &str) {
    if std::env::var_os("MAESTRIA_BLESS").is_some() {
        std::fs::write(path(name), text).unwrap();
    }
    let kept = meaning(&read(name));
    assert!(
        kept == meaning(text),
        "{name} differs from what is written now; MAESTRIA_BLESS=1 keeps the new one:\n{text}"
    );
}

/// A document, or the lines of a stream.
fn meaning(text: &str) -> Vec<Result<Value, String>> {
    if let Ok(document) = serde_json::from_str(text) {
        return vec![Ok(document)];
    }
    let line = |line: &str| {
        let data = line
            .strip_prefix("data: ")
            .and_then(|data| serde_json::from_str(data).ok());
        data.ok_or_else(|| line.to_owned())
    };
    text.lines().map(line).collect()
}
