//! Clients' keys: made once, shown once, kept as a hash.

mod seen;

pub(crate) use seen::Seen;

use crate::pass::Pass;
use maestria_kernel::{
    At, Cost,
    ledger::{ClientKey, Ledger},
    model::Caller,
    port::StoreError,
};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use std::sync::Arc;

/// What keys begin with.
const PREFIX: &str = "mk_";

/// A key cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No randomness.
    #[error("this system has no randomness to make a key of")]
    Random,
    /// The name is taken.
    #[error("there is a key named `{0}` already; revoke it or choose another name")]
    Taken(String),
    /// A name that is none.
    #[error("`{0}` is no name for a key; use letters, digits, `-`, `_`, `.`")]
    Name(String),
    /// The books cannot be written.
    #[error(transparent)]
    Books(#[from] StoreError),
}

/// Makes a key and keeps its hash; `like` says what its calls count for. Returns the key itself, which nobody can ever
/// show again.
///
/// # Errors
/// [`KeyError`].
pub async fn create(ledger: &dyn Ledger, like: ClientKey, now: At) -> Result<String, KeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if like.name.is_empty() || like.name.len() > 100 || !like.name.chars().all(fits) {
        return Err(KeyError::Name(like.name));
    }
    let key = random()?;
    let name = like.name.clone();
    let kept = ClientKey {
        prefix: key[..PREFIX.len() + 6].to_owned(),
        hash: hash(&key),
        created_at: now,
        revoked_at: None,
        ..like
    };
    if ledger.add_key(kept).await? {
        Ok(key)
    } else {
        Err(KeyError::Taken(name))
    }
}

/// A secret that nobody can guess.
///
/// # Errors
/// [`KeyError::Random`].
pub fn random() -> Result<String, KeyError> {
    let mut random = [0_u8; 24];
    SystemRandom::new().fill(&mut random).map_err(|_| KeyError::Random)?;
    Ok(format!("{PREFIX}{}", hex(&random)))
}

pub(crate) fn hash(key: &str) -> String {
    hex(digest::digest(&digest::SHA256, key.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) client: String,
    pub(crate) run: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) project: Option<String>,
    /// The most that the client may cost a day, if not what is usual.
    pub(crate) budget: Option<Cost>,
    /// The most that the run may cost, if not what is usual.
    pub(crate) run_budget: Option<Cost>,
    /// The pass it came with.
    pub(crate) pass: Option<Arc<Pass>>,
}

impl Who {
    /// Names one key, and nothing but it.
    pub(crate) fn tenant(&self) -> String {
        format!("{:?}", (&self.client, &self.run, &self.task, &self.agent))
    }

    /// Somebody who calls for a run.
    pub(crate) fn of(client: String, caller: &Caller) -> Self {
        Self {
            client,
            run: caller.run.map(|run| run.to_string()),
            task: caller.task.map(|task| task.to_string()),
            agent: caller.agent.as_ref().map(ToString::to_string),
            project: caller.project.clone(),
            run_budget: caller.budget,
            ..Self::default()
        }
    }
}

impl From<ClientKey> for Who {
    fn from(key: ClientKey) -> Self {
        Self {
            client: key.name,
            run: key.run,
            task: key.task,
            agent: key.agent,
            project: key.project,
            budget: key.budget,
            ..Self::default()
        }
    }
}
