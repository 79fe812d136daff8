//! The secrets that this process has met.

use crate::{Funnel, Secret};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

struct Known {
    secrets: Vec<(String, Secret)>,
    /// Made when it is first needed after one was added.
    funnel: Option<Arc<Funnel>>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(|| {
    RwLock::new(Known {
        secrets: Vec::new(),
        funnel: None,
    })
});

/// The funnel of this process, with every secret that it knows by now.
pub fn funnel() -> Arc<Funnel> {
    if let Some(funnel) = &KNOWN.read().unwrap_or_else(PoisonError::into_inner).funnel {
        return funnel.clone();
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let Known { secrets, funnel } = &mut *known;
    let pairs = secrets.iter().map(|(name, secret)| (name.as_str(), secret.reveal()));
    funnel.get_or_insert_with(|| Arc::new(Funnel::of(pairs))).clone()
}

/// Keeps a value out of every sink of this process from now on; `name` stands where it stood. Values of fewer than
/// [`Funnel::SHORTEST`] bytes are not taken: they would be found in everything.
pub fn know(name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.len() < Funnel::SHORTEST {
        return false;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if !known.secrets.iter().any(|(_, secret)| secret.reveal() == value) {
        known.secrets.push((name.to_owned(), Secret::new(value)));
        known.funnel = None;
    }
    true
}

/// What the names of variables end with that hold secrets.
const TELLING: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "CREDENTIALS",
];

/// Shorter values of such variables are seldom secrets.
const SHORTEST_VARIABLE: usize = 16;

/// Whether a variable of this name and value holds a secret by all appearance. A path is none, whatever it leads to.
pub fn is_telling(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING.iter().any(|end| name.ends_with(end))
        && value.len() >= SHORTEST_VARIABLE
        && !value.contains(|c: char| c == '/' || c.is_whitespace())
}

/// Makes the secrets among these variables known, by their names.
pub fn know_environment(variables: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in variables {
        if is_telling(&name, &value) {
            know(&name, &value);
        }
    }
}
