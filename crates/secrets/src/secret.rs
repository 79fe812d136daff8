//! A text that is never shown.

use std::fmt;
use zeroize::Zeroizing;

/// A text without a debug form, wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Keeps a text secret, and out of every sink of this process from now on.
    pub fn known(name: &str, text: impl Into<String>) -> Self {
        let secret = Self::new(text);
        crate::know(name, secret.reveal());
        secret
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
