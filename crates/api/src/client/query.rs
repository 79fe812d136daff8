//! Queries, with every value encoded.

use std::fmt::{Display, Write as _};

/// A path with its query.
#[derive(Debug, Clone)]
pub(super) struct Query(String, char);

impl Query {
    pub(super) fn of(path: &str) -> Self {
        Self(path.to_owned(), '?')
    }

    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        // Into a text, writing cannot fail.
        let _ = write!(self.0, "{}{name}={}", self.1, encoded(&value.to_string()));
        self.1 = '&';
        self
    }

    pub(super) fn and(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// A text as it may stand in a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
