//! Which model has a conversation's prompt in its cache: changing it means to pay for the whole prompt again.

use crate::attempt::Target;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long providers keep a prompt, at least.
const WARM: Duration = Duration::from_secs(300);

/// Conversations remembered.
const REMEMBERED: usize = 10_000;

/// The conversations of late.
#[derive(Debug, Default)]
pub(crate) struct Warm(Mutex<HashMap<u64, Held>>);

/// A prompt in a model's cache.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) target: Target,
    /// Tokens of the prompt, about.
    pub(crate) tokens: u64,
    at: Instant,
}

impl Warm {
    /// Where a conversation is warm.
    pub(crate) fn of(&self, conversation: u64) -> Option<Held> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&conversation).filter(|h| h.at.elapsed() < WARM).cloned()
    }

    /// A model has just seen a prompt.
    pub(crate) fn note(&self, conversation: u64, target: Target, tokens: u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= REMEMBERED {
            held.retain(|_, h| h.at.elapsed() < WARM);
        }
        if held.len() < REMEMBERED {
            let at = Instant::now();
            held.insert(conversation, Held { target, tokens, at });
        }
    }
}
