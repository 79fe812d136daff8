//! What this machine lets the product do to its workers, found by trying.

use serde::Serialize;

/// One ability, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// Whether it was seen working.
    pub works: bool,
    /// What was found, one sentence.
    pub finding: String,
    /// What to do when it does not work.
    pub fix: Option<String>,
}

/// Everything the sandbox depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Abilities {}

/// Tries every ability for real.
pub fn probe() -> Abilities {
    Abilities {}
}
