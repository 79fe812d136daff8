//! Seals that travel: a provider's seal on a thought is meaningless to another provider, so what a client of another
//! dialect gets says whose it is, and comes back to nobody else.

use super::{Dialect, ask::Proof};

const MARK: &str = "maestria.";

/// The seal as a client of `face` is given it.
pub(crate) fn seal(proof: &Proof, face: Dialect) -> String {
    if proof.origin == face {
        proof.text.clone()
    } else {
        format!("{MARK}{}.{}", proof.origin.name(), proof.text)
    }
}

/// The seal as a client of `face` gave it back.
pub(crate) fn unseal(text: &str, face: Dialect) -> Proof {
    let foreign = text.strip_prefix(MARK).and_then(|rest| {
        let (name, seal) = rest.split_once('.')?;
        Some(Proof {
            origin: Dialect::named(name)?,
            text: seal.to_owned(),
        })
    });
    foreign.unwrap_or_else(|| Proof {
        origin: face,
        text: text.to_owned(),
    })
}

/// The seal, if `provider` can check it.
pub(crate) fn own(proof: Option<&Proof>, provider: Dialect) -> Option<&str> {
    proof.filter(|p| p.origin == provider).map(|p| p.text.as_str())
}
