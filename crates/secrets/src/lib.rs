//! What must not be seen: secrets, and the one funnel that takes them out of everything that is stored, shown, or sent to a model.
//!
//! The [`Funnel`] knows secrets by their value, in every spelling that programs give them, and by the shapes that issuers publish.
//! Each process has one, [`funnel`]; whoever meets a secret makes it [`known`](know), and every sink asks the same funnel. That it
//! is one for the whole process is the point: a sink cannot be given the wrong one, and a secret cannot be known to some only.
//!
//! The [`Vault`] is where provider keys lie encrypted.
//!
//! This crate must never print, log or serialise a secret, and never let one through because it could not be read.
//!
//! Start reading at [`Funnel::clean`] (`funnel.rs`), then `funnel/view.rs` for how a text is read, `funnel/spelling.rs` for how
//! a value is spelt, `funnel/shape.rs` for the shapes.

mod funnel;
mod known;
mod secret;
mod vault;

pub use funnel::{Funnel, Hit, Stream};
pub use known::{funnel, is_telling, know, know_environment};
pub use secret::Secret;
pub use vault::{Entry, LockKind, Vault, VaultError, folder as vault_folder};
